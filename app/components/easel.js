// A canvas to draw on, by mouse, finger, pen or keyboard: white ink on black. It keeps its strokes, so that each can be
// undone, and hands over `size` x `size` bytes, the mean over areas, as base64. What the server shows comes as an image.
const pads = new WeakMap()
const SIDE = 448
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }
const HELP =
  "Canvas: draw an image for the model. Arrow keys move the brush, Space sets it down and lifts it, Control Z undoes, Delete clears."

export default function (component) {
  const { data, parentElement } = component
  const root = parentElement.querySelector(".easel")
  const pad = pads.get(root) ?? mount(root, data)
  pad.send = (bytes) => component.setTriggerValue("drawn", bytes)
  pad.data = data
  if (pad.turn !== data.turn) load(pad)
  if (data.place) window.dispatchEvent(new CustomEvent("vaescope-encoded", { detail: data.place }))
  return () => {
    clearTimeout(pad.soon)
    pads.delete(root)
  }
}

function mount(root, data) {
  const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE, tabIndex: 0 })
  canvas.setAttribute("role", "application")
  canvas.setAttribute("aria-label", HELP)
  const pad = { root, canvas, pen: canvas.getContext("2d", { willReadFrequently: true }), strokes: [], ground: null, erase: false }
  pad.width = data.brush * SIDE
  pad.said = Object.assign(document.createElement("div"), { className: "said" })
  pad.said.setAttribute("aria-live", "polite")
  root.replaceChildren(canvas, tools(pad), pad.said)
  listen(pad)
  pads.set(root, pad)
  redraw(pad)
  return pad
}

function tools(pad) {
  const row = Object.assign(document.createElement("div"), { className: "tools" })
  const button = (text, act) => Object.assign(document.createElement("button"), { type: "button", textContent: text, onclick: act })
  const choose = (erase) => {
    pad.erase = erase
    pad.brush.setAttribute("aria-pressed", !erase)
    pad.eraser.setAttribute("aria-pressed", erase)
  }
  pad.brush = button("Brush", () => choose(false))
  pad.eraser = button("Eraser", () => choose(true))
  pad.undo = button("Undo", () => undo(pad))
  pad.clear = button("Clear", () => clear(pad))
  const size = Object.assign(document.createElement("input"), { type: "range", min: 6, max: 120, value: pad.width })
  size.oninput = () => (pad.width = Number(size.value))
  const label = document.createElement("label")
  label.append("Size", size)
  row.append(pad.brush, pad.eraser, pad.undo, pad.clear, label)
  choose(false)
  return row
}

function listen(pad) {
  const { canvas } = pad
  canvas.onpointerdown = (event) => {
    if (event.button > 0 || pad.pointer !== undefined) return
    canvas.setPointerCapture(event.pointerId)
    pad.pointer = event.pointerId
    begin(pad, ...place(pad, event))
  }
  canvas.onpointermove = (event) => {
    if (event.pointerId !== pad.pointer) return
    // All that the pen passed between two frames.
    for (const each of event.getCoalescedEvents?.() ?? [event]) extend(pad, ...place(pad, each))
  }
  canvas.onpointerup = canvas.onpointercancel = (event) => {
    if (event.pointerId !== pad.pointer) return
    pad.pointer = undefined
    hand(pad)
  }
  canvas.onkeydown = (event) => key(pad, event)
  canvas.onblur = () => {
    if (pad.cursor) pad.cursor.down = false
    redraw(pad)
  }
}

function place(pad, event) {
  const box = pad.canvas.getBoundingClientRect()
  const force = event.pointerType === "pen" && event.pressure > 0 ? 0.4 + 1.2 * event.pressure : 1
  return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE, force]
}

// ---- strokes

function begin(pad, x, y, force = 1) {
  pad.strokes.push({ points: [[x, y, force]], width: pad.width, erase: pad.erase })
  line(pad, pad.strokes.at(-1), 0)
}

function extend(pad, x, y, force = 1) {
  const stroke = pad.strokes.at(-1)
  stroke.points.push([x, y, force])
  line(pad, stroke, stroke.points.length - 1)
}

