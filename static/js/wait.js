// A page about a log that is still empty goes on to its events when the first one arrives.

const EVERY = 2000;

/** Ask `url` for the newest position until there is one; then call `go`. */
export async function watch(url, go, { ask = fetch, later = setTimeout } = {}) {
  const look = async () => {
    const found = await ask(url).then((answer) => (answer.ok ? answer.json() : null)).catch(() => null);
    if (found?.position > 0) go(); else later(look, EVERY);
  };
  await look();
}

const empty = globalThis.document?.querySelector("[data-await]");
if (empty) watch(empty.dataset.await, () => location.assign(empty.dataset.then));
