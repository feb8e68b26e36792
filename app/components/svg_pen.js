// A pen that draws into SVG what a canvas's 2D context draws into pixels: as much of it as our components use.
function svgPen(width, height) {
  const drawn = []
  let run = null // rectangles of one style that follow each other are one path
  let path = ""
  const pen = { fillStyle: "#000", strokeStyle: "#000", globalAlpha: 1, lineWidth: 1, font: "", textAlign: "left" }
  const short = (v) => Number(v.toFixed(2))
  const escaped = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`)
  const put = (element) => {
    run = null
    drawn.push(element)
  }
  const paint = (kind, colour) => `${kind}="${escaped(colour)}"${pen.globalAlpha === 1 ? "" : ` ${kind}-opacity="${pen.globalAlpha}"`}`
  pen.fillRect = (x, y, wide, high) => {
    const style = paint("fill", pen.fillStyle)
    if (run?.style !== style) drawn.push((run = { style, d: "" }))
    run.d += `M${short(x)} ${short(y)}h${short(wide)}v${short(high)}h${short(-wide)}z`
  }
  pen.beginPath = () => (path = "")
  pen.moveTo = (x, y) => (path += `M${short(x)} ${short(y)}`)
  pen.lineTo = (x, y) => (path += `L${short(x)} ${short(y)}`)
  pen.rect = (x, y, wide, high) => (path += `M${short(x)} ${short(y)}h${short(wide)}v${short(high)}h${short(-wide)}z`)
  pen.ellipse = (x, y, rx, ry) => {
    const half = (side) => `a${short(rx)} ${short(ry)} 0 0 1 ${short(2 * side * rx)} 0`
    path += `M${short(x - rx)} ${short(y)}${half(1)}${half(-1)}z`
  }
  pen.stroke = () => put(`<path fill="none" ${paint("stroke", pen.strokeStyle)} stroke-width="${pen.lineWidth}" d="${path}"/>`)
  pen.fill = () => put(`<path ${paint("fill", pen.fillStyle)} d="${path}"/>`)
  pen.fillText = (text, x, y) => {
    const anchor = { left: "start", center: "middle", right: "end" }[pen.textAlign]
    const place = `x="${short(x)}" y="${short(y)}" text-anchor="${anchor}"`
    put(`<text ${place} style="font: ${escaped(pen.font)}" ${paint("fill", pen.fillStyle)}>${escaped(text)}</text>`)
  }
  pen.file = (title, ground) => {
    const inside = drawn.map((one) => (one.style ? `<path ${one.style} d="${one.d}"/>` : one)).join("")
    const size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`
    const below = `<rect width="${width}" height="${height}" fill="${escaped(ground)}"/>`
    return `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img"><title>${escaped(title)}</title>${below}${inside}</svg>`
  }
  return pen
}
