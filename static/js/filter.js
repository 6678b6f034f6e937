// The filter above the tail: what is asked for is in the address too.
const $ = (id) => document.getElementById(id);

export const filter = {
  query: "",

  /** Say what is wrong with it; "" is nothing. */
  say(text) {
    $("tail-msg").textContent = text;
    $("tail-msg").hidden = !text;
    $("tail-filter").toggleAttribute("aria-invalid", Boolean(text));
  },

  /** Follow the field; `ask` is called when something else is wanted. */
  begin(ask) {
    filter.query = $("tail-filter").value;
    $("tail-form").addEventListener("submit", (e) => {
      e.preventDefault();
      filter.query = $("tail-filter").value.trim();
      const url = new URL(location.href);
      if (filter.query) url.searchParams.set("tail", filter.query); else url.searchParams.delete("tail");
      history.replaceState({}, "", url);
      ask();
    });
  },
};
