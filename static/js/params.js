// The address is the state of a page: everything shown can be read off it.

/** Return `href` with parameters set; null or "" takes one away, an array sets several. */
export function withParams(href, changes, base = "http://x/") {
  const url = new URL(href, base);
  for (const [name, value] of Object.entries(changes)) {
    url.searchParams.delete(name);
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== "") url.searchParams.append(name, one);
    }
  }
  return url;
}

/** Return the names of the parameters that differ between two addresses. */
export function changed(before, after) {
  const [a, b] = [new URL(before).searchParams, new URL(after).searchParams];
  const names = new Set([...a.keys(), ...b.keys()]);
  return new Set([...names].filter((n) => a.getAll(n).join("\n") !== b.getAll(n).join("\n")));
}
