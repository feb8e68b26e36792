// A whole ellipse. A pen refuses radii below 0, which come of a canvas that is nearly nothing while its page is redrawn.
function oval(pen, x, y, ...radii) {
  pen.ellipse(x, y, ...radii.map((radius) => Math.max(0, radius || 0)), 0, 0, 2 * Math.PI)
}

const circle = (pen, x, y, radius) => oval(pen, x, y, radius, radius)
