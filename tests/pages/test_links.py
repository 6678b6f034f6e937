from __future__ import annotations

from apps.pages.links import kept, query


def test_it_works() -> None:
    params = kept({"at": ["5"], "q": ["type:A b"], "col": ["total", "psp.key"]})
    assert query(params) == "?at=5&q=type%3AA+b&col=total&col=psp.key"
    assert query(params, at=7, q=None) == "?at=7&col=total&col=psp.key"
    assert query(params, col=[], q="", with_="deliveries") == "?at=5&with=deliveries"


def test_what_nobody_knows_is_left_out() -> None:
    assert kept({"next": ["//evil"], "before": ["5"], "at": ["", "9"]}) == {"at": ["9"]}


def test_what_is_too_much_is_cut() -> None:
    params = kept({"q": ["x" * 9999], "col": [f"c{n}" for n in range(99)], "event": ["9" * 999]})
    assert len(params["q"][0]) == 2000
    assert len(params["col"]) == 6
    assert len(params["event"][0]) == 80
