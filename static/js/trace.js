// The trace page: which view is open, switches, and moving through rows. Everything is drawn already.

const VIEWS = ["waterfall", "graph", "sequence", "log", "compare"];

/** Return the view a hash names, the first one for anything else. */
export const view = (hash) => (VIEWS.includes(hash.slice(1)) ? hash.slice(1) : VIEWS[0]);

/** Return the index to move to from `at` among `count` rows. */
export const target = (at, by, count) => Math.max(0, Math.min(count - 1, at + by));

const rows = () => [...document.querySelectorAll("[data-trace-rows] .w-row")];

function focus(row) {
  if (!row) return;
  rows().forEach((each) => { each.tabIndex = each === row ? 0 : -1; });
  row.focus();
  row.scrollIntoView({ block: "nearest" });
}

function tabs() {
  const open = view(location.hash);
  document.querySelectorAll(".tr-bar [role=tab]").forEach((tab) => {
    tab.ariaSelected = String(tab.hash === `#${open}`);
  });
}

/** Keep what a person chose: the server draws the panel anew when the playhead moves. */
const chosen = {};
function toggles() {
  const box = document.getElementById("trace");
  document.querySelectorAll("[data-trace-toggle]").forEach((input) => {
    const name = input.dataset.traceToggle;
    if (name in chosen) input.checked = chosen[name];
    if (box) box.dataset[name] = input.checked ? "on" : "off";
  });
}

function keydown(e) {
  const row = e.target.closest?.(".w-row");
  if (!row || e.ctrlKey || e.metaKey || e.altKey) return;
  const by = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 }[e.key];
  if (by) {
    e.preventDefault();
    e.stopPropagation();
    const all = rows();
    focus(all[target(all.indexOf(row), by, all.length)]);
  } else if (e.key === "Enter" && e.target === row) {
    row.querySelector("[data-open-row]")?.click();
  }
}

if (globalThis.document) {
  addEventListener("hashchange", tabs);
  document.addEventListener("keydown", keydown, true);
  document.addEventListener("change", (e) => {
    const name = e.target.dataset?.traceToggle;
    if (!name) return;
    chosen[name] = e.target.checked;
    toggles();
  });
  document.addEventListener("click", (e) => {
    const problem = e.target.closest?.("[data-focus-row]");
    const row = problem && document.querySelector(`[data-pos-row="${problem.dataset.focusRow}"]`);
    if (!row || e.ctrlKey || e.metaKey || e.shiftKey) return;
    e.preventDefault();
    location.hash = "#waterfall";
    focus(row);
  });
  document.body.addEventListener("htmx:afterSettle", () => { tabs(); toggles(); });
  tabs();
  toggles();
}
