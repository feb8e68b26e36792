// ---- pixels: dots are written into an image by hand. Of 70,000 that takes 2 ms, where WebGL by software takes 96 and
// fillRect 221.
const SIDE = 65536 // places are whole numbers below it, on both axes
const RATIO = () => Math.min(2, devicePixelRatio || 1)

const pixel = ([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0

function palette(chart, legend) {
  const paper = rgb(chart.paper)
  const full = Array.from({ length: 256 }, (_, k) =>
    legend.names ? rgb(legend.colours[k % legend.colours.length]) : shade(chart, legend.ramp, k / 255),
  )
  return {
    full: Uint32Array.from(full, pixel),
    faint: Uint32Array.from(full, (colour) => pixel(mix(mix(colour, [128, 128, 128], 0.5), paper, 0.78))),
    paper: pixel(paper),
  }
}

function paintAll(chart) {
  for (const panel of chart.panels) panel.stale = true
  later(chart)
}

function later(chart) {
  cancelAnimationFrame(chart.soon)
  chart.soon = requestAnimationFrame(() => {
    for (const panel of chart.panels) {
      if (panel.stale && fit(panel)) paint(chart, panel)
      panel.stale = false
      outline(chart, panel)
    }
  })
}

// Room for the panel's pixels; false while it has none, or no places.
function fit(panel) {
  const side = Math.round(panel.frame.clientWidth * RATIO())
  if (!side || !panel.places || !panel.values) return false
  panel.view ??= { x: SIDE / 2, y: SIDE / 2, zoom: 1 }
  if (panel.side !== side) {
    panel.side = side
    for (const canvas of [panel.dots, panel.over]) canvas.width = canvas.height = side
    panel.image = panel.dots.getContext("2d").createImageData(side, side)
    panel.pixels = new Uint32Array(panel.image.data.buffer)
  }
  return true
}

const unit = (panel) => (panel.side / SIDE) * panel.view.zoom // pixels of a place's step
const px = (panel, x) => (x - panel.view.x) * unit(panel) + panel.side / 2
const py = (panel, y) => panel.side / 2 - (y - panel.view.y) * unit(panel)

function dotSize(panel) {
  const count = panel.places.length / 2
  const first = count > 20000 ? 1.6 : count > 4000 ? 2.4 : count > 1000 ? 4 : 5.5
  return Math.max(2, Math.round(Math.min(9, first * panel.view.zoom ** 0.35) * RATIO()))
}

function paint(chart, panel) {
  const { colours, pixels } = panel
  pixels.fill(colours.paper)
  if (chart.inside) {
    splat(panel, colours.faint, chart.inside, 0)
    splat(panel, colours.full, chart.inside, 1)
  } else splat(panel, colours.full, null, 0)
  panel.dots.getContext("2d").putImageData(panel.image, 0, 0)
  panel.painted = { ...panel.view }
  slide(panel)
  panel.over.dataset.drawn = panel.places.length / 2
}

// The picture as it was painted, moved to where the view is now.
function slide(panel) {
  const [x, y] = [panel.painted.x - panel.view.x, panel.view.y - panel.painted.y].map((by) => (by * unit(panel)) / RATIO())
  panel.dots.style.transform = x || y ? `translate(${x}px, ${y}px)` : ""
}

function splat(panel, colours, inside, wanted) {
  const { places, values, pixels, side } = panel
  const size = dotSize(panel)
  const rows = disc(size)
  const step = unit(panel)
  const left = side / 2 - panel.view.x * step - size / 2
  const top = side / 2 + panel.view.y * step - size / 2
  const last = side - size
  for (let i = 0, count = values.length; i < count; i++) {
    if (inside !== null && inside[i] !== wanted) continue
    const x = (places[2 * i] * step + left + 0.5) | 0
    const y = (top - places[2 * i + 1] * step + 0.5) | 0
    if (x < 0 || y < 0 || x > last || y > last) continue
    const colour = colours[values[i]]
    for (let row = 0, at = y * side + x; row < size; row++, at += side) {
      for (let k = at + rows[2 * row], end = at + rows[2 * row + 1]; k < end; k++) pixels[k] = colour
    }
  }
}

// Of each row of a dot: where it begins and ends.
const discs = new Map()
function disc(size) {
  if (!discs.has(size)) {
    const rows = new Int32Array(2 * size)
    for (let row = 0; row < size; row++) {
      const away = Math.abs(row + 0.5 - size / 2)
      const half = size < 4 ? size / 2 : Math.sqrt(Math.max(0, (size / 2) ** 2 - away ** 2))
      rows.set([Math.round(size / 2 - half), Math.round(size / 2 + half)], 2 * row)
    }
    discs.set(size, rows)
  }
  return discs.get(size)
}

// What moves over the dots: the line that encloses, and the ring around what is pointed at.
function outline(chart, panel) {
  if (!panel.side || !panel.view) return
  const pen = panel.over.getContext("2d")
  if (panel.drawnOver) pen.clearRect(0, 0, panel.side, panel.side)
  panel.drawnOver = false
  const stroke = (path, width) => {
    panel.drawnOver = true
    for (const [colour, wide] of [[chart.paper, width + 2.5], [chart.ink, width]]) {
      pen.strokeStyle = colour
      pen.lineWidth = wide * RATIO()
      pen.beginPath()
      path()
      pen.stroke()
    }
  }
  const line = chart.drag?.panel === panel ? chart.drag.line : null
  if (line && line.length > 1) {
    stroke(() => {
      for (const [x, y] of line) pen.lineTo(px(panel, x), py(panel, y))
      pen.closePath()
    }, 1.5)
  }
  const i = chart.pointed
  if (i === undefined || !panel.places || 2 * i >= panel.places.length) return
  stroke(() => circle(pen, px(panel, panel.places[2 * i]), py(panel, panel.places[2 * i + 1]), 7 * RATIO()), 2)
}
