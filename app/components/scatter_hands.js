// ---- pointer and keys
const ZOOMS = { in: 1.5, out: 1 / 1.5, whole: 0 }
const CORNERS = 40 // of a line that encloses: what the address can carry
const NEAR = 14 // pixels: farther away nothing is pointed at
const AROUND = 48 // images that are fetched together
const TOGETHER = 50 // points that Enter selects at least
const KEYS = ` Arrow keys go from point to point, plus and minus zoom, Enter selects about ${counted(TOGETHER, "point")} around the one pointed at, Backspace selects nothing.`
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }

function listen(chart, panel) {
  const { over } = panel
  over.onpointerdown = (event) => begin(chart, panel, event)
  over.onpointermove = (event) => move(chart, panel, event)
  over.onpointerup = (event) => end(chart, panel, event)
  over.onpointercancel = () => stop(chart)
  over.onpointerleave = () => chart.drag || point(chart, panel, undefined)
  over.onkeydown = (event) => key(chart, panel, event)
  over.onblur = () => point(chart, panel, undefined)
  over.addEventListener("wheel", (event) => wheel(chart, panel, event), { passive: false })
}

// Where the event is, in the places' units.
function at(panel, event) {
  const box = panel.over.getBoundingClientRect()
  const [x, y] = [(event.clientX - box.left) * (panel.side / box.width), (event.clientY - box.top) * (panel.side / box.height)]
  return [(x - panel.side / 2) / unit(panel) + panel.view.x, panel.view.y - (y - panel.side / 2) / unit(panel)]
}

function begin(chart, panel, event) {
  if (!panel.places || !panel.view || event.button > 1) return
  panel.fingers ??= new Map()
  panel.fingers.set(event.pointerId, event)
  panel.over.setPointerCapture(event.pointerId)
  if (panel.fingers.size === 2) return pinch(chart, panel)
  const tool = event.button === 1 || event.shiftKey ? "move" : chart.tool
  const start = at(panel, event)
  chart.drag = { panel, tool, start, line: tool === "move" ? null : [start], from: [event.clientX, event.clientY] }
  point(chart, panel, undefined)
}

function pinch(chart, panel) {
  stop(chart)
  const [one, other] = [...panel.fingers.values()]
  const middle = { clientX: (one.clientX + other.clientX) / 2, clientY: (one.clientY + other.clientY) / 2 }
  const apart = Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY)
  chart.drag = { panel, tool: "pinch", start: at(panel, middle), apart, zoom: panel.view.zoom }
}

function move(chart, panel, event) {
  if (!panel.places || !panel.view) return
  if (!chart.drag) return event.pointerType === "mouse" && point(chart, panel, nearest(panel, event))
  const { drag } = chart
  if (drag.panel !== panel) return
  panel.fingers.set(event.pointerId, event)
  if (drag.tool === "pinch") return pinched(chart, panel)
  const here = at(panel, event)
  if (drag.tool === "move") {
    panel.view.x -= here[0] - drag.start[0]
    panel.view.y -= here[1] - drag.start[1]
    slide(panel)
    return unhurried(chart, () => repaint(chart, panel))
  }
  if (drag.tool === "box") drag.line = [drag.start, [here[0], drag.start[1]], here, [drag.start[0], here[1]]]
  else if (apart(panel, drag.line.at(-1), here) > 3) drag.line.push(here)
  drag.moved = true
  later(chart)
  unhurried(chart, () => chart.drag === drag && enclose(chart, drag))
}

// While something is dragged the dots are painted no more often than this: without a GPU a browser takes 70 ms for it.
const PAUSE = 200

function unhurried(chart, act) {
  chart.waiting ??= setTimeout(() => {
    chart.waiting = undefined
    act()
  }, PAUSE)
}

function repaint(chart, panel) {
  panel.stale = true
  later(chart)
}

const apart = (panel, one, other) => Math.hypot(one[0] - other[0], one[1] - other[1]) * unit(panel)

function pinched(chart, panel) {
  const { drag } = chart
  const [one, other] = [...panel.fingers.values()]
  const middle = { clientX: (one.clientX + other.clientX) / 2, clientY: (one.clientY + other.clientY) / 2 }
  panel.view.zoom = limit((drag.zoom * Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY)) / drag.apart)
  const here = at(panel, middle)
  panel.view.x -= here[0] - drag.start[0]
  panel.view.y -= here[1] - drag.start[1]
  panel.stale = true
  later(chart)
}

