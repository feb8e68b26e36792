// A checkpoint's decoder and the densities at one z, in plain functions that need neither a page nor a server.
// A description comes from app/pad_decoder.py; a feature map lies pixel by pixel, the channels of one next to each other.

function numbersOf(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))
  return new Float32Array(bytes.buffer)
}

const ACTIVATIONS = {
  relu: () => (v) => (v > 0 ? v : 0),
  leaky: ({ slope }) => (v) => (v > 0 ? v : slope * v),
  elu: ({ slope }) => (v) => (v > 0 ? v : slope * Math.expm1(v)),
  sigmoid: () => sigmoid,
  tanh: () => Math.tanh,
  softplus: () => softplus,
  silu: () => (v) => v * sigmoid(v),
}

function sigmoid(v) {
  return 1 / (1 + Math.exp(-v))
}

function softplus(v) {
  return Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)))
}

// ---- the decoder

function readDecoder({ shape, likelihood, layers, weights }) {
  const all = numbersOf(weights)
  let used = 0
  const take = (count) => all.subarray(used, (used += count))
  return { shape, likelihood, steps: stepsOf(layers, take) }
}

function stepsOf(layers, take) {
  return layers.map((layer) => {
    if (layer.kind in ACTIVATIONS) return activation(ACTIVATIONS[layer.kind](layer))
    return { linear, convolution, transposed, pixels, flat, sum }[layer.kind](layer, take)
  })
}

function activation(f) {
  return (h) => {
    for (let i = 0; i < h.length; i++) h[i] = f(h[i])
    return h
  }
}

// sum_i a[i] b[i] over `count` numbers of each, in double precision.
function dot(a, i, b, j, count) {
  let s = 0
  let t = 0
  let u = 0
  let v = 0
  const end = i + count - 3
  while (i < end) {
    s += a[i] * b[j]
    t += a[i + 1] * b[j + 1]
    u += a[i + 2] * b[j + 2]
    v += a[i + 3] * b[j + 3]
    i += 4
    j += 4
  }
  for (const last = end + 3; i < last; i++, j++) s += a[i] * b[j]
  return s + t + (u + v)
}

function linear(layer, take) {
  const [weight, bias] = [take(layer.in * layer.out), take(layer.out)]
  const out = new Float32Array(layer.out)
  return (h) => {
    for (let o = 0; o < layer.out; o++) out[o] = bias[o] + dot(h, 0, weight, o * layer.in, layer.in)
    return out
  }
}

// Which pairs of a small and a large pixel a tap joins: large = stride * small + tap - padding, on both axes.
function joined(layer, small, large) {
  const pairs = []
  const along = (axis, s, tap) => layer.stride[axis] * s + tap - layer.padding[axis]
  for (let ky = 0; ky < layer.kernel[0]; ky++)
    for (let kx = 0; kx < layer.kernel[1]; kx++)
      for (let y = 0; y < small[0]; y++)
        for (let x = 0; x < small[1]; x++) {
          const [Y, X] = [along(0, y, ky), along(1, x, kx)]
          if (Y < 0 || X < 0 || Y >= large[0] || X >= large[1]) continue
          pairs.push(ky * layer.kernel[1] + kx, y * small[1] + x, Y * large[1] + X)
        }
  return Int32Array.from(pairs)
}

function convolution(layer, take) {
  const pairs = joined(layer, layer.to, layer.from)
  for (let p = 0; p < pairs.length; p += 3) [pairs[p + 1], pairs[p + 2]] = [pairs[p + 2], pairs[p + 1]]
  return overPairs(layer, take, pairs)
}

function transposed(layer, take) {
  return overPairs(layer, take, joined(layer, layer.from, layer.to))
}

// out[to] += W[tap] h[from] for each (tap, from, to); W lies as [tap, out, in].
function overPairs(layer, take, pairs) {
  const { in: ins, out: outs } = layer
  const [weight, bias] = [take(layer.kernel[0] * layer.kernel[1] * ins * outs), take(outs)]
  const out = new Float32Array(layer.to[0] * layer.to[1] * outs)
  return (h) => {
    for (let i = 0; i < out.length; i += outs) out.set(bias, i)
    for (let p = 0; p < pairs.length; p += 3) {
      const from = pairs[p + 1] * ins
      const to = pairs[p + 2] * outs
      for (let o = 0, w = pairs[p] * outs * ins; o < outs; o++, w += ins) out[to + o] += dot(h, from, weight, w, ins)
    }
    return out
  }
}

// From channel by channel to pixel by pixel, and back.
function pixels({ channels }) {
  return (h) => rearranged(h, channels, h.length / channels)
}

function flat({ channels }) {
  return (h) => rearranged(h, h.length / channels, channels)
}

function rearranged(h, rows, columns) {
  if (rows === 1 || columns === 1) return h
  const out = new Float32Array(h.length)
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = h[r * columns + c]
  return out
}

function sum({ branches }, take) {
  const both = branches.map((layers) => stepsOf(layers, take))
  return (h) => {
    const [first, second] = both.map((steps) => through(steps, Float32Array.from(h)))
    return Float32Array.from(first, (v, i) => v + second[i])
  }
}

function through(steps, h) {
  for (const step of steps) h = step(h)
  return h
}

