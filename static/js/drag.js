// A pointer held down and moved, until it is let go.

/** How far along `box` the pointer is, 0 to 1. */
export const fraction = (e, box) => Math.min(1, Math.max(0, (e.clientX - box.left) / box.width));

/** Follow the pointer that went down on an element: `moved` at each step, `done` at the end. */
export function drag(down, moved, done) {
  const element = down.currentTarget, ends = ["pointerup", "pointercancel"];
  const move = (e) => moved(e), up = (e) => { stop(); done?.(e); };
  const stop = () => {
    element.removeEventListener("pointermove", move);
    ends.forEach((name) => element.removeEventListener(name, up));
  };
  element.setPointerCapture(down.pointerId);
  element.addEventListener("pointermove", move);
  ends.forEach((name) => element.addEventListener(name, up));
}
