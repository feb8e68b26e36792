// The pad itself, without Streamlit: mountPad(root) gives {show(state), point(z), pin(z), remove()}.
// It hears `vaescope-pointer` {z} from the pictures of the plane, and answers with `vaescope-place` {z, pinned}.
const POINTER = "vaescope-pointer"
const PLACE = "vaescope-place"
const PAD_STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }

function padElement(kind, name, inside = []) {
  const made = Object.assign(document.createElement(kind), { className: name })
  made.replaceChildren(...inside)
  return made
}

function mountPad(root) {
  const make = padElement
  const canvas = make("canvas", "decoded")
  const [where, pinner, said] = [make("span", "where"), make("button", "pinner"), make("div", "said")]
  const [list, sentence, hint] = [make("dl", "rows"), make("p", "sentence"), make("p", "hint")]
  const beside = make("div", "beside", [make("div", "top", [where, pinner]), list])
  root.replaceChildren(make("div", "both", [canvas, beside]), sentence, hint, said)
  root.tabIndex = 0
  root.setAttribute("role", "application")
  canvas.setAttribute("role", "img")
  said.setAttribute("aria-live", "polite")
  pinner.type = "button"
  const pad = { root, canvas, where, pinner, list, sentence, hint, said, z: null, pinned: null, drawn: 0 }
  pad.show = (state) => showPad(pad, state)
  pad.point = (z) => pointTo(pad, z)
  pad.pin = (z) => pinAt(pad, z)
  pad.send = () => {}
  listenPad(pad)
  return pad
}

function listenPad(pad) {
  const hear = (event) => pointTo(pad, event.detail?.z)
  const press = (event) => event.detail && pinAt(pad, event.detail.z)
  const escape = (event) => event.key === "Escape" && pad.pinned && pinAt(pad, null)
  window.addEventListener(POINTER, hear)
  window.addEventListener("vaescope-press", press)
  window.addEventListener("keydown", escape)
  const picture = watchPicture(".st-key-picture .js-plotly-plot")
  pad.root.onkeydown = (event) => walkPad(pad, event)
  pad.pinner.onclick = () => pinAt(pad, pad.pinned ? null : placeOf(pad))
  pad.remove = () => {
    window.removeEventListener(POINTER, hear)
    window.removeEventListener("vaescope-press", press)
    window.removeEventListener("keydown", escape)
    picture.stop()
    cancelAnimationFrame(pad.frame)
    clearTimeout(pad.soon)
    clearTimeout(pad.quiet)
  }
}

// state: {decoder, densities, image, what, pinned, rest, frame, shape, colours, systems, problem, decoded}
function showPad(pad, state) {
  if (pad.state && pad.state.what !== state.what && !pad.pointing) pad.z = null // another image: where its q peaks
  pad.state = state
  if (pad.asked === undefined || String(pad.asked) === String(state.pinned)) {
    pad.asked = undefined
    pad.pinned = state.pinned
  }
  pad.root.setAttribute("aria-label", `Decode any z. Arrow keys move z, with shift in larger steps; Enter pins it, Escape frees it.`)
  nameRows(pad, state)
  schedule(pad)
}

// A row for each density: of q one for each checkpoint, in the line of its outline.
function nameRows(pad, { systems, colours: [prior, truth] }) {
  const ofQ = systems.map(([name, ...line]) => [name ? `log q(z|x) of ${name}` : "log q(z|x)", ...line])
  const wanted = [["log p(z)", prior], ["log p(x|z)", "transparent"], ...ofQ, ["log p(z|x)", truth]]
  if (String(pad.wanted) === String(wanted)) return
  pad.wanted = wanted
  pad.values = wanted.map(() => padElement("dd", "value"))
  const rows = wanted.map(([name], i) => padElement("div", "row", [padElement("dt", "name", [name]), pad.values[i]]))
  wanted.forEach(([, colour, line], i) => (rows[i].style.borderLeft = `4px ${line ?? "solid"} ${colour}`))
  pad.list.replaceChildren(...rows)
}

function placeOf(pad) {
  return pad.pinned ?? pad.z ?? pad.state.rest
}

function pointTo(pad, z) {
  pad.pointing = Boolean(z)
  if (!z) floatPad(pad)
  if (!z || pad.pinned || !pad.state) return
  pad.z = z
  schedule(pad)
}

function pinAt(pad, z) {
  if (!pad.state) return
  const pinned = z && z.map((v) => Number(v.toFixed(4)) + 0)
  pad.z = placeOf(pad)
  pad.pinned = pad.asked = pinned
  schedule(pad)
  clearTimeout(pad.soon)
  pad.soon = setTimeout(() => pad.send(pinned), 60)
}

function walkPad(pad, event) {
  if (event.target !== pad.root) return
  if (event.key === "Enter") return pinAt(pad, placeOf(pad))
  const step = PAD_STEPS[event.key]
  if (!step || !pad.state) return
  event.preventDefault()
  const [left, right] = pad.state.frame
  const size = ((right - left) / 100) * (event.shiftKey ? 10 : 1)
  const z = placeOf(pad).map((v, d) => v + size * step[d])
  if (!pad.pinned) return pointTo(pad, z)
  pad.pinned = null
  pointTo(pad, z)
  pinAt(pad, z)
}

