// Short words at the edge of the window, and copying.

export function toast(text) {
  const el = Object.assign(document.createElement("div"), { className: "toast", textContent: text });
  document.getElementById("toasts").append(el);
  setTimeout(() => el.remove(), 4000);
}

export async function copy(text, said) {
  try {
    await navigator.clipboard.writeText(text);
    toast(said);
  } catch {
    toast("The browser did not allow copying");
  }
}

if (globalThis.document) {
  document.addEventListener("click", async (e) => {
    const el = e.target.closest?.("[data-copy], [data-copy-from], [data-copy-text]");
    if (!el) return;
    const { copy: text, copyFrom: url, copyText: id, said = "Copied" } = el.dataset;
    if (!url) return void copy(id ? document.getElementById(id).textContent : text, said);
    try {
      const answer = await fetch(url);
      if (!answer.ok) throw new Error(String(answer.status));
      await copy(await answer.text(), said);
    } catch {
      toast("This could not be loaded to copy it");
    }
  });
}
