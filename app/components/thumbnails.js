// A row of images, each a real button, of which the Tab key meets one, and the arrow keys the others. The choice is
// outlined at once; the server follows.
const strips = new WeakMap()
const CHOSEN = "vaescope-chosen" // tells the other widgets of a choice before the server does

export default function (component) {
  const root = component.parentElement.querySelector(".strip")
  const strip = strips.get(root) ?? mount(root)
  strip.send = (index) => component.setTriggerValue("pick", index)
  if (strip.sprite !== component.data.sprite) fill(strip, component.data)
  if (strip.asked === undefined || strip.asked === component.data.chosen) {
    strip.asked = undefined
    mark(strip, component.data.chosen)
  }
  return () => {
    window.removeEventListener(CHOSEN, strip.listen)
    strips.delete(root)
  }
}

function mount(root) {
  const strip = { root, buttons: [] }
  strip.listen = (event) => {
    strip.asked = event.detail
    mark(strip, event.detail)
  }
  root.onkeydown = (event) => walkStrip(strip, event)
  root.addEventListener("focusin", (event) => meet(strip, event.target))
  window.addEventListener(CHOSEN, strip.listen)
  strips.set(root, strip)
  return strip
}

function walkStrip({ buttons }, event) {
  const here = buttons.indexOf(event.target)
  const to = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: buttons.length - 1 }[event.key]
  if (here < 0 || !buttons[to]) return
  event.preventDefault()
  buttons[to].focus()
}

// Which of them the Tab key meets.
function meet({ buttons }, met) {
  if (buttons.includes(met)) for (const button of buttons) button.tabIndex = button === met ? 0 : -1
}

function fill(strip, data) {
  strip.sprite = data.sprite
  strip.buttons = data.indices.map((index, place) => {
    const button = document.createElement("button")
    button.type = "button"
    button.dataset.index = index
    button.title = name(data, place)
    button.setAttribute("aria-label", name(data, place))
    button.style.backgroundImage = `url(${data.sprite})`
    button.style.backgroundSize = `${data.indices.length * 100}% 100%`
    button.style.backgroundPosition = `${(100 * place) / Math.max(1, data.indices.length - 1)}% 0`
    button.onclick = () => {
      window.dispatchEvent(new CustomEvent(CHOSEN, { detail: index }))
      strip.send(index)
    }
    return button
  })
  meet(strip, strip.buttons[0])
  strip.root.replaceChildren(...strip.buttons.map((button, place) => captioned(button, data.captions?.[place])))
}

function captioned(button, caption) {
  if (caption === undefined) return button
  const item = Object.assign(document.createElement("div"), { className: "captioned" })
  const line = Object.assign(document.createElement("small"), { textContent: caption, ariaHidden: true })
  item.append(button, line)
  return item
}

function name(data, place) {
  const [index, label, caption] = [data.indices[place], data.labels[place], data.captions?.[place].replace("\n", ", ")]
  if (caption?.startsWith(`${index},`)) return `${data.what} ${caption}`
  return `${data.what} ${index}` + (label === null ? "" : `, ${label}`) + (caption ? `, ${caption}` : "")
}

function mark(strip, chosen) {
  for (const button of strip.buttons) button.setAttribute("aria-pressed", Number(button.dataset.index) === chosen)
  meet(strip, strip.buttons.find((button) => button.ariaPressed === "true"))
}
