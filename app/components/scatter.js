// Up to four maps of the same images side by side. What is pointed at or enclosed in one shows in all, at once; the
// server hears of a selection when it is made. Mounted in three ways: with a parcel of numbers, which is kept here;
// as the courier that fetches the small images of where the pointer rests; and as the maps themselves.
// The other parts of this script: scatter_paint.js (pixels), scatter_hands.js (pointer and keys), ramp.js (colours).
const parcels = (globalThis.vaescopeParcels ??= new Map())
const pictures = (globalThis.vaescopePictures ??= new Map()) // of each set, by row: a sprite and a place in it
const charts = new WeakMap()
const [ARRIVED, WANTED, SEEN] = ["vaescope-parcel", "vaescope-wanted", "vaescope-seen"]
const ARRAYS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array }
const TOOLS = {
  lasso: ["Lasso", "Enclose points with a line"],
  box: ["Box", "Enclose points with a box"],
  move: ["Move", "Drag the map"],
  in: ["+", "Zoom in"],
  out: ["\u2212", "Zoom out"],
  whole: ["Whole", "Show the whole map again"],
  clear: ["Clear", "Select nothing"],
}

export default function (component) {
  const { data, parentElement } = component
  const root = parentElement.querySelector(".scatter")
  if (data.parcel !== undefined) return keep(data, root)
  if (data.courier !== undefined) return courier(component, root)
  const chart = charts.get(root) ?? mount(root)
  chart.send = (selection) => component.setTriggerValue("selection", selection)
  chart.data = data
  show(chart)
  return () => unmount(chart)
}

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0))

function keep({ parcel, kind, numbers }, root) {
  root.hidden = true
  if (parcels.has(parcel)) return
  parcels.set(parcel, new ARRAYS[kind](bytes(numbers).buffer))
  window.dispatchEvent(new CustomEvent(ARRIVED))
}

function courier({ data, setTriggerValue }, root) {
  root.hidden = true
  if (data.rows.length) unpack(data)
  root.send = (wanted) => setTriggerValue("want", wanted)
  if (!root.heard) {
    root.heard = (event) => root.send(event.detail)
    window.addEventListener(WANTED, root.heard)
  }
  return () => {
    window.removeEventListener(WANTED, root.heard)
    root.heard = undefined
  }
}

function unpack({ set, rows, sprite }) {
  if (!pictures.has(set)) pictures.set(set, new Map())
  const image = new Image()
  image.onload = () => {
    rows.forEach((row, place) => pictures.get(set).set(row, { image, place, width: image.width / rows.length }))
    window.dispatchEvent(new CustomEvent(SEEN))
  }
  image.src = sprite
}

// ---- building

const make = (kind, name, more = {}) => Object.assign(document.createElement(kind), { className: name, ...more })

function mount(root) {
  const chart = { root, panels: [], inside: null, tools: make("div", "tools"), grid: make("div", "grid") }
  chart.said = make("div", "said", { ariaLive: "polite" })
  chart.legend = make("div", "legend")
  chart.count = make("b", "count")
  chart.tool = matchMedia("(pointer: coarse)").matches ? "move" : "lasso"
  chart.buttons = Object.entries(TOOLS).map(([name, [text, title]]) => {
    const button = make("button", name, { type: "button", textContent: text, title, onclick: () => use(chart, name) })
    button.setAttribute("aria-label", title)
    return button
  })
  chart.tools.append(...chart.buttons, chart.count)
  root.replaceChildren(chart.tools, chart.grid, chart.legend, chart.said)
  chart.onArrived = () => show(chart)
  chart.onSeen = () => {
    chart.flight = undefined
    for (const panel of chart.panels) tell(chart, panel)
  }
  window.addEventListener(ARRIVED, chart.onArrived)
  window.addEventListener(SEEN, chart.onSeen)
  chart.resizes = new ResizeObserver(() => show(chart))
  chart.resizes.observe(root)
  charts.set(root, chart)
  return chart
}

function unmount(chart) {
  window.removeEventListener(ARRIVED, chart.onArrived)
  window.removeEventListener(SEEN, chart.onSeen)
  chart.resizes.disconnect()
  cancelAnimationFrame(chart.soon)
  clearTimeout(chart.rest)
  clearTimeout(chart.waiting)
  charts.delete(chart.root)
}

function panelOf(chart, place) {
  const panel = { place, box: make("figure", "panel"), title: make("figcaption", "title"), frame: make("div", "frame") }
  panel.dots = make("canvas", "dots")
  panel.over = make("canvas", "over", { tabIndex: 0 })
  panel.over.setAttribute("role", "application")
  panel.tip = make("div", "tip", { hidden: true })
  panel.picture = make("canvas", "picture")
  panel.words = make("span", "")
  panel.tip.append(panel.picture, panel.words)
  panel.legend = make("div", "legend")
  panel.frame.append(panel.dots, panel.over, panel.tip)
  panel.box.append(panel.title, panel.frame, panel.legend)
  listen(chart, panel)
  return panel
}

