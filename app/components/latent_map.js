// The latent map: every code a dot, coloured by its label, on a canvas. A press rings the nearest code at once; the
// server follows. Mounted twice: once with the codes, which are kept here, and once, at every change, with the choice.
// Colours by a number: latent_map_colours.js; the map as a file: latent_map_file.js.
const clouds = (globalThis.vaescopeClouds ??= new Map())
const maps = new WeakMap()
const CHOSEN = "vaescope-chosen" // tells the other widgets of a choice before the server does
const ARRIVED = "vaescope-codes"
const PLACE = "vaescope-place" // the z that the latent pad decodes
const ENCODED = "vaescope-encoded" // where the encoder puts a drawing, before the server's picture of it is there
const FIGURES = "vaescope-figures" // asks components of our own for what they have drawn
const NOTE = "circles: 1, 2, 3 sd of N(0, I); ring: the chosen one"
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }

export default function (component) {
  const { data, parentElement } = component
  const root = parentElement.querySelector(".map")
  if (data.points !== undefined) return keep(data, root)
  if (data.values !== undefined) return keepValues(data, root)
  const map = maps.get(root) ?? mount(root)
  map.send = (index) => component.setTriggerValue("pick", index)
  map.data = data
  if (map.asked === undefined || map.asked === data.chosen) {
    map.asked = undefined
    map.chosen = data.chosen
  }
  show(map)
  return () => unmount(map)
}

function keep({ cloud, points, labels }, root) {
  root.hidden = true
  if (clouds.has(cloud)) return
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0))
  const places = new Float32Array(bytes(points).buffer)
  const ends = [-3.2, 3.2, -3.2, 3.2] // the prior's circles always fit
  for (let i = 0; i < places.length; i++) {
    const side = 2 * (i % 2)
    ends[side] = Math.min(ends[side], places[i])
    ends[side + 1] = Math.max(ends[side + 1], places[i])
  }
  clouds.set(cloud, { places, labels: bytes(labels), ends, count: places.length / 2 })
  window.dispatchEvent(new CustomEvent(ARRIVED))
}

function mount(root) {
  const canvas = document.createElement("canvas")
  const make = (name) => Object.assign(document.createElement("div"), { className: name })
  const map = { root, canvas, tip: make("tip"), legend: make("legend"), said: make("said"), dots: document.createElement("canvas") }
  canvas.tabIndex = 0
  canvas.setAttribute("role", "application")
  map.said.setAttribute("aria-live", "polite")
  map.tip.hidden = true
  root.replaceChildren(canvas, map.tip, map.legend, map.said)
  listen(map)
  maps.set(root, map)
  return map
}

function listen(map) {
  const { canvas } = map
  canvas.onpointerdown = (event) => {
    point(map, event)
    if (event.shiftKey) return point(map, event, "vaescope-press")
    const index = nearest(map, event)
    if (index < 0) return
    map.before = map.chosen
    ring(map, index)
    // A finger may be about to scroll: it chooses when it lifts.
    if (event.pointerType === "mouse") choose(map, index)
  }
  canvas.onpointerup = (event) => {
    if (event.pointerType !== "mouse" && map.chosen !== map.before) choose(map, map.chosen)
  }
  canvas.onpointercancel = () => ring(map, map.before)
  canvas.onpointermove = (event) => hover(map, event) ?? point(map, event)
  canvas.onpointerleave = () => (map.tip.hidden = true) && point(map, null)
  canvas.onkeydown = (event) => walk(map, event)
  map.onChosen = (event) => {
    map.asked = event.detail
    ring(map, event.detail)
  }
  map.onArrived = () => show(map)
  map.onPlace = (event) => {
    map.place = event.detail
    paint(map)
  }
  map.onEncoded = (event) => {
    map.data = { ...map.data, ...event.detail, chosen: -1, frame: null }
    map.chosen = -1
    show(map)
  }
  map.onFigures = answerFigures(map)
  window.addEventListener(FIGURES, map.onFigures)
  window.addEventListener(ENCODED, map.onEncoded)
  window.addEventListener(PLACE, map.onPlace)
  window.addEventListener(CHOSEN, map.onChosen)
  window.addEventListener(ARRIVED, map.onArrived)
  map.resizes = new ResizeObserver(() => show(map))
  map.resizes.observe(map.root)
}

function unmount(map) {
  window.removeEventListener(FIGURES, map.onFigures)
  window.removeEventListener(ENCODED, map.onEncoded)
  window.removeEventListener(PLACE, map.onPlace)
  window.removeEventListener(CHOSEN, map.onChosen)
  window.removeEventListener(ARRIVED, map.onArrived)
  map.resizes.disconnect()
  clearTimeout(map.soon)
  maps.delete(map.root)
}

function choose(map, index) {
  window.dispatchEvent(new CustomEvent(CHOSEN, { detail: index }))
  map.send(index)
}

function ring(map, index) {
  map.chosen = index
  map.said.textContent = index < 0 ? "" : name(map, index)
  paint(map)
}

