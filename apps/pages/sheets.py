"""Tables as spreadsheets read them, with nothing in them that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from apps.ingest.encode import FORMULA

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def inert(cell: str) -> str:
    """Return a cell that a spreadsheet does not run as a formula; numbers stay numbers."""
    return f"'{cell}" if FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return CSV: a line of names, and one for each row. None is an empty cell."""
    out = io.StringIO()
    lines = csv.writer(out)
    lines.writerow(head)
    lines.writerows([inert("" if cell is None else str(cell)) for cell in row] for row in rows)
    return out.getvalue().encode("utf-8", "backslashreplace")
