// Of a flood of frames only the newest rows are drawn; all that stay are, once it ends.

/**
 * Return a flood. `draw(frames, most)` shows the newest rows of frames in place of all others; as each
 * flood is more than a page holds, nothing older is missing.
 */
export function flooding(draw, { kept, some, calm }) {
  let frames = [], timer = 0;
  const drop = () => { clearTimeout(timer); frames = []; };
  const end = () => { if (frames.length) draw(frames, kept); drop(); };
  return {
    get on() { return frames.length > 0; },
    take(fresh) {
      frames = [...fresh, ...frames].slice(0, kept);
      draw(frames, some);
      clearTimeout(timer);
      timer = setTimeout(end, calm);
    },
    end,
    drop,
  };
}
