"""Which neighbours change places where the check of the order asks for it."""

from __future__ import annotations

from apps.sandbox.recording import Execution, Recording

NEAR = 200  # positions between two that are swapped, at most


def swaps(recording: Recording) -> dict[int, Execution]:
    """Return for neighbours of one service whose events are of different streams their swap.

    Two whose events come of each other keep their order: the first cannot wait for the second.
    """
    found: dict[int, Execution] = {}
    waiting: dict[str, Execution] = {}
    for x in recording.executions:
        before = waiting.pop(x.service, None)
        if before is not None and _may_swap(recording, before, x):
            found[id(before)] = Execution(x.cause, x.service, x.attempt, x.started + 1, slot=x.slot)
        else:
            waiting[x.service] = x
    return found


def _may_swap(recording: Recording, a: Execution, b: Execution) -> bool:
    first, second = recording.at(a.cause), recording.at(b.cause)
    if first is None or second is None or a.cut or b.cut or first.stream == second.stream:
        return False
    ends = max([a.slot, *a.outputs, *a.entries])
    return ends >= b.slot - NEAR and first.correlation != second.correlation
