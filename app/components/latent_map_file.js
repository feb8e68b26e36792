// The latent map as an SVG of its own: the same drawing, with its key beneath instead of beside it.
const LINE = 16 // pixels from one line of the key to the next
const LETTER = 5.6 // pixels that a letter of 11 px takes, at most on average

// What keep.js asks for: the figures that components of our own have drawn.
function answerFigures(map) {
  return ({ detail }) => {
    if (!map.cloud || !map.view || !map.root.isConnected) return
    detail.push({ name: "latent map", what: mapTitle(map), svg: () => mapFile(map) })
  }
}

function mapFile(map) {
  const { width, height } = map.view
  const lines = wrapped(map.legend.querySelector("em:last-child").textContent, width / LETTER)
  const notes = map.data.scale ? [...wrapped(`${map.data.scale.note};`, width / LETTER), ...lines] : lines
  const key = map.data.scale ? 52 : 22
  const pen = svgPen(width, height + key + LINE * notes.length + 6)
  still(map, pen)
  moving(map, pen)
  Object.assign(pen, { fillStyle: map.ink, font: "11px sans-serif", textAlign: "left" })
  if (map.data.scale) fileBar(map, pen, height + 14)
  else fileClasses(map, pen, height + 16)
  notes.forEach((line, i) => pen.fillText(line, 8, height + key + 12 + LINE * i))
  return pen.file(fileTitle(map), map.paper)
}

function fileTitle(map) {
  const chosen = map.chosen < 0 ? "" : ` The ringed one is ${name(map, map.chosen)}.`
  return `${mapTitle(map)}.${chosen}`
}

function wrapped(text, most) {
  const lines = [""]
  for (const word of text.split(" ")) {
    const last = lines.length - 1
    if (lines[last] && lines[last].length + word.length + 1 > most) lines.push(word)
    else lines[last] = `${lines[last]} ${word}`.trim()
  }
  return lines
}

function fileClasses(map, pen, y) {
  classesOf(map).forEach((label, i) => {
    pen.fillStyle = map.data.colours[label % 10]
    pen.beginPath()
    circle(pen, 13 + 30 * i, y - 4, 4.5)
    pen.fill()
    pen.fillStyle = map.ink
    pen.fillText(label, 21 + 30 * i, y)
  })
}

function fileBar(map, pen, y) {
  const { scale } = map.data
  const [left, wide] = [14, map.view.width - 28]
  pen.fillText(scale.title, left, y)
  const step = wide / 64
  for (let k = 0; k < 64; k++) {
    pen.fillStyle = `rgb(${shade(map, scale.ramp, k / 63).join()})`
    pen.fillRect(left + k * step, y + 6, step + 0.3, 10)
  }
  Object.assign(pen, { fillStyle: map.ink, textAlign: "center" })
  for (const [value, text] of scale.ticks) pen.fillText(text, left + along(scale, value) * wide, y + 29)
  pen.textAlign = "left"
}
