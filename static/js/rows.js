// Rows of a table as a list: j and k move, enter opens. A click on a row is a click on its link.

const all = () => [...document.querySelectorAll("[data-rows] tr[data-pos]")].filter((row) => row.offsetParent);

/** Return the index to move to from `at` (-1: none), or from the selected one. */
export function target(at, selected, by, count) {
  if (!count) return -1;
  const from = at >= 0 ? at : selected;
  return from < 0 ? 0 : Math.max(0, Math.min(count - 1, from + by));
}

export function move(by) {
  const rows = all(), selected = rows.findIndex((row) => row.ariaSelected === "true");
  const to = rows[target(rows.indexOf(document.activeElement), selected, by, rows.length)];
  if (!to) return false;
  rows.forEach((row) => { row.tabIndex = row === to ? 0 : -1; });
  to.focus();
  to.scrollIntoView({ block: "nearest" });
  return true;
}

const follow = (row) => row.querySelector("a[data-open]")?.click();

export function open(from) {
  const row = from?.closest?.("tr[data-pos]");
  if (!row) return false;
  follow(row);
  return true;
}

/** Go to the row beside the open one and open it: the drawer's arrows. */
function beside(by) {
  if (move(by)) follow(document.activeElement);
}

function mark() {
  const shown = new URL(location.href).searchParams.get("event"), box = document.querySelector("[data-drawer]");
  if (box) box.dataset.drawer = shown ? "open" : "closed";
  all().forEach((row) => { row.ariaSelected = String(row.dataset.pos === shown); });
}

if (globalThis.document) {
  document.addEventListener("click", (e) => {
    const by = e.target.closest?.("[data-beside]")?.dataset.beside;
    if (by) {
      e.preventDefault();
      return beside(Number(by));
    }
    const row = e.target.closest?.("[data-rows] tr[data-pos]");
    if (row && !e.defaultPrevented && !e.target.closest("a, button, summary, input") && !String(getSelection())) follow(row);
    return undefined;
  });
  document.body.addEventListener("drawer", mark);
}
