// Numbers in words, by the rules of vaecore/text.py and app/numbers.py: what is pointed at reads as the panels do.

// Of a thing with a regular plural: "1 image", "2,000 test images".
function counted(number, thing) {
  return `${grouped(String(number))} ${thing}${number === 1 ? "" : "s"}`
}

// One decimal, two where small.
function nats(value) {
  return Number.isFinite(value) ? fixed(value, Math.abs(value) < 1 ? 2 : 1) : "not finite"
}

// Three digits, of numbers of any size.
function significant(value) {
  if (!Number.isFinite(value)) return "not finite"
  const decimals = 2 - Number(value.toExponential(2).split("e")[1])
  const text = decimals < 0 ? fixed(Number(value.toPrecision(3)), 0) : fixed(value, decimals)
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text
}

// So many decimals. Python rounds what lies halfway to the even digit, and only binary fractions do.
function fixed(value, decimals) {
  const steps = Math.abs(value) * 10 ** decimals
  const halfway = steps % 1 === 0.5 && Number.isInteger(value * 2 ** (decimals + 1))
  const [whole, ...rest] = (halfway ? (2 * Math.round(steps / 2)) / 10 ** decimals : Math.abs(value)).toFixed(decimals).split(".")
  const sign = value < 0 || Object.is(value, -0) ? "\u2212" : ""
  return sign + [grouped(whole), ...rest].join(".")
}

function grouped(whole) {
  return whole.replace(/\B(?=(\d{3})+$)/g, ",")
}