// ---- what is to be seen

function show(chart) {
  const { data, root } = chart
  while (chart.panels.length < data.panels.length) chart.panels.push(panelOf(chart, chart.panels.length))
  chart.panels.length = data.panels.length
  const there = chart.panels.map((panel) => panel.box)
  // What is put in anew loses the keyboard's focus.
  if (there.length !== chart.grid.children.length) chart.grid.replaceChildren(...there)
  chart.grid.dataset.count = data.panels.length
  const style = getComputedStyle(root)
  chart.ink = style.getPropertyValue("--st-text-color").trim() || style.color
  chart.paper = style.getPropertyValue("--st-background-color").trim() || "#ffffff"
  chart.rows = parcels.get(data.rows)
  chart.labels = parcels.get(data.labels)
  const first = JSON.stringify(data.panels[0].legend)
  const shared = data.panels.length > 1 && data.panels.every((one) => JSON.stringify(one.legend) === first)
  chart.legend.replaceChildren()
  chart.panels.forEach((panel, place) => {
    const about = data.panels[place]
    const places = parcels.get(about.places)
    if (panel.places !== places) panel.view = undefined
    Object.assign(panel, { about, places, values: parcels.get(about.values) })
    panel.title.replaceChildren(make("b", "", { textContent: about.title }), ` ${about.note}`)
    panel.title.title = `${about.title}: ${about.note}`
    panel.colours = palette(chart, about.legend)
    panel.legend.replaceChildren()
    if (!shared || place === 0) legend(chart, panel, shared ? chart.legend : panel.legend)
    panel.over.setAttribute("aria-label", about.alt + KEYS)
  })
  agree(chart)
  use(chart, chart.tool)
  paintAll(chart)
}

// What the server says is selected counts, unless it has not heard yet of what was enclosed here.
function agree(chart) {
  const { selection, mask, count } = chart.data
  const key = JSON.stringify(selection)
  if (chart.asked !== undefined && chart.asked !== key && Date.now() - chart.since < 8000) return
  chart.asked = undefined
  // A mask may come before the numbers that it is of: it counts once they are there.
  if (!chart.rows || chart.known === key + mask) return
  chart.known = key + mask
  chart.inside = mask ? unmasked(mask, chart.rows.length) : null
  report(chart, count)
}

function unmasked(mask, count) {
  const packed = bytes(mask)
  return Uint8Array.from({ length: count }, (_, i) => (packed[i >> 3] >> (7 - (i & 7))) & 1)
}

function report(chart, count) {
  const all = counted(chart.rows?.length ?? 0, "point")
  const text = chart.inside ? `${count.toLocaleString("en-US")} of ${all} selected` : all
  chart.count.textContent = text
  chart.root.dataset.selected = chart.inside ? count : ""
}

function legend(chart, panel, place) {
  const { legend } = panel.about
  const parts = legend.names ? legend.names.map((name, k) => category(chart, panel, name, k)) : scale(chart, legend)
  place.replaceChildren(...parts, make("em", "", { textContent: legend.note }))
}

function category(chart, panel, name, k) {
  const { legend } = panel.about
  const made = make("button", "", { type: "button", textContent: name, title: `Select: ${legend.noun} ${name}` })
  made.style.setProperty("--colour", legend.colours[k])
  made.onclick = () => ask(chart, { panel: panel.place, category: k })
  return made
}

function scale(chart, legend) {
  const bar = make("i", "bar")
  const steps = Array.from({ length: 9 }, (_, k) => `rgb(${shade(chart, legend.ramp, k / 8).join()})`)
  bar.style.background = `linear-gradient(to right, ${steps.join()})`
  const [low, high] = legend.ends
  return [make("span", "end", { textContent: low }), bar, make("span", "end", { textContent: high })]
}

// ---- what is selected

function ask(chart, selection) {
  chart.asked = JSON.stringify(selection)
  chart.since = Date.now()
  chart.send(selection ?? { nothing: true })
}

function use(chart, name) {
  if (name === "clear") {
    chart.inside = null
    report(chart, 0)
    paintAll(chart)
    return ask(chart, null)
  }
  if (name in ZOOMS) return chart.panels.forEach((panel) => zoom(chart, panel, ZOOMS[name]))
  chart.tool = name
  for (const button of chart.buttons) {
    if (["lasso", "box", "move"].includes(button.className)) button.setAttribute("aria-pressed", button.className === name)
  }
  for (const panel of chart.panels) panel.over.dataset.tool = name
}