function name(map, index) {
  const label = map.cloud.labels[index]
  return `${map.data.what} ${index}` + (label === undefined ? "" : `: ${label}`) + worth(map, index)
}

// ---- where things are

const NARROWEST = 60 // pixels: while a page is redrawn a canvas may be nearly nothing, and radii would be negative

function show(map) {
  map.cloud = clouds.get(map.data.cloud)
  const width = map.root.clientWidth
  if (!map.cloud || width < NARROWEST) return
  const [left, right, low, high] = map.cloud.ends
  const edge = { left: 26, right: 8, top: 8, bottom: 22 }
  const scale = (width - edge.left - edge.right) / (right - left)
  const height = Math.round(Math.min(1.15 * width, (high - low) * scale + edge.top + edge.bottom))
  const fit = Math.min(scale, (height - edge.top - edge.bottom) / (high - low))
  const spare = (width - edge.left - edge.right - (right - left) * fit) / 2
  map.view = { width, height, edge, fit, x: edge.left + spare - left * fit, y: height - edge.bottom + low * fit }
  const style = getComputedStyle(map.root)
  map.ink = style.getPropertyValue("--st-text-color").trim() || style.color
  map.paper = style.getPropertyValue("--st-background-color").trim() || "#fff"
  map.values = colourings.get(map.data.scale?.name)
  const coloured = [map.data.scale?.name, map.values !== undefined]
  const key = [map.data.cloud, width, height, devicePixelRatio, map.ink, ...coloured].join()
  if (map.drawn !== key) draw(map)
  map.drawn = key
  describe(map)
  paint(map)
}

// The chosen code's place, or that of an image which is none of the map's.
const chosenPlace = ({ cloud, chosen, data }) => (chosen < 0 ? data.here : cloud.places.subarray(2 * chosen, 2 * chosen + 2))
const px = (map, z) => map.view.x + z * map.view.fit
const py = (map, z) => map.view.y - z * map.view.fit

function placeUnder(map, event) {
  const box = map.canvas.getBoundingClientRect()
  return [(event.clientX - box.left - map.view.x) / map.view.fit, (map.view.y - (event.clientY - box.top)) / map.view.fit]
}

// Tells the latent pad which z is pointed at, or pressed.
function point(map, event, name = "vaescope-pointer") {
  const detail = event && map.view ? { z: placeUnder(map, event), from: "map" } : null
  window.dispatchEvent(new CustomEvent(name, { detail }))
}

function nearest(map, event) {
  const [x, y] = placeUnder(map, event)
  return closest(map, (dx, dy) => dx * dx + dy * dy, x, y)
}

function closest(map, cost, x, y) {
  const { places, count } = map.cloud
  let found = -1
  let least = Infinity
  for (let i = 0; i < count; i++) {
    const value = cost(places[2 * i] - x, places[2 * i + 1] - y)
    if (value < least) [least, found] = [value, i]
  }
  return found
}

function walk(map, event) {
  const step = STEPS[event.key]
  if (!step || !map.cloud) return
  event.preventDefault()
  const cost = (dx, dy) => {
    const along = dx * step[0] + dy * step[1]
    const aside = dx * step[1] - dy * step[0]
    return along > 0 && Math.abs(aside) <= along ? along * along + 2 * aside * aside : Infinity
  }
  const index = closest(map, cost, ...chosenPlace(map))
  if (index < 0) return
  map.asked = index
  ring(map, index)
  clearTimeout(map.soon) // a held key asks the server once, where it stops
  map.soon = setTimeout(() => choose(map, index), 150)
}

function hover(map, event) {
  const index = event.pointerType === "mouse" ? nearest(map, event) : -1
  map.tip.hidden = index < 0
  if (index < 0) return
  const x = px(map, map.cloud.places[2 * index])
  map.tip.textContent = name(map, index)
  map.tip.style.top = `${py(map, map.cloud.places[2 * index + 1]) - 30}px`
  map.tip.style.left = x > map.view.width / 2 ? "" : `${x + 6}px`
  map.tip.style.right = x > map.view.width / 2 ? `${map.view.width - x + 6}px` : ""
}

// ---- drawing

function sized(canvas, { width, height }) {
  canvas.width = Math.round(width * devicePixelRatio)
  canvas.height = Math.round(height * devicePixelRatio)
  const pen = canvas.getContext("2d")
  pen.scale(devicePixelRatio, devicePixelRatio)
  return pen
}

// What stays: the prior's circles, axes and dots, drawn once and copied at every change of the choice.
function draw(map) {
  const pen = sized(map.dots, map.view)
  sized(map.canvas, map.view)
  map.canvas.style.height = `${map.view.height}px`
  still(map, pen)
}

function still(map, pen) {
  axes(map, pen)
  const { places, labels, count } = map.cloud
  if (map.data.scale) return dotsByValue(map, pen)
  const size = count > 4000 ? 2 : 3.2
  pen.globalAlpha = 0.75
  for (let i = 0; i < count; i++) {
    pen.fillStyle = labels.length ? map.data.colours[labels[i] % 10] : "#8A939C"
    pen.fillRect(px(map, places[2 * i]) - size / 2, py(map, places[2 * i + 1]) - size / 2, size, size)
  }
  pen.globalAlpha = 1
}

