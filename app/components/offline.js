// The latent pad in a file of its own: the drawing is pointed at, and marks the place that is decoded.
const offlineView = JSON.parse(document.getElementById("view").textContent)
const offlinePlane = document.getElementById("plane")
const offlinePad = mountPad(document.querySelector(".pad"))

function placeInDrawing(event) {
  const box = offlinePlane.getBoundingClientRect()
  const [left, right, low, high] = offlineView.frame
  const across = (event.clientX - box.left) / box.width
  const up = (box.bottom - event.clientY) / box.height
  return [left + across * (right - left), low + up * (high - low)]
}

function tellPlace(name) {
  return (event) => window.dispatchEvent(new CustomEvent(name, { detail: { z: placeInDrawing(event) } }))
}

function markPlace({ detail }) {
  const mark = document.getElementById("plane-mark")
  mark.setAttribute("visibility", detail ? "visible" : "hidden")
  if (!detail) return
  const [left, right, low, high] = offlineView.frame
  const at = (name) => Number(offlinePlane.getAttribute(name))
  mark.setAttribute("cx", at("x") + (at("width") * (detail.z[0] - left)) / (right - left))
  mark.setAttribute("cy", at("y") + (at("height") * (high - detail.z[1])) / (high - low))
}

offlinePlane.addEventListener("pointermove", tellPlace("vaescope-pointer"))
offlinePlane.addEventListener("pointerdown", tellPlace("vaescope-pointer"))
offlinePlane.addEventListener("click", tellPlace("vaescope-press"))
window.addEventListener("vaescope-place", markPlace)
offlinePad.show({
  ...offlineView,
  decoder: readDecoder(offlineView.decoder),
  densities: readPlane(offlineView.densities),
  image: readImage(offlineView.image),
})
