// Classic script in <head>: sets the theme before the first paint, so that nothing flashes.
// `?theme=` wins, then what this browser chose last, then what the server knows of the account.
(() => {
  const root = document.documentElement;
  let kept = null;
  try { kept = localStorage.getItem("evdebug.theme"); } catch { /* storage may be off */ }
  const theme = new URLSearchParams(location.search).get("theme") || kept;
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  root.dataset.js = "";
})();
