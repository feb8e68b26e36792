// The contours as a place to point at: plotly's own axes say which z a pixel is. Heard on the document, because the
// picture is drawn anew at every change. Sends `vaescope-pointer` and, at a click, `vaescope-press`; marks the place.
// Moved as a layer of its own, so that the contours beneath need not be drawn again.
const MARK = "position:absolute;left:0;top:0;z-index:5;pointer-events:none;border-radius:50%;will-change:transform;"

function watchPicture(selector) {
  const watched = new WeakSet()
  const mark = Object.assign(document.createElement("div"), { className: "vaescope-mark" })
  let place = null
  let start = null

  const put = () => {
    const plot = document.querySelector(selector)
    if (!plot) return
    prepare(plot)
    const at = place && pixelAt(plot, place.z)
    mark.hidden = !at
    if (!at) return
    if (mark.parentElement !== plot) plot.append(mark)
    const ring = place.pinned ? "inset 0 0 0 2px #fff, 0 0 0 2px #1B2530" : "0 0 0 1.5px #1B2530, 0 0 0 3px #fff"
    const size = place.pinned ? 13 : 9
    mark.style.cssText = `${MARK}width:${size}px;height:${size}px;margin:${-size / 2}px;box-shadow:${ring};transform:translate(${at[0]}px,${at[1]}px)`
  }
  const prepare = (plot) => {
    if (watched.has(plot)) return
    watched.add(plot)
    plot.on?.("plotly_afterplot", put)
  }
  const tell = (name, z) => window.dispatchEvent(new CustomEvent(name, { detail: z && { z, from: "picture" } }))
  const over = (event) => event.target.closest?.(selector)
  const move = (event) => {
    const plot = over(event)
    const z = plot && placeAt(plot, event)
    if (z) tell("vaescope-pointer", z)
    else if (move.inside) tell("vaescope-pointer", null)
    move.inside = Boolean(z)
  }
  const down = (event) => {
    const plot = event.target.closest?.(".nsewdrag") && over(event)
    start = plot && event.button === 0 ? { plot, x: event.clientX, y: event.clientY } : null
    if (plot) move(event)
  }
  const up = (event) => {
    if (event.pointerType !== "mouse") tell("vaescope-pointer", null)
    if (!start || Math.hypot(event.clientX - start.x, event.clientY - start.y) > 5) return (start = null)
    const z = placeAt(start.plot, event)
    start = null
    if (z) tell("vaescope-press", z)
  }
  const leave = () => {
    start = null
    tell("vaescope-pointer", null)
  }
  const follow = (event) => {
    place = event.detail
    put()
  }
  // Plotly would drag the picture along under the finger, which then points at one and the same z.
  const touch = (event) => event.target.closest?.(".nsewdrag") && over(event) && event.stopImmediatePropagation()
  // A finger that goes up or down scrolls, another one points.
  const style = document.createElement("style")
  style.textContent = `${selector}, ${selector} * { touch-action: pan-y !important; }`
  document.head.append(style)
  document.addEventListener("touchstart", touch, true)
  document.addEventListener("pointermove", move)
  document.addEventListener("pointerdown", down, true)
  document.addEventListener("pointerup", up, true)
  document.addEventListener("pointercancel", leave, true)
  window.addEventListener("vaescope-place", follow)
  const stop = () => {
    document.removeEventListener("touchstart", touch, true)
    document.removeEventListener("pointermove", move)
    document.removeEventListener("pointerdown", down, true)
    document.removeEventListener("pointerup", up, true)
    document.removeEventListener("pointercancel", leave, true)
    window.removeEventListener("vaescope-place", follow)
    style.remove()
    mark.remove()
  }
  return { stop }
}

// The z under an event, or null outside the axes.
function placeAt(plot, event) {
  const { xaxis, yaxis } = plot._fullLayout ?? {}
  if (!xaxis?._length) return null
  const box = plot.getBoundingClientRect()
  const x = event.clientX - box.left - xaxis._offset
  const y = event.clientY - box.top - yaxis._offset
  if (x < 0 || y < 0 || x > xaxis._length || y > yaxis._length) return null
  return [xaxis.p2d(x), yaxis.p2d(y)]
}

// The pixel of a z in the plot, or null outside the axes.
function pixelAt(plot, z) {
  const { xaxis, yaxis } = plot._fullLayout ?? {}
  if (!xaxis?._length) return null
  const [x, y] = [xaxis.d2p(z[0]), yaxis.d2p(z[1])]
  if (x < 0 || y < 0 || x > xaxis._length || y > yaxis._length) return null
  return [x + xaxis._offset, y + yaxis._offset]
}
