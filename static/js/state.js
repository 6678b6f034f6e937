// The State page: what a swap of a part must not lose (where it was scrolled), and small conveniences.
import { toast } from "./toast.js";

/** Return where each scroller marked with `data-scroll` stands. */
export const places = (root) => new Map([...root.querySelectorAll("[data-scroll]")].map((el) => [el.dataset.scroll, el.scrollTop]));

/** Put the scrollers back to where they were. */
export function restore(root, kept) {
  root.querySelectorAll("[data-scroll]").forEach((el) => { if (kept.has(el.dataset.scroll)) el.scrollTop = kept.get(el.dataset.scroll); });
}

if (globalThis.document) {
  document.body.addEventListener("refold", (e) => toast(e.detail.text));
  let kept = new Map(), typed = null;
  document.addEventListener("htmx:beforeSwap", (e) => {
    kept = places(document);
    const focus = document.activeElement;
    // A part that is swapped while somebody types in it must not take the text away.
    typed = focus?.id && e.detail.target.contains?.(focus) && "value" in focus ? { id: focus.id, value: focus.value } : null;
  });
  document.addEventListener("htmx:afterSettle", () => {
    restore(document, kept);
    const field = typed && document.getElementById(typed.id);
    if (field && field.getAttribute("aria-invalid") !== "true") {
      field.value = typed.value;
      field.focus();
    }
    typed = null;
  });
  document.addEventListener("click", (e) => { if (e.target.closest?.("[data-shut]")) e.target.closest("dialog")?.close(); });
}