function line(pad, { points, width, erase }, at) {
  const [x, y, force] = points[at]
  const [fromX, fromY] = points[Math.max(0, at - 1)]
  const { pen } = pad
  pen.strokeStyle = pen.fillStyle = erase ? "#000" : "#fff"
  pen.lineCap = pen.lineJoin = "round"
  pen.lineWidth = width * force
  pen.beginPath()
  pen.moveTo(fromX, fromY)
  pen.lineTo(x, y)
  pen.stroke()
  if (at > 0) return
  pen.beginPath() // a line of no length is not drawn, but a press is a dot
  circle(pen, x, y, (width * force) / 2)
  pen.fill()
}

function redraw(pad) {
  const { pen } = pad
  pen.fillStyle = "#000"
  pen.fillRect(0, 0, SIDE, SIDE)
  if (pad.ground) {
    pen.imageSmoothingEnabled = false
    pen.drawImage(pad.ground, 0, 0, SIDE, SIDE)
  }
  for (const stroke of pad.strokes) {
    pen.fillStyle = "#000"
    if (stroke.clear) pen.fillRect(0, 0, SIDE, SIDE)
    else stroke.points.forEach((_, at) => line(pad, stroke, at))
  }
  pad.undo.disabled = !pad.strokes.length
  pad.canvas.dataset.strokes = pad.strokes.length
}

function undo(pad) {
  if (!pad.strokes.pop()) return
  pad.said.textContent = "Undone"
  redraw(pad)
  hand(pad)
}

function clear(pad) {
  if (!pad.strokes.length && !pad.ground) return
  pad.strokes.push({ clear: true })
  pad.said.textContent = "Cleared"
  redraw(pad)
  hand(pad)
}

// What the server shows came from a link, or was drawn before this canvas was there.
function load(pad) {
  const { turn, pixels } = pad.data
  pad.turn = turn
  pad.strokes = []
  pad.ground = null
  if (!pixels) return redraw(pad)
  const image = new Image()
  image.onload = () => {
    if (pad.turn !== turn) return
    pad.ground = image
    redraw(pad)
  }
  image.src = pixels
}

// ---- keyboard

function key(pad, event) {
  const undoing = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z"
  const step = STEPS[event.key]
  if (!undoing && !step && !["Delete", "Backspace", " "].includes(event.key)) return
  event.preventDefault()
  event.stopPropagation()
  if (undoing) return undo(pad)
  if (event.key === "Delete" || event.key === "Backspace") return clear(pad)
  pad.cursor ??= { x: SIDE / 2, y: SIDE / 2, down: false }
  if (event.key === " ") {
    pad.cursor.down = !pad.cursor.down
    pad.said.textContent = pad.cursor.down ? "Brush down" : "Brush lifted"
    if (pad.cursor.down) begin(pad, pad.cursor.x, pad.cursor.y)
  } else {
    const far = event.shiftKey ? 4 : SIDE / 28
    pad.cursor.x = Math.min(SIDE, Math.max(0, pad.cursor.x + far * step[0]))
    pad.cursor.y = Math.min(SIDE, Math.max(0, pad.cursor.y + far * step[1]))
    if (pad.cursor.down) extend(pad, pad.cursor.x, pad.cursor.y)
  }
  redraw(pad)
  aim(pad)
  clearTimeout(pad.soon) // a held key hands over once, where it stops
  if (pad.cursor.down || event.key === " ") pad.soon = setTimeout(() => hand(pad), 250)
}

function aim({ pen, cursor, width }) {
  pen.strokeStyle = cursor.down ? "#E69F00" : "#56B4E9"
  pen.lineWidth = 3
  pen.beginPath()
  circle(pen, cursor.x, cursor.y, Math.max(6, width / 2 + 3))
  pen.stroke()
}

// ---- to the server

function hand(pad) {
  redraw(pad) // without the keyboard's ring
  const { size } = pad.data
  const ratio = SIDE / size
  const from = pad.pen.getImageData(0, 0, SIDE, SIDE).data
  const sums = new Float32Array(size * size)
  for (let y = 0; y < SIDE; y++) {
    const row = Math.floor(y / ratio) * size
    for (let x = 0; x < SIDE; x++) sums[row + Math.floor(x / ratio)] += from[4 * (y * SIDE + x)]
  }
  let text = ""
  for (const sum of sums) text += String.fromCharCode(Math.round(sum / ratio ** 2))
  if (pad.cursor?.down) aim(pad)
  pad.send(btoa(text))
}
