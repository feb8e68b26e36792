// Keeps in this browser, for a year, by which cookie its runs are known as its own.
const YEAR = 365 * 24 * 3600 // seconds

export default function (component) {
  const secure = location.protocol === "https:" ? "; Secure" : ""
  document.cookie = `${component.data.cookie}; Max-Age=${YEAR}; Path=/; SameSite=Strict${secure}`
}
