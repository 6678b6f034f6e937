"""Findings: how many of the troubles put into days, and how many that are none."""

from __future__ import annotations

from bench.harness import Bench, Section, fact, limit, percentile, say

SEEDS = (4001, 5009, 6007)


def run(bench: Bench) -> Section:
    """Replay days of other seeds and traffic than the tests', and judge what was found."""
    hours = bench.scaled(24, 3)
    found = []
    for seed in SEEDS[: bench.scaled(len(SEEDS), 1)]:
        with bench.database("sqlite") as environment:
            found.append(bench.step("alarms", environment, seed=seed, hours=hours))
        say(f"  seed {seed}: { ({**found[-1], 'delays': None}) }")
    days = len(found) * hours / 24
    planted = sum(day["planted"] for day in found)
    delays = [delay for day in found for delay in day["delays"]]
    looks = [day["seconds"] / day["entries"] * 1e6 for day in found]
    return Section(
        "alarms",
        f"{len(found)} days of {hours} hours, {sum(day['entries'] for day in found):,} entries of"
        f" four subscribers and six types, seeds {', '.join(map(str, SEEDS[: len(found)]))}: paces"
        " that follow the hour, log-normal times, chance failures, a campaign of a third more, and"
        f" {planted} troubles of five minutes: events repeated, missing, failing, five times as"
        " slow, a subscriber that stalls, three times the orders. No threshold was tuned on them."
        " False is what no trouble of the quarter of an hour before explains.",
        [
            limit(
                "troubles found", 100 * len(delays) / max(1, planted), unit="%", at_least=95
            ),
            limit("false alarms a day", len([*_false(found)]) / days, unit="", at_most=1),
            fact("from its start to certain, median", percentile(delays or [0], 0.5), unit="s"),
            fact("from its start to certain, p95", percentile(delays or [0], 0.95), unit="s"),
            fact("looking, an entry", sum(looks) / len(looks), unit="µs"),
        ],
    )  # fmt: skip


def _false(found: list[dict[str, list[str]]]) -> list[str]:
    return [text for day in found for text in day["false"]]
