// ---- dots coloured by a number: the values are sent once for each checkpoint and measure, and kept here
const colourings = (globalThis.vaescopeColourings ??= new Map())

function keepValues({ colouring, values }, root) {
  root.hidden = true
  if (colourings.has(colouring)) return
  const numbers = new Float32Array(Uint8Array.from(atob(values), (c) => c.charCodeAt(0)).buffer)
  const rank = (i) => (Number.isNaN(numbers[i]) ? -Infinity : numbers[i])
  // The greatest come last and lie on top: they are few, and what one looks for.
  const order = Uint32Array.from(numbers.keys()).sort((i, j) => rank(i) - rank(j) || 0)
  const known = numbers.reduce((sum, value) => sum + !Number.isNaN(value), 0)
  colourings.set(colouring, { numbers, order, size: known > 4000 ? 2 : 3.2 })
  window.dispatchEvent(new CustomEvent(ARRIVED))
}

function dotsByValue(map, pen) {
  const { places } = map.cloud
  const { scale } = map.data
  if (!map.values) return
  const steps = Array.from({ length: 64 }, (_, k) => `rgb(${shade(map, scale.ramp, k / 63).join()})`)
  for (const i of map.values.order) {
    const value = map.values.numbers[i]
    const known = !Number.isNaN(value)
    const side = known ? map.values.size : 1.2
    pen.globalAlpha = known ? 0.9 : 0.45
    pen.fillStyle = known ? steps[Math.round(63 * along(scale, value))] : "#8A939C"
    pen.fillRect(px(map, places[2 * i]) - side / 2, py(map, places[2 * i + 1]) - side / 2, side, side)
  }
  pen.globalAlpha = 1
}

// Where a value lies on the scale, in [0, 1]: what is beyond an end lies at it.
function along({ low, high, log }, value) {
  const share = log ? Math.log(Math.max(value, low) / low) / Math.log(high / low) : (value - low) / (high - low)
  return Math.min(1, Math.max(0, share))
}

function worth(map, index) {
  const value = map.values?.numbers[index]
  if (value === undefined) return ""
  if (Number.isNaN(value)) return `, no ${map.data.scale.what}`
  const { unit, what } = map.data.scale
  return `, ${what} ${unit ? `${nats(value)} ${unit}` : significant(value)}`
}

function colourBar(map) {
  const { scale } = map.data
  const make = (className, textContent = "") => Object.assign(document.createElement("div"), { className, textContent })
  const bar = make("bar")
  const ramp = make("ramp")
  const colours = Array.from({ length: 9 }, (_, k) => `rgb(${shade(map, scale.ramp, k / 8).join()})`)
  ramp.style.background = `linear-gradient(90deg, ${colours.join()})`
  const ticks = scale.ticks.map(([value, text]) => {
    const tick = make("tick", text)
    tick.style.left = `${100 * along(scale, value)}%`
    return tick
  })
  bar.append(make("title", scale.title), ramp, ...ticks)
  return [bar, Object.assign(document.createElement("em"), { textContent: `${scale.note};` })]
}
