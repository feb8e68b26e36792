// ---- a sequential scale of colours on a light or a dark ground: `chart.paper` is the ground's colour
const rgb = (colour) => {
  const hex = /^#([0-9a-f]{6})/i.exec(colour)
  if (hex) return [0, 8, 16].map((shift) => (parseInt(hex[1], 16) >> (16 - shift)) & 255)
  return (colour.match(/[\d.]+/g) ?? [255, 255, 255]).slice(0, 3).map(Number)
}
const mix = (one, other, share) => one.map((value, k) => Math.round(value + share * (other[k] - value)))
const dark = (chart) => rgb(chart.paper).reduce((sum, value) => sum + value, 0) < 384

// The end of the ramp that would be lost on this ground is left out.
function shade(chart, ramp, share) {
  const at = (dark(chart) ? 0.22 + 0.78 * share : 0.88 * share) * (ramp.length - 1)
  const step = Math.min(ramp.length - 2, Math.floor(at))
  return mix(rgb(ramp[step]), rgb(ramp[step + 1]), at - step)
}
