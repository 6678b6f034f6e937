"""A state at a random moment: evdebug beside the `eventsourcing` library on the same events."""

from __future__ import annotations

from bench.harness import Bench, Section, faster, limit, percentile

PLAIN, SPACED = 100, 3  # how many times faster than the peer without and with its snapshots
SEEK_MS, SCRUB_MS, COLD_MS, SHARE, SCAN = 15, 300, 1000, 2, 150_000
PAGE_MS, CHANGED_MS, TWO, BLAME = 120, 300, 1.6, 2


def run(bench: Bench) -> Section:
    """Give each side its own database; check that all come to the same state."""
    count, seeks = bench.scaled(100_000, 2000), bench.scaled(200, 10)
    with bench.database("sqlite") as environment:
        ours = bench.step("projections", environment, side="ours", count=count, seeks=seeks)
        few = min(seeks, 10)  # each takes the peer about a second
        plain = bench.step("projections", environment, side="plain", count=count, seeks=few)
        spaced = bench.step("projections", environment, side="spaced", count=count, seeks=seeks)
    assert ours["state"] == plain["state"] == spaced["state"]
    ms = {side: [s * 1000 for s in answer["seeks"]] for side, answer in
          (("ours", ours), ("plain", plain), ("spaced", spaced))}  # fmt: skip
    rows = [
        faster("seek, beside the peer without snapshots", ms["ours"][:few], ms["plain"],
               unit="ms", at_least=PLAIN),
        faster("seek, beside the peer with one every 100", ms["ours"], ms["spaced"],
               unit="ms", at_least=SPACED),
        limit("seek, p99", percentile(ms["ours"], 0.99), unit="ms", at_most=SEEK_MS),
        limit("60 seeks of a scrub", ours["scrub"] * 1000, unit="ms", at_most=SCRUB_MS),
        limit("first touch, cold", ours["cold"] * 1000, unit="ms", at_most=COLD_MS),
        limit("snapshots, of the log's bytes", ours["snapshots"] * 100, unit="%", at_most=SHARE),
        limit("page of 50 entities, p99", percentile(ours["page"], 0.99) * 1000, unit="ms",
              at_most=PAGE_MS),
        limit("what changed in all, counts", max(ours["changed"]) * 1000, unit="ms",
              at_most=CHANGED_MS),
        limit("find by scan, one core", min(ours["one"]) / ours["events"] * 1e6, unit="µs/event",
              at_most=1e6 / SCAN),
        faster("find by scan, two cores beside one", ours["two"], ours["one"], unit="s",
               at_least=TWO),
        limit("blame, beside a plain fold", ours["blame"], unit="×", at_most=BLAME),
    ]  # fmt: skip
    return Section(
        "projections",
        f"One stream of {count:,} merge patches (SQLite), its state at random moments; the peer is "
        "`eventsourcing`, `repository.get(id, version=n)`, on the same patches. Pages, "
        f"changes and scans: of {ours['events']:,} events, those of {count:,} entities more.",
        rows,
    )