function axes(map, pen) {
  const { width, height, edge } = map.view
  pen.strokeStyle = "#8A939C"
  pen.lineWidth = 1
  for (const sigma of [1, 2, 3]) {
    pen.beginPath()
    circle(pen, px(map, 0), py(map, 0), sigma * map.view.fit)
    pen.stroke()
  }
  pen.fillStyle = map.ink
  pen.globalAlpha = 0.75
  pen.font = "11px sans-serif"
  const every = (height - 40) / map.view.fit > 12 ? 4 : 2
  for (let tick = -40; tick <= 40; tick += every) {
    pen.textAlign = "center"
    if (px(map, tick) > edge.left + 6 && px(map, tick) < width - 22) pen.fillText(tick, px(map, tick), height - 7)
    pen.textAlign = "right"
    if (py(map, tick) > 22 && py(map, tick) < height - edge.bottom) pen.fillText(tick, edge.left - 6, py(map, tick) + 4)
  }
  pen.fillText("z1", width - 5, height - 7)
  pen.fillText("z2", edge.left - 6, 15)
  pen.globalAlpha = 1
}

// What changes: the ring around the chosen code and the outline of the big picture's frame.
function paint(map) {
  if (!map.cloud || !map.view) return
  const pen = map.canvas.getContext("2d")
  pen.clearRect(0, 0, map.view.width, map.view.height)
  pen.drawImage(map.dots, 0, 0, map.view.width, map.view.height)
  moving(map, pen)
}

function moving(map, pen) {
  if (map.data.frame && map.asked === undefined) {
    const [left, right, low, high] = map.data.frame
    stroke(map, pen, () => pen.rect(px(map, left), py(map, high), (right - left) * map.view.fit, (high - low) * map.view.fit), 1.5)
  }
  const [x, y] = chosenPlace(map)
  // Of an image that is none of the map's, q's ellipse of 2 sd, where it is larger than the ring.
  const radii = [0, 1].map((side) => (map.chosen < 0 ? Math.max(7, 2 * map.data.spread[side] * map.view.fit) : 7))
  stroke(map, pen, () => oval(pen, px(map, x), py(map, y), ...radii), 2.5)
  if (map.place) cross(map, pen)
}

// Where the latent pad is: a cross, with a dot where it is pinned.
function cross(map, pen) {
  const [x, y] = [px(map, map.place.z[0]), py(map, map.place.z[1])]
  const [near, far] = [4, 11]
  const arm = (dx, dy) => (pen.moveTo(x + near * dx, y + near * dy), pen.lineTo(x + far * dx, y + far * dy))
  const arms = () => [[1, 0], [-1, 0], [0, 1], [0, -1]].forEach(([dx, dy]) => arm(dx, dy))
  stroke(map, pen, arms, 1.5)
  if (map.place.pinned) stroke(map, pen, () => circle(pen, x, y, 1.5), 2)
}

function stroke(map, pen, path, width) {
  for (const [colour, wide] of [[map.paper, width + 3], [map.ink, width]]) {
    pen.strokeStyle = colour
    pen.lineWidth = wide
    pen.beginPath()
    path()
    pen.stroke()
  }
}

function describe(map) {
  const chosen = map.chosen < 0 ? "" : ` Chosen: ${name(map, map.chosen)}.`
  const what = `${mapTitle(map)}.${chosen} Arrow keys go to the nearest code on that side.`
  map.canvas.setAttribute("aria-label", what)
  map.canvas.dataset.colouring = map.values ? map.data.scale.name : ""
  map.canvas.dataset.chosen = map.data.chosen
  map.canvas.dataset.here = map.data.here ?? ""
  const key = [map.data.cloud, map.data.scale?.name, map.ink, !map.data.frame].join()
  if (map.described === key) return
  map.described = key
  const square = map.data.frame ? "; square: what the picture shows" : ""
  const note = Object.assign(document.createElement("em"), { textContent: NOTE + square })
  const entries = () => classesOf(map).map((label) => entry(label, map.data.colours[label % 10]))
  map.legend.replaceChildren(...(map.data.scale ? colourBar(map) : entries()), note)
}

function mapTitle({ cloud, data }) {
  const ends = (ticks) => `, marked from ${ticks[0][1]} to ${ticks.at(-1)[1]}`
  const by = data.scale ? `, coloured by ${data.scale.title}${ends(data.scale.ticks)}` : ""
  return `Latent map: the codes of ${counted(cloud.count, data.what)}${by}`
}

const classesOf = (map) => [...new Set(map.cloud.labels)].sort((a, b) => a - b)

function entry(label, colour) {
  const made = Object.assign(document.createElement("span"), { textContent: label })
  made.style.setProperty("--colour", colour)
  return made
}
