// Signing in, theme, drawer

function signIn(status) {
  tellLink("lost", "signed out");
  if (status === 403 || (status !== 500 && Object.keys(headers()).length)) $("signin-note").textContent = "LiteLLM does not admit this key here: it takes a proxy admin's.";
  try { sessionStorage.removeItem("routebalance-key"); } catch { /* nothing was kept */ }
  if (!$("signin").open) $("signin").showModal();
}
$("signin-form").addEventListener("submit", (event) => {
  event.preventDefault();
  try { sessionStorage.setItem("routebalance-key", $("key").value.trim()); } catch { /* then the cookie must do */ }
  $("key").value = "";
  $("signin").close();
  follow();
});
$("drawer-close").addEventListener("click", () => $("drawer").close());
$("drawer").addEventListener("click", (event) => { if (event.target === $("drawer")) $("drawer").close(); });
const themes = ["auto", "light", "dark"];
function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  $("theme").textContent = `Theme: ${theme}`;
  try { localStorage.setItem("routebalance-theme", theme); } catch { /* asked for again next time */ }
}
let theme = "auto";
try { theme = themes.includes(localStorage.getItem("routebalance-theme")) ? localStorage.getItem("routebalance-theme") : "auto"; } catch { /* auto */ }
setTheme(theme);
$("theme").addEventListener("click", () => { theme = themes[(themes.indexOf(theme) + 1) % themes.length]; setTheme(theme); });
document.addEventListener("visibilitychange", () => { if (document.hidden && reading) reading.abort(); else follow(); });
follow();