// The network's output at z, channel by channel: logits of a Bernoulli likelihood, the mean of a Gaussian one.
function decode(decoder, z) {
  return through(decoder.steps, Float32Array.from(z))
}

function meanOf(decoder, output) {
  return decoder.likelihood.kind === "bernoulli" ? Float32Array.from(output, sigmoid) : output
}

// ---- densities, in nats

function logLikelihood({ likelihood }, x, output) {
  let total = 0
  if (likelihood.kind === "bernoulli") {
    for (let i = 0; i < x.length; i++) total += x[i] * output[i] - softplus(output[i])
    return total
  }
  for (let i = 0; i < x.length; i++) total += ((x[i] - output[i]) / likelihood.scale) ** 2
  return -0.5 * total - x.length * (Math.log(likelihood.scale) + 0.5 * Math.log(2 * Math.PI))
}

// A density over the plane from its description: a function of z, which gives null where its table does not reach.
function readDensity(description) {
  const { kind, loc, scale } = description
  if (kind === "gaussian") return (z) => logNormal(z, loc, scale)
  if (kind === "mixture") {
    const { log_weights: weights } = description
    return (z) => logSumExp(weights.map((w, m) => w + logNormal(z, loc[m], scale[m])))
  }
  if (kind === "full") {
    const [[a, b], [, c]] = description.precision
    return ([z1, z2]) => {
      const [x, y] = [z1 - loc[0], z2 - loc[1]]
      return description.peak - 0.5 * (a * x * x + 2 * b * x * y + c * y * y)
    }
  }
  const axes = description.axes.map(numbersOf)
  const values = numbersOf(description.values)
  return (z) => interpolated(axes, values, z)
}

function logNormal(z, loc, scale) {
  let total = 0
  for (let d = 0; d < z.length; d++) {
    total -= 0.5 * ((z[d] - loc[d]) / scale[d]) ** 2 + Math.log(scale[d]) + 0.5 * Math.log(2 * Math.PI)
  }
  return total
}

function logSumExp(values) {
  let most = -Infinity
  for (const value of values) most = Math.max(most, value)
  let total = 0
  for (const value of values) if (value > most - 40) total += Math.exp(value - most)
  return most + Math.log(total)
}

// Bilinear between the nodes of a grid [z1, z2] whose axes need not be even.
function interpolated(axes, values, z) {
  const at = axes.map((axis, d) => cell(axis, z[d]))
  if (at.includes(null)) return null
  const [[i, s], [j, t]] = at
  const size = axes[1].length
  const row = (k) => (1 - t) * values[k * size + j] + t * values[k * size + j + 1]
  return (1 - s) * row(i) + s * row(i + 1)
}

function cell(axis, v) {
  let [low, high] = [0, axis.length - 1]
  if (!(v >= axis[low] && v <= axis[high])) return null
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (axis[middle] <= v) low = middle
    else high = middle
  }
  return [low, (v - axis[low]) / (axis[high] - axis[low])]
}

// log q(z) = log 1/N sum_n N(z; loc_n, diag scale_n²) over the codes of the data.
function readAggregate({ loc, scale }) {
  const [places, widths] = [numbersOf(loc), numbersOf(scale)]
  const count = places.length / 2
  const [constants, terms] = [new Float64Array(count), new Float64Array(count)]
  for (let n = 0; n < count; n++) {
    constants[n] = -Math.log(widths[2 * n]) - Math.log(widths[2 * n + 1]) - Math.log(2 * Math.PI * count)
  }
  return ([z1, z2]) => {
    for (let n = 0; n < count; n++) {
      const x = (z1 - places[2 * n]) / widths[2 * n]
      const y = (z2 - places[2 * n + 1]) / widths[2 * n + 1]
      terms[n] = constants[n] - 0.5 * (x * x + y * y)
    }
    return logSumExp(terms)
  }
}

// What belongs to a checkpoint: p(z), and the codes of the data with what is usual among them.
function readPlane({ prior, aggregate }) {
  return { prior: readDensity(prior), aggregate: aggregate && { ...aggregate, log: readAggregate(aggregate) } }
}

// What belongs to an image: x, the q(z|x) of each checkpoint, the first one's decoder being drawn, and log p(x).
function readImage({ x, q, log_evidence }) {
  return { x: numbersOf(x), q: q.map(readDensity), evidence: log_evidence }
}

// The log densities at z, one q for each checkpoint, and log q(z) of the data. `likelihood` is log p(x|z); null where
// a table ends.
function densitiesAt(plane, image, z, likelihood) {
  const prior = plane.prior(z)
  const posterior = prior === null || likelihood === null ? null : likelihood + prior - image.evidence
  const aggregate = plane.aggregate ? plane.aggregate.log(z) : null
  return { prior, likelihood, q: image.q.map((log) => log(z)), posterior, aggregate }
}

// How strongly the decoded image is drawn: wholly where codes of the data are as near as they are to most others,
// fainter below the lowest 1 % of what the codes see of each other, by the distance from there to their median.
function strengthAt(plane, aggregate) {
  if (aggregate === null) return 1
  const { low, usual } = plane.aggregate
  return Math.min(1, Math.max(0.15, 1 - (0.85 * (low - aggregate)) / Math.max(usual - low, 1e-6)))
}
