// Questions to the server about moments, where the page itself cannot know the answer.

const AWAY = "The server does not answer; the playhead stays where it is";

/** Ask the server about a moment: {at} a position or text, {go} next, previous, next-failure, … {n}. */
export async function ask(question) {
  const url = new URL(document.getElementById("dock").dataset.moment, location.href);
  for (const [name, value] of Object.entries(question)) url.searchParams.set(name, value);
  const answer = await fetch(url, { headers: { Accept: "application/json" } }).catch(() => null);
  const body = await answer?.json().catch(() => null);
  if (!body) throw Object.assign(new Error(AWAY), { away: true });
  if (!answer.ok) throw new Error(body.detail);
  return body;
}