// While the line is drawn, what it encloses stands out in every map, and is counted.
function enclose(chart, drag) {
  drag.polygon = corners(drag.line)
  chart.inside = within(drag.panel.places, drag.polygon)
  report(chart, sum(chart.inside))
  paintAll(chart)
}

function corners(line) {
  const step = Math.max(1, line.length / CORNERS)
  const kept = Array.from({ length: Math.min(line.length, CORNERS) }, (_, k) => line[Math.floor(k * step)])
  return kept.map((corner) => corner.map((value) => Math.max(-SIDE, Math.min(2 * SIDE, Math.round(value)))))
}

function sum(values) {
  let total = 0
  for (let i = 0; i < values.length; i++) total += values[i]
  return total
}

// Which places lie within, by the even-odd rule in whole numbers: the server counts the very same.
function within(places, polygon) {
  const inside = new Uint8Array(places.length / 2)
  const [xs, ys] = [polygon.map(([x]) => x), polygon.map(([, y]) => y)]
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)]
  for (let p = 0; p < inside.length; p++) {
    const x = places[2 * p]
    const y = places[2 * p + 1]
    if (x < left || x > right || y < low || y > high) continue
    let odd = 0
    for (let i = 0, j = xs.length - 1; i < xs.length; j = i++) {
      if (ys[i] > y === ys[j] > y) continue
      const side = (x - xs[i]) * (ys[j] - ys[i]) - (xs[j] - xs[i]) * (y - ys[i])
      if (ys[j] > ys[i] ? side < 0 : side > 0) odd ^= 1
    }
    inside[p] = odd
  }
  return inside
}

function end(chart, panel, event) {
  panel.fingers?.delete(event.pointerId)
  const { drag } = chart
  if (!drag || drag.panel !== panel) return
  chart.drag = undefined
  if (!drag.line) return repaint(chart, panel)
  const tiny = Math.hypot(event.clientX - drag.from[0], event.clientY - drag.from[1]) < 5 && drag.line.length < 4
  if (tiny || !drag.moved) {
    chart.known = undefined // a press without a line changes nothing
    agree(chart)
    paintAll(chart)
    return point(chart, panel, nearest(panel, event))
  }
  enclose(chart, drag)
  ask(chart, { panel: panel.place, polygon: drag.polygon })
  chart.said.textContent = chart.count.textContent
}

function stop(chart) {
  chart.drag?.panel.fingers?.clear()
  chart.drag = undefined
  chart.known = undefined
  agree(chart)
  paintAll(chart)
}

// ---- zooming

const limit = (zoom) => Math.max(0.8, Math.min(60, zoom))

function zoom(chart, panel, factor, around) {
  if (!panel.view) return
  if (!factor) panel.view = { x: SIDE / 2, y: SIDE / 2, zoom: 1 }
  else {
    const { view } = panel
    const [x, y] = around ?? [view.x, view.y]
    const next = limit(view.zoom * factor)
    view.x = x - ((x - view.x) * view.zoom) / next
    view.y = y - ((y - view.y) * view.zoom) / next
    view.zoom = next
  }
  panel.stale = true
  later(chart)
}

function wheel(chart, panel, event) {
  if (!panel.view) return
  event.preventDefault()
  zoom(chart, panel, Math.exp(-Math.max(-200, Math.min(200, event.deltaY)) / 400), at(panel, event))
}

// ---- pointing

function nearest(panel, event) {
  const [x, y] = at(panel, event)
  return closest(panel, (dx, dy) => dx * dx + dy * dy, x, y, ((NEAR * RATIO()) / unit(panel)) ** 2)
}

function closest(panel, cost, x, y, most = Infinity) {
  const { places } = panel
  let [found, least] = [undefined, most]
  for (let i = 0; 2 * i < places.length; i++) {
    const value = cost(places[2 * i] - x, places[2 * i + 1] - y)
    if (value < least) [least, found] = [value, i]
  }
  return found
}

function point(chart, panel, index) {
  if (chart.pointed === index && chart.hovered === panel) return
  Object.assign(chart, { pointed: index, hovered: panel })
  for (const one of chart.panels) tell(chart, one)
  later(chart)
  clearTimeout(chart.rest)
  if (index !== undefined) chart.rest = setTimeout(() => fetchAround(chart, panel, index), 40)
}

function name(chart, index) {
  const label = chart.labels?.[index]
  const { what, tests } = chart.data
  const row = chart.rows[index]
  return (row < tests ? `test image ${row}` : `${what} ${row - tests}`) + (label === undefined ? "" : `: ${label}`)
}

