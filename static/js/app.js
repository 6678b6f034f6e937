// Entry point. Pages are complete without it; this adds movement, keys and live binding.
import * as address from "./address.js";
import * as live from "./live.js";
import { goLive, seek, state } from "./playhead.js";
import { drawn } from "./timeline.js";
import "./acts.js";
import "./facets.js";
import "./follow.js";
import "./missed.js";
import "./keys.js";
import "./query.js";
import "./times.js";
import "./ui.js";
import "./wait.js";

const dock = document.getElementById("dock");
if (dock) {
  state.at = Number(dock.dataset.at);
  state.live = document.documentElement.dataset.mode === "live";
  drawn();
  live.begin();
}
address.listen((at) => {
  if (at === null) goLive({ quiet: true });
  else if (/^#?\d+$/.test(at)) seek(Number(at.replace("#", "")), { quiet: true });
  else location.reload();
});
