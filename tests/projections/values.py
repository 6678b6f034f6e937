"""JSON values for property tests: small alphabets, so that keys and values collide."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.just(10**30),
    st.sampled_from([Decimal("1.0"), Decimal("0.10"), "1", "", "a/b~c"]),
)  # fmt: skip
keys = st.sampled_from(["a", "b", "id", "x/y", "~"])
rest = st.dictionaries(st.sampled_from("ab"), scalars, max_size=2)
elements = st.builds(lambda n, more: {"id": n, **more}, st.integers(0, 4), rest)
keyed = st.lists(elements, max_size=5, unique_by=lambda e: e["id"])
values: st.SearchStrategy[Any] = st.recursive(
    scalars | keyed,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4), keyed
    ),
    max_leaves=12,
)
objects = st.dictionaries(keys, values, max_size=5)
