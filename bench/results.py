"""bench/RESULTS.md: one section a case, replaced when the case is measured again."""

from __future__ import annotations

import re
from pathlib import Path

from bench.harness import Section
from bench.machine import description

PATH = Path(__file__).resolve().parent / "RESULTS.md"
INTRODUCTION = """\
# Results

Written by `make bench`. Each case runs beside its baseline, in turns, several rounds; the figures
are medians, in brackets the lowest and highest ratio of a round. Compare the ratios: the figures
themselves are this machine's.
"""


def keep(sections: list[Section], path: Path = PATH) -> None:
    """Write the sections into the page, beside those of cases that were not run now."""
    kept = _sections(path.read_text()) if path.exists() else {}
    kept |= {section.title: section.markdown() for section in sections}
    machine = "\n".join(f"- {name}: {value}" for name, value in description())
    path.write_text("\n".join([INTRODUCTION, machine, "", *kept.values()]))


def _sections(page: str) -> dict[str, str]:
    """Return the page's sections by title, in their order."""
    parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:]
    return {part.splitlines()[0].removeprefix("## "): part.rstrip("\n") + "\n" for part in parts}