function schedule(pad) {
  cancelAnimationFrame(pad.frame)
  pad.frame = requestAnimationFrame(() => drawPad(pad))
}

// ---- drawing

function drawPad(pad) {
  const { state } = pad
  const z = placeOf(pad)
  const output = state.decoder ? decode(state.decoder, z) : null
  const kept = state.decoded && String(state.decoded.z) === String(z) ? state.decoded : null
  const mean = output ? meanOf(state.decoder, output) : kept ? numbersOf(kept.mean) : null
  const likelihood = output ? logLikelihood(state.decoder, state.image.x, output) : kept ? kept.likelihood : null
  if (mean) drawImage(pad.canvas, mean, state.shape)
  const found = state.densities ? densitiesAt(state.densities, state.image, z, likelihood) : null
  pad.canvas.style.opacity = !mean ? 0.12 : found ? strengthAt(state.densities, found.aggregate) : 1
  writePad(pad, z, found)
  const asked = pad.pinned || pad.z
  window.dispatchEvent(new CustomEvent(PLACE, { detail: asked ? { z, pinned: Boolean(pad.pinned) } : null }))
  pad.root.dataset.drawn = ++pad.drawn
  floatPad(pad)
}

// On a phone: where the finger is on a picture so far away that the pad is not in sight, it comes to the finger.
function floatPad({ root, pointing }) {
  const home = root.parentElement
  const box = home.getBoundingClientRect()
  const away = box.top < 50 || box.top + 130 > innerHeight
  const afloat = Boolean(pointing) && away && matchMedia("(max-width: 640px)").matches
  if (afloat && !root.classList.contains("afloat")) home.style.minHeight = `${box.height}px` // nothing below may jump
  root.classList.toggle("afloat", afloat)
}

// A mean [C, H, W] as pixels, black 0 and white 1.
function drawImage(canvas, mean, [channels, height, width]) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height })
  const pen = canvas.getContext("2d")
  const pixels = pen.createImageData(width, height)
  const size = width * height
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = 255 * mean[i + (channels > 2 ? c * size : 0)]
    pixels.data[4 * i + 3] = 255
  }
  pen.putImageData(pixels, 0, 0)
}

function writePad(pad, z, found) {
  const { state } = pad
  const place = `z = (${z.map((v) => fixed(v, 3)).join(", ")})`
  pad.where.textContent = place
  pad.pinner.textContent = pad.pinned ? "Free" : "Pin"
  pad.pinner.title = pad.pinned ? "Follow the pointer again (Escape)" : "Keep this z and write it into the link"
  const numbers = found ? [found.prior, found.likelihood, ...found.q, found.posterior] : []
  pad.values.forEach((value, i) => (value.textContent = told(numbers[i])))
  pad.sentence.textContent = sentenceAt(state, found)
  pad.hint.textContent = hintOf(pad)
  pad.root.dataset.z = z.map((v) => v.toFixed(4)).join()
  pad.root.dataset.pinned = Boolean(pad.pinned)
  pad.canvas.setAttribute("aria-label", `decoded image at ${place}`)
  clearTimeout(pad.quiet) // a screen reader hears where the pointer rests, not where it passes
  pad.quiet = setTimeout(() => {
    pad.said.textContent = `${place}. ${pad.wanted.map(([name], i) => `${name} ${told(numbers[i])}`).join(", ")}. ${pad.sentence.textContent}`
  }, 500)
}

function hintOf({ state, pinned, z }) {
  if (state.problem && !pinned) return `Decoded on the server after a click on the contours, because ${state.problem}.`
  if (pinned) return "Pinned, and part of the link. Free it with Escape."
  if (z) return "Click the contours, or shift-click the map, to pin this z."
  return "Where q(z|x) peaks. Point at the map or the contours, or use the arrow keys here, to decode any z."
}

// One plain sentence on what is so at this z.
function sentenceAt({ densities, problem, systems }, found) {
  if (!found) return "The decoder is on its way."
  const { aggregate, q: [q], posterior } = found
  const whose = systems.length > 1 ? `${systems[0][0]}'s` : "The encoder's"
  if (aggregate !== null && aggregate < densities.aggregate.low) {
    const below = fixed(densities.aggregate.low - aggregate, 0)
    return `No code of the data comes near: log q(z) is ${below} nats below the lowest 1 % of the data's own. Hence the faint image.`
  }
  if (q === null) return `${whose} q(z|x) is negligible here: outside the table around its mass.`
  if (posterior === null) return problem ? "" : "log p(z) is not known here: outside its table."
  if (Math.abs(q - posterior) < 0.5) return `${whose} density here is that of the true posterior, within half a nat.`
  const ofQ = `${whose.replace(/^The /, "the ")} q(z|x)`
  const [more, less] = q > posterior ? [`${whose} q(z|x)`, "the true posterior"] : ["The true posterior", ofQ]
  return `${more} is ${nats(Math.abs(q - posterior))} nats denser here than ${less}.`
}

function told(value) {
  if (value === undefined || value === null) return "\u2013"
  return Number.isFinite(value) && value > -1e20 ? nats(value) : "\u2212\u221e"
}
