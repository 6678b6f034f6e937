"""Hypothesis strategies for queries: texts that parse, and texts that nearly do."""

from __future__ import annotations

from hypothesis import strategies as st

from apps.eventlog.terms import FIELDS, quoted

LETTERS = 'aA0.-*",:=<>~! \\/#[]éß\u202e\U0001f600'
WORD = st.text("abcXYZ019-_/#.é", min_size=1, max_size=8).filter(lambda s: s[0] not in "-.")
QUOTED = st.text(LETTERS, max_size=8).map(quoted)
PLAIN = st.one_of(WORD, QUOTED, st.tuples(WORD, QUOTED).map("*".join), st.just("*"))
JSON_PATH = st.builds(
    lambda root, steps: root + "".join(f".{step}" for step in steps),
    st.sampled_from(["data", "metadata"]),
    st.lists(st.one_of(st.sampled_from(["a", "0", "*", "x-y"]), QUOTED), max_size=3),
)
MOMENTS = ["14:30", "14:30:07.5", "12", "#12", "2026-05-12", "2026-05-12T14:30Z", "9:05+02:00"]
MOMENT = st.one_of(
    st.sampled_from(MOMENTS),
    st.tuples(st.sampled_from(MOMENTS), st.sampled_from(MOMENTS)).map("..".join),
    st.sampled_from(MOMENTS).map(lambda m: f"{m}.."),
)
NUMBERS = st.one_of(
    st.integers(0, 10**17).map(str), st.just("5..9"), st.just("..9"), st.just("5..")
)
SPECIAL = {
    "at": MOMENT,
    "kind": st.sampled_from(["event", "delivery", "ev*"]),
    "outcome": st.sampled_from(["failed", "*ed"]),
    "position": NUMBERS,
    "revision": NUMBERS,
    "seen": NUMBERS,
}


def _values(name: str, operator: str) -> st.SearchStrategy[str]:
    one = SPECIAL.get(name, PLAIN)
    if operator in {">", ">=", "<", "<="}:
        numeric = name in {"position", "revision", "seen", "cause"}
        return st.integers(0, 10**17).map(str) if numeric else st.sampled_from(["5", '"a b"', "12"])
    return st.lists(one, min_size=1, max_size=3).map(",".join)


@st.composite
def terms(draw: st.DrawFn) -> str:
    """Return the text of one term that parses."""
    minus = draw(st.sampled_from(["", "-"]))
    if draw(st.integers(0, 4)) == 0:
        return minus + draw(st.lists(st.one_of(QUOTED, WORD), min_size=1, max_size=2).map(",".join))
    name = draw(st.sampled_from(sorted(FIELDS)))
    operator = draw(st.sampled_from(FIELDS[name].operators))
    if name == "at" and operator in {">", ">=", "<", "<="}:
        return f"{minus}at{operator}{draw(st.sampled_from(MOMENTS))}"
    written = draw(JSON_PATH) if FIELDS[name].sort == "json" else name
    return f"{minus}{written}{operator}{draw(_values(name, operator))}"


QUERIES = st.lists(terms(), max_size=5).map(" ".join)
NEARLY = st.one_of(
    st.text(LETTERS, max_size=40),
    st.lists(
        st.one_of(
            terms(),
            st.sampled_from(sorted(FIELDS)),
            st.sampled_from([":", "=", "!=", ">", "-", '"', ",", "..", " ", "*", "data.", "["]),
            st.text(max_size=4),
        ),
        max_size=8,
    ).map("".join),
)
