// The map of log q(z) - log p(z): a picture of the plane, on a canvas. A press or the arrow keys choose a z; the cross
// moves at once, the server follows. Mounted twice: once with the picture and its numbers, which are kept here, and
// once, at every change, with the choice.
const fields = (globalThis.vaescopeFields ??= new Map())
const maps = new WeakMap()
const ARRIVED = "vaescope-field"
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }

export default function (component) {
  const { data, parentElement } = component
  const root = parentElement.querySelector(".field")
  if (data.picture !== undefined) return keep(data, root)
  const map = maps.get(root) ?? mount(root)
  map.send = (z) => component.setTriggerValue("pick", z)
  map.data = data
  if (map.asked === undefined || near(map.asked, data.chosen)) {
    map.asked = undefined
    map.chosen = data.chosen
  }
  show(map)
  return () => unmount(map)
}

const near = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) < 1e-3

function keep({ field, picture, numbers, shape, frame, dots }, root) {
  root.hidden = true
  if (fields.has(field)) return
  const floats = (text) => new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer)
  const image = new Image()
  const arrive = () => {
    fields.set(field, { image, frame, shape, numbers: floats(numbers), dots: floats(dots) })
    window.dispatchEvent(new CustomEvent(ARRIVED))
  }
  image.onload = arrive
  image.src = picture
}

function mount(root) {
  const canvas = document.createElement("canvas")
  const make = (name) => Object.assign(document.createElement("div"), { className: name })
  const map = { root, canvas, tip: make("tip"), said: make("said"), ground: document.createElement("canvas") }
  canvas.tabIndex = 0
  canvas.setAttribute("role", "application")
  map.said.setAttribute("aria-live", "polite")
  map.tip.hidden = true
  root.replaceChildren(canvas, map.tip, map.said)
  listen(map)
  maps.set(root, map)
  return map
}

function listen(map) {
  const { canvas } = map
  canvas.onpointerdown = (event) => event.pointerType === "mouse" && press(map, event)
  // A finger may be about to scroll: it chooses when it lifts, and a scroll ends in a cancel.
  canvas.onpointerup = (event) => event.pointerType !== "mouse" && press(map, event)
  canvas.onpointermove = (event) => hover(map, event)
  canvas.onpointerleave = () => (map.tip.hidden = true)
  canvas.onkeydown = (event) => walk(map, event)
  map.onArrived = () => show(map)
  window.addEventListener(ARRIVED, map.onArrived)
  map.resizes = new ResizeObserver(() => show(map))
  map.resizes.observe(map.root)
}

function unmount(map) {
  window.removeEventListener(ARRIVED, map.onArrived)
  map.resizes.disconnect()
  clearTimeout(map.soon)
  maps.delete(map.root)
}

function press(map, event) {
  const z = map.field && place(map, event)
  if (z) choose(map, node(map, z).z)
}

function choose(map, z) {
  mark(map, z)
  map.asked = map.chosen
  map.send(map.chosen)
}

function mark(map, z) {
  map.chosen = z.map((value) => Math.round(value * 1000) / 1000)
  map.said.textContent = words(map, map.chosen).join("; ")
  paint(map)
}

function walk(map, event) {
  const step = STEPS[event.key]
  if (!step || !map.field) return
  event.preventDefault()
  const [left, right, low, high] = map.field.frame
  const size = ((right - left) / 100) * (event.shiftKey ? 5 : 1)
  const clip = (value, least, most) => Math.min(most, Math.max(least, value))
  const [x, y] = map.chosen
  mark(map, [clip(x + size * step[0], left, right), clip(y + size * step[1], low, high)])
  map.asked = map.chosen
  clearTimeout(map.soon) // a held key asks the server once, where it stops
  map.soon = setTimeout(() => choose(map, map.chosen), 200)
}

// ---- where things are

const NARROWEST = 60 // pixels: while a page is redrawn a canvas may be nearly nothing, and radii would be negative

function show(map) {
  map.field = fields.get(map.data.field)
  const width = map.root.clientWidth
  if (!map.field || width < NARROWEST) return
  const [left, right, low, high] = map.field.frame
  const edge = { left: 30, right: 8, top: 8, bottom: 22 }
  const room = width - edge.left - edge.right
  const fit = Math.min(room / (right - left), (0.95 * room) / (high - low))
  const spare = (room - (right - left) * fit) / 2
  const height = Math.round((high - low) * fit + edge.top + edge.bottom)
  map.view = { width, height, edge, fit, x: edge.left + spare - left * fit, y: height - edge.bottom + low * fit }
  const style = getComputedStyle(map.root)
  map.ink = style.getPropertyValue("--st-text-color").trim() || style.color
  map.paper = style.getPropertyValue("--st-background-color").trim() || "#fff"
  const key = [map.data.field, width, height, devicePixelRatio, map.ink, map.data.lows, map.data.circles].join()
  if (map.drawn !== key) draw(map)
  map.drawn = key
  map.canvas.setAttribute("aria-label", map.data.alt)
  map.canvas.dataset.chosen = map.data.chosen.join()
  paint(map)
}

const px = (map, z) => map.view.x + z * map.view.fit
const py = (map, z) => map.view.y - z * map.view.fit

function place(map, event) {
  const box = map.canvas.getBoundingClientRect()
  const x = (event.clientX - box.left - map.view.x) / map.view.fit
  const y = (map.view.y - (event.clientY - box.top)) / map.view.fit
  const [left, right, low, high] = map.field.frame
  return x >= left && x <= right && y >= low && y <= high ? [x, y] : null
}

