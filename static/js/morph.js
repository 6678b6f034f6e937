// Change what is there into what it should be, node by node: what stays the same keeps its focus, its
// scroll and the phase of its movement.

function attributes(old, made) {
  for (const { name } of [...old.attributes]) if (!made.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of made.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
}

function node(old, made) {
  if (old.nodeType !== made.nodeType || old.nodeName !== made.nodeName) return old.replaceWith(made);
  if (old.nodeType !== 1) {
    if (old.nodeValue !== made.nodeValue) old.nodeValue = made.nodeValue;
    return undefined;
  }
  // A time that was put into the viewer's zone stays so while it is the same moment.
  if (old.hasAttribute("data-local") && old.dataset.ms === made.dataset?.ms) return undefined;
  attributes(old, made);
  return children(old, made);
}

function children(old, made) {
  const wanted = [...made.childNodes];
  while (old.childNodes.length > wanted.length) old.lastChild.remove();
  wanted.forEach((each, n) => {
    if (n < old.childNodes.length) node(old.childNodes[n], each); else old.append(each);
  });
}

/** Return the body of a document of its own, in which nothing runs and nothing is loaded. */
export const parsed = (html) => new DOMParser().parseFromString(html, "text/html").body;

/** Make the content of `el` what `html`, drawn by the server, says. */
export function morph(el, html) {
  children(el, parsed(html));
}
