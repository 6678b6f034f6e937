// The page of a sandbox: a run that goes on is drawn again when its socket has news. Without a socket it is
// asked for every two seconds.

/** Return the address of a socket of this site. */
export const socketOf = (path, place = location) => `${place.protocol === "https:" ? "wss" : "ws"}://${place.host}${path}`;

let socket = null;

function watch() {
  const path = document.getElementById("run")?.dataset.socket;
  if (!path) return socket?.close();
  if (socket?.url === socketOf(path) && socket.readyState < 2) return undefined;
  socket = new WebSocket(socketOf(path));
  socket.addEventListener("message", () => document.body.dispatchEvent(new CustomEvent("progress")));
  return undefined;
}

if (globalThis.document) {
  document.addEventListener("htmx:afterSettle", watch);
  watch();
}