// The node of the field that is nearest to z: numbers are known there, so that is also the z that a press chooses.
function node(map, [x, y]) {
  const [left, right, low, high] = map.field.frame
  const [rows, columns] = map.field.shape.map((count) => count - 1)
  const row = Math.round(((x - left) / (right - left)) * rows)
  const column = Math.round(((y - low) / (high - low)) * columns)
  const z = [left + ((right - left) * row) / rows, low + ((high - low) * column) / columns]
  return { at: row * (columns + 1) + column, z }
}

function words(map, there) {
  const { shape, numbers } = map.field
  const { at, z } = node(map, there)
  // At the chosen z they are the panel's own.
  const own = near(z, map.data.chosen) || near(there, map.data.chosen)
  const [x, y] = own ? map.data.chosen : z
  const [q, p] = own ? map.data.log : [numbers[at], numbers[at + shape[0] * shape[1]]]
  return [
    `z = (${x.toFixed(2)}, ${y.toFixed(2)})`,
    `log q ${nats(q)}, log p ${nats(p)}`,
    `log q \u2212 log p = ${nats(q - p)} nats`,
  ]
}

function hover(map, event) {
  const z = event.pointerType === "mouse" && map.field ? place(map, event) : null
  map.tip.hidden = !z
  if (!z) return
  map.tip.innerText = words(map, z).join("\n")
  const x = px(map, z[0])
  map.tip.style.top = `${Math.max(0, py(map, z[1]) - 66)}px`
  map.tip.style.left = x > map.view.width / 2 ? "" : `${x + 10}px`
  map.tip.style.right = x > map.view.width / 2 ? `${map.view.width - x + 10}px` : ""
}

// ---- drawing

function sized(canvas, { width, height }) {
  canvas.width = Math.round(width * devicePixelRatio)
  canvas.height = Math.round(height * devicePixelRatio)
  const pen = canvas.getContext("2d")
  pen.scale(devicePixelRatio, devicePixelRatio)
  return pen
}

// What stays: the picture, the codes, the prior's circles, the low posterior samples.
function draw(map) {
  const pen = sized(map.ground, map.view)
  sized(map.canvas, map.view)
  map.canvas.style.height = `${map.view.height}px`
  const { image, frame, dots } = map.field
  const [left, right, low, high] = frame
  pen.imageSmoothingQuality = "high"
  pen.drawImage(image, px(map, left), py(map, high), (right - left) * map.view.fit, (high - low) * map.view.fit)
  pen.fillStyle = "rgba(20, 30, 40, 0.4)"
  for (let i = 0; i < dots.length; i += 2) pen.fillRect(px(map, dots[i]) - 0.7, py(map, dots[i + 1]) - 0.7, 1.4, 1.4)
  if (map.data.circles) circles(map, pen)
  lows(map, pen)
  axes(map, pen)
}

function circles(map, pen) {
  pen.strokeStyle = "#8A939C"
  pen.lineWidth = 1
  for (const sigma of [1, 2, 3]) {
    pen.beginPath()
    circle(pen, px(map, 0), py(map, 0), sigma * map.view.fit)
    pen.stroke()
  }
}

function lows(map, pen) {
  const [left, right, low, high] = map.field.frame
  for (const [x, y] of map.data.lows) {
    if (x < left || x > right || y < low || y > high) continue
    stroke(map, pen, () => pen.rect(px(map, x) - 2.5, py(map, y) - 2.5, 5, 5), 1.2, 1.5)
  }
}

function axes(map, pen) {
  const { width, height, edge } = map.view
  pen.fillStyle = map.ink
  pen.globalAlpha = 0.75
  pen.font = "11px sans-serif"
  const every = (height - 40) / map.view.fit > 16 ? 4 : (height - 40) / map.view.fit > 7 ? 2 : 1
  for (let tick = -40; tick <= 40; tick += every) {
    pen.textAlign = "center"
    if (px(map, tick) > edge.left + 6 && px(map, tick) < width - 24) pen.fillText(tick, px(map, tick), height - 7)
    pen.textAlign = "right"
    if (py(map, tick) > 22 && py(map, tick) < height - edge.bottom) pen.fillText(tick, edge.left - 8, py(map, tick) + 4)
  }
  pen.fillText("z1", width - 6, height - 7)
  pen.fillText("z2", edge.left - 8, 15)
  pen.globalAlpha = 1
}

// What changes: a ring and a cross at the chosen z.
function paint(map) {
  if (!map.field || !map.view) return
  const pen = map.canvas.getContext("2d")
  pen.clearRect(0, 0, map.view.width, map.view.height)
  pen.drawImage(map.ground, 0, 0, map.view.width, map.view.height)
  const [left, right, low, high] = map.field.frame
  // What lies outside is ringed at the edge.
  const x = px(map, Math.min(right, Math.max(left, map.chosen[0])))
  const y = py(map, Math.min(high, Math.max(low, map.chosen[1])))
  stroke(map, pen, () => {
    circle(pen, x, y, 8)
    for (const [dx, dy] of Object.values(STEPS)) {
      pen.moveTo(x + 8 * dx, y + 8 * dy)
      pen.lineTo(x + 13 * dx, y + 13 * dy)
    }
  }, 2.2, 3)
}

function stroke(map, pen, path, width, casing) {
  for (const [colour, wide] of [[map.paper, width + casing], [map.ink, width]]) {
    pen.strokeStyle = colour
    pen.lineWidth = wide
    pen.beginPath()
    path()
    pen.stroke()
  }
}
