// Files of what the page has drawn: a figure as one stand-alone SVG, or as a PNG made from that; a link to the page.
// A figure is {what, svg()}: of plotly's, or what a component of our own answers to `vaescope-figures`, with its name.
const SHARPNESS = 3 // pixels of the PNG for each one on the screen
const XLINK = "http://www.w3.org/1999/xlink"
const SVG = "http://www.w3.org/2000/svg"
const rows = new WeakMap()

export default function (component) {
  const root = component.parentElement.querySelector(".keep")
  const keep = rows.get(root) ?? { root }
  rows.set(root, keep)
  keep.data = component.data
  if (keep.data.every) return everyFigure(keep)
  const figure = () => (keep.data.own ? ownFigures().find(({ name }) => name === keep.data.own) : theFigure(keep.data.figure))
  const files = filesOf(keep, figure, () => keep.data.name, keep.data.own ?? "picture")
  root.replaceChildren(...files, ...(keep.data.own ? [] : [linkButton(keep)]), saying(keep))
}

// ---- the buttons

function filesOf(keep, figure, name, what) {
  return ["PNG", "SVG"].map((kind) => button(kind, `Keep the ${what} as ${kind}`, () => save(keep, figure(), name(), kind.toLowerCase())))
}

function linkButton(keep) {
  return button("Copy link", "Copy the link to this view", async () => {
    keep.said.textContent = (await copied(location.href)) ? "Copied." : "The browser does not let it be copied: take it from the address."
  })
}

function button(text, title, onclick) {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: text, title, onclick })
  made.setAttribute("aria-label", title)
  return made
}

function saying(keep) {
  keep.said = document.createElement("span")
  keep.said.setAttribute("role", "status")
  return keep.said
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    const field = Object.assign(document.createElement("textarea"), { value: text })
    document.body.append(field)
    field.select()
    const done = document.execCommand("copy")
    field.remove()
    return done
  }
}

// A closed list of all figures on the page, made anew whenever it is opened: pages draw theirs as they come.
function everyFigure(keep) {
  if (keep.root.firstChild) return
  const list = document.createElement("details")
  const head = Object.assign(document.createElement("summary"), { textContent: "Keep the figures of this page" })
  const body = document.createElement("ul")
  list.append(head, body, saying(keep))
  list.ontoggle = () => {
    const charts = [...document.querySelectorAll(".stPlotlyChart")].filter((chart) => chart.offsetParent && plotOf(chart))
    const figures = [...charts.map(plotFigure), ...ownFigures()]
    body.replaceChildren(...figures.map((figure, place) => item(keep, figure, place)))
    keep.said.textContent = figures.length ? "" : "There is no figure here as yet."
  }
  keep.root.append(list)
}

function item(keep, figure, place) {
  const made = document.createElement("li")
  const what = figure.what || `Figure ${place + 1}`
  const buttons = filesOf(keep, () => figure, () => `${pageName()}-${place + 1}`, "figure")
  for (const one of buttons) one.setAttribute("aria-label", `${one.textContent} of figure ${place + 1}: ${what}`)
  made.append(...buttons, Object.assign(document.createElement("span"), { textContent: what }))
  return made
}

function pageName() {
  const asked = new URLSearchParams(location.search)
  const parts = [asked.get("checkpoint"), ...["image", "sample"].map((kind) => asked.get(kind) && `${kind}-${asked.get(kind)}`)]
  const page = location.pathname.split("/").filter(Boolean).pop() || "home"
  return [...parts.filter(Boolean), page].join("-").replace(/[^\w.-]+/g, "-").slice(0, 120)
}

function theFigure(key) {
  const chart = document.querySelector(`.st-key-${key} .stPlotlyChart`)
  return chart && plotFigure(chart)
}

function plotFigure(chart) {
  return { what: chart.getAttribute("aria-label"), svg: () => standAlone(plotOf(chart)) }
}

function ownFigures() {
  const found = []
  window.dispatchEvent(new CustomEvent("vaescope-figures", { detail: found }))
  return found
}

function plotOf(chart) {
  return [...chart.querySelectorAll(".js-plotly-plot")].find((plot) => plot.querySelector(".main-svg")?.getBoundingClientRect().width)
}

// ---- the files

async function save(keep, figure, name, kind) {
  keep.said.textContent = ""
  try {
    if (!figure) throw new Error("there is none as yet")
    const text = await figure.svg()
    const file = kind === "svg" ? new Blob([text], { type: "image/svg+xml" }) : await raster(text)
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: `${name}.${kind}` })
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 60000)
  } catch (error) {
    keep.said.textContent = `The picture could not be kept: ${error.message || "there is none as yet"}.`
  }
}

