// Small behaviours of the shell: dialogs, menus that close, checkboxes that are links, choices that take
// effect at once, the jump field.
import { ask } from "./ask.js";
import { parse } from "./jump.js";
import { withParams } from "./params.js";
import { pause } from "./play.js";
import { now, seek } from "./playhead.js";
import { toast } from "./toast.js";

const $$ = (selector, el = document) => [...el.querySelectorAll(selector)];

async function jump(field) {
  const found = parse(field.value, { now: now() });
  pause();
  field.blur();
  if (found?.position !== undefined) return seek(found.position);
  try {
    const moment = found ? new Date(found.ms).toISOString() : field.value;
    return seek((await ask({ at: moment })).position);
  } catch (error) {
    return toast(error.away ? error.message : "Type a position, a time such as 14:32:07, or \u221230s");
  }
}

document.addEventListener("submit", (e) => {
  // The account's theme counts again once it is chosen there.
  if (e.target.matches("[data-forget-theme]")) try { localStorage.removeItem("evdebug.theme"); } catch { /* storage may be off */ }
  if (e.target.id !== "jump") return;
  e.preventDefault();
  jump(e.target.querySelector("#jump-in"));
});
document.addEventListener("change", (e) => {
  const field = e.target.closest?.("[data-submit], [data-param]");
  if (field?.dataset.param) location.href = withParams(location.href, { [field.dataset.param]: field.value });
  else field?.form.requestSubmit();
});
document.addEventListener("focusin", (e) => e.target.id === "jump-in" && e.target.select());

document.addEventListener("click", (e) => {
  $$("details.menu[open]").forEach((menu) => { if (!menu.contains(e.target) || e.target.closest(".menu-b a, .menu-b button")) menu.open = false; });
  const d = e.target.closest?.("[data-open-dialog], [data-close]");
  if (d?.dataset.openDialog) {
    e.preventDefault();
    document.getElementById(d.dataset.openDialog).showModal();
  } else if (d) d.closest("dialog")?.close();
});
document.addEventListener("keydown", (e) => {
  if (e.key === "Escape") $$("details.menu[open]").forEach((menu) => { menu.open = false; });
  if (e.key === " " && e.target.getAttribute?.("role") === "checkbox") {
    e.preventDefault();
    e.target.click();
  }
});
// A dialog that the server fills opens when its content is there, and closes when it has done its work.
document.addEventListener("htmx:afterSwap", (e) => { if (e.detail.target.matches("dialog") && !e.detail.target.open) e.detail.target.showModal(); });
document.body.addEventListener("said", (e) => toast(e.detail.text));
document.body.addEventListener("done", () => $$("dialog[open]").forEach((dialog) => dialog.close()));
document.addEventListener("htmx:responseError", (e) => {
  const status = e.detail.xhr.status;
  if (e.detail.elt.id === "timeline" || status === 422) return;
  toast(status === 403 ? "Your role does not allow this" : status === 404 ? "This is no longer there" : `The server answered ${status}; nothing was changed`);
});
