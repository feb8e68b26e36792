// As vaecore/text.py counts what is regular: "1 image", "2,000 test images".
function counted(number, thing) {
  return `${number.toLocaleString("en-US")} ${thing}${number === 1 ? "" : "s"}`
}