// Plotly draws on several layers: all of them in one SVG, which needs no style sheet, font or script from elsewhere.
async function standAlone(plot) {
  if (!plot) throw new Error("there is none as yet")
  const [first] = plot.querySelectorAll(".main-svg")
  const { width, height } = first.getBoundingClientRect()
  const made = document.createElementNS(SVG, "svg")
  const sizes = { xmlns: SVG, "xmlns:xlink": XLINK, width, height, viewBox: `0 0 ${width} ${height}`, role: "img" }
  for (const [name, value] of Object.entries(sizes)) made.setAttribute(name, value)
  const title = document.createElementNS(SVG, "title")
  title.textContent = plot.closest(".stPlotlyChart").getAttribute("aria-label") ?? ""
  made.append(title, await fonts(plot), ground(plot, width, height))
  for (const layer of plot.querySelectorAll(".main-svg, .gl-container canvas")) {
    if (layer.tagName !== "CANVAS") made.append(...[...layer.children].map(plain))
    else if (layer.width) made.append(picture(layer, width, height))
  }
  return new XMLSerializer().serializeToString(made)
}

function ground(plot, width, height) {
  const made = document.createElementNS(SVG, "rect")
  let below = plot
  while (below.parentElement && transparent(getComputedStyle(below).backgroundColor)) below = below.parentElement
  const colour = getComputedStyle(below).backgroundColor
  for (const [name, value] of Object.entries({ width, height, fill: transparent(colour) ? "white" : colour })) made.setAttribute(name, value)
  return made
}

const transparent = (colour) => colour === "transparent" || /, 0\)$/.test(colour)

// WebGL layers lie between the others as they are.
function picture(canvas, width, height) {
  const made = document.createElementNS(SVG, "image")
  for (const [name, value] of Object.entries({ width, height, href: canvas.toDataURL() })) made.setAttribute(name, value)
  return made
}

// A copy of a layer that says itself what plotly says by classes, without what is hidden.
function plain(layer) {
  const copy = layer.cloneNode(true)
  const [from, to] = [layer, copy].map((node) => [node, ...node.querySelectorAll("*")])
  from.forEach((node, place) => {
    const made = to[place]
    const shown = getComputedStyle(node)
    if (shown.shapeRendering !== "auto") made.setAttribute("shape-rendering", shown.shapeRendering)
    for (const name of ["class", "data-unformatted", "data-math", "pointer-events", "vector-effect"]) made.removeAttribute(name)
    // Else lines would not grow with a larger picture.
    for (const name of ["pointer-events", "cursor", "vector-effect"]) made.style.removeProperty(name)
    if (shown.display === "none" || shown.visibility === "hidden") made.setAttribute("display", "none")
  })
  for (const idle of copy.querySelectorAll("[display=none]")) idle.remove()
  return copy
}

// The font that the page's texts are set in, where the page brought it itself; other programs fall back on a sans-serif.
async function fonts(plot) {
  const style = document.createElementNS(SVG, "style")
  const words = plot.querySelector("text")
  const family = words ? getComputedStyle(words).fontFamily.split(",")[0].replace(/["']/g, "").trim() : ""
  const face = faces().find((rule) => rule.style.getPropertyValue("font-family").replace(/["']/g, "") === family && rule.style.getPropertyValue("font-style") !== "italic")
  const source = face?.style.getPropertyValue("src").match(/url\(["']?([^"')]+)/)?.[1]
  if (!source) return style
  const url = new URL(source, face.parentStyleSheet.href ?? location.href)
  const held = await fetch(url).then((answer) => (answer.ok ? answer.blob() : null)).catch(() => null)
  if (held) style.textContent = `@font-face { font-family: "${family}"; font-weight: 100 900; src: url(${await asData(held)}) }`
  return style
}

function faces() {
  return [...document.styleSheets].flatMap((sheet) => {
    try {
      return [...sheet.cssRules].filter((rule) => rule instanceof CSSFontFaceRule)
    } catch {
      return [] // a sheet of another origin
    }
  })
}

function asData(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader()
    reader.onload = () => resolve(reader.result)
    reader.onerror = () => reject(reader.error)
    reader.readAsDataURL(blob)
  })
}

async function raster(text) {
  const image = new Image()
  image.src = await asData(new Blob([text], { type: "image/svg+xml" }))
  await image.decode()
  const canvas = document.createElement("canvas")
  canvas.width = Math.round(image.width * SHARPNESS)
  canvas.height = Math.round(image.height * SHARPNESS)
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height)
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("it is too large"))), "image/png"))
}
