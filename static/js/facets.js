// Facets are links computed for the query they were drawn with. A click while newer ones are on their way
// waits for those, or it would undo the click before; and the focus stays on its value.

let waiting = null, focused = null;

const find = (box, key) => [...box.querySelectorAll("[data-key]")].find((a) => a.dataset.key === key);

if (globalThis.document) {
  document.addEventListener("click", (e) => {
    const link = e.target.closest?.("#facets [data-key]");
    if (!link || !link.closest(".htmx-request") || e.ctrlKey || e.metaKey || e.shiftKey) return;
    e.preventDefault();
    e.stopPropagation();
    waiting = link.dataset.key;
  }, true);
  document.addEventListener("htmx:beforeSwap", (e) => {
    if (e.detail.target.id === "facets") focused = document.activeElement?.closest("#facets [data-key]")?.dataset.key ?? null;
  });
  document.addEventListener("htmx:afterSwap", (e) => {
    if (e.target.id !== "facets") return;
    const key = waiting;
    waiting = null;
    if (focused) find(e.target, focused)?.focus();
    // Not at once: the request that just ended still counts as running.
    if (key) setTimeout(() => find(e.target, key)?.click());
  });
}
