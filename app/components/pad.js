// The latent pad: the decoded image at the z under the pointer, and the densities there. Mounted twice: once with the
// decoder, which is kept here, and once, at every change, with the image.
const padPlanes = (globalThis.vaescopePlanes ??= new Map())
const pads = new WeakMap()
const PLANE_ARRIVED = "vaescope-plane"

export default function (component) {
  const { data, parentElement } = component
  const root = parentElement.querySelector(".pad")
  if (data.densities !== undefined) return keepPlane(data, root)
  const pad = pads.get(root) ?? mountPad(root)
  pad.send = (z) => component.setTriggerValue("pin", { z })
  const show = () => pad.show({ ...data, ...padPlanes.get(data.plane), image: readImage(data.image) })
  window.addEventListener(PLANE_ARRIVED, show)
  show()
  pads.set(root, pad)
  return () => {
    window.removeEventListener(PLANE_ARRIVED, show)
    pads.delete(root)
    pad.remove()
  }
}

function keepPlane({ name, decoder, densities }, root) {
  root.hidden = true
  if (!padPlanes.has(name)) {
    padPlanes.set(name, { decoder: decoder && readDecoder(decoder), densities: readPlane(densities) })
    if (padPlanes.size > 12) padPlanes.delete(padPlanes.keys().next().value)
  }
  window.dispatchEvent(new CustomEvent(PLANE_ARRIVED))
}
