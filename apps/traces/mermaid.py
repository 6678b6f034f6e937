"""A trace as text that others can draw: a Mermaid sequence diagram."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from apps.traces.deliveries import Delivery, service
from apps.traces.timing import Step
from apps.traces.tree import Tree

MOST = 500  # events


def sequence(
    tree: Tree, delivered: Mapping[int, Sequence[Delivery]], steps: Mapping[int, Step]
) -> str:
    """Return a sequence diagram: an arrow per delivery, a note where nobody was told."""
    events = [e for e in tree.events.values() if e.kind != "response"]
    events.sort(key=lambda e: (steps[e.position].published, e.position))
    names: dict[str, str] = {}
    lines: list[str] = []
    for event in events[:MOST]:
        source = _participant(names, service(event.source))
        told = delivered.get(event.position, ())
        for d in told:
            arrow = "-x" if d.outcome in ("failed", "dead_lettered") else "->>"
            arrow = "-" + arrow if d.outcome in ("skipped", "unknown") else arrow
            again = f", attempt {d.attempt}" if d.attempt > 1 else ""
            target = _participant(names, service(d.subscriber))
            outcome = d.outcome.replace("_", "-")
            lines.append(f"  {source}{arrow}{target}: {clean(event.type)} ({outcome}{again})")
        if not told:
            lines.append(f"  Note over {source}: {clean(event.type)}")
    if len(events) > MOST:
        lines.append(f"  %% {len(events) - MOST} events more")
    heads = [f"  participant {key} as {clean(name)}" for name, key in names.items()]
    return "\n".join(["sequenceDiagram", *heads, *lines, ""])


def _participant(names: dict[str, str], name: str) -> str:
    return names.setdefault(name, f"s{len(names) + 1}")


def clean(text: str) -> str:
    """Return a name without what Mermaid would act on."""
    return re.sub(r"[^\w .,/()+-]", "_", text)[:80].strip() or "unknown"