// The small image and the words beside what is pointed at; in the other maps a ring says enough.
function tell(chart, panel) {
  const index = chart.hovered === panel ? chart.pointed : undefined
  panel.tip.hidden = index === undefined || !chart.rows
  if (panel.tip.hidden) return
  panel.words.textContent = name(chart, index)
  const found = pictures.get(chart.data.set)?.get(chart.rows[index])
  panel.picture.hidden = !found
  if (found) {
    panel.picture.width = found.width
    panel.picture.height = found.image.height
    const from = [found.place * found.width, 0, found.width, found.image.height]
    panel.picture.getContext("2d").drawImage(found.image, ...from, 0, 0, found.width, found.image.height)
  }
  const wide = panel.frame.clientWidth
  const x = px(panel, panel.places[2 * index]) / RATIO()
  const y = py(panel, panel.places[2 * index + 1]) / RATIO()
  Object.assign(panel.tip.style, x < wide / 2 ? { left: `${x + 12}px`, right: "" } : { left: "", right: `${wide - x + 12}px` })
  Object.assign(panel.tip.style, y < wide / 2 ? { top: `${y + 8}px`, bottom: "" } : { top: "", bottom: `${wide - y + 8}px` })
}

// Ask for the images around the pointer, once it rests, one request at a time.
function fetchAround(chart, panel, index) {
  const known = pictures.get(chart.data.set)
  if (known?.has(chart.rows[index])) return
  if (chart.flight && Date.now() - chart.flight < 3000) {
    chart.rest = setTimeout(() => chart.pointed === index && fetchAround(chart, panel, index), 80)
    return
  }
  chart.flight = Date.now()
  const rows = around(panel, index, 4 * AROUND).map((i) => chart.rows[i]).filter((row) => !known?.has(row))
  window.dispatchEvent(new CustomEvent(WANTED, { detail: { set: chart.data.set, rows: rows.slice(0, AROUND) } }))
}

// The points nearest to one, itself first.
function around(panel, index, count) {
  const { places } = panel
  const far = Float64Array.from({ length: places.length / 2 }, (_, i) =>
    (places[2 * i] - places[2 * index]) ** 2 + (places[2 * i + 1] - places[2 * index + 1]) ** 2,
  )
  const bound = far.slice().sort()[Math.min(count, far.length) - 1]
  const found = []
  far.forEach((value, i) => value <= bound && found.push(i))
  return found.sort((i, j) => far[i] - far[j])
}

function key(chart, panel, event) {
  if (!panel.places || !panel.view) return
  const step = STEPS[event.key]
  if (step) walk(chart, panel, step)
  else if (event.key === "+" || event.key === "=") zoom(chart, panel, ZOOMS.in)
  else if (event.key === "-") zoom(chart, panel, ZOOMS.out)
  else if (event.key === "0") zoom(chart, panel, 0)
  else if (event.key === "Enter" && chart.pointed !== undefined) together(chart, panel)
  else if (event.key === "Backspace" || event.key === "Delete") use(chart, "clear")
  else return
  event.preventDefault()
}

function walk(chart, panel, step) {
  const { places, view } = panel
  const from = chart.pointed
  const [x, y] = from === undefined ? [view.x, view.y] : [places[2 * from], places[2 * from + 1]]
  const cost = (dx, dy) => {
    const along = dx * step[0] + dy * step[1]
    const aside = dx * step[1] - dy * step[0]
    return along > 0 && Math.abs(aside) <= along ? along * along + 2 * aside * aside : Infinity
  }
  const found = closest(panel, from === undefined ? (dx, dy) => dx * dx + dy * dy : cost, x, y)
  if (found === undefined) return
  point(chart, panel, found)
  chart.said.textContent = name(chart, found)
}

// Twelve corners around the nearest points: a line that the address can carry, and that leaves none of them out.
function together(chart, panel) {
  const { places } = panel
  const index = chart.pointed
  const last = around(panel, index, TOGETHER).at(-1)
  const far = Math.hypot(places[2 * last] - places[2 * index], places[2 * last + 1] - places[2 * index + 1])
  const reach = (far + 2) / Math.cos(Math.PI / 12)
  const corner = (k) => {
    const angle = (k * Math.PI) / 6
    return [places[2 * index] + reach * Math.cos(angle), places[2 * index + 1] + reach * Math.sin(angle)]
  }
  const drag = { panel, line: Array.from({ length: 12 }, (_, k) => corner(k)) }
  enclose(chart, drag)
  ask(chart, { panel: panel.place, polygon: drag.polygon })
  chart.said.textContent = chart.count.textContent
}
