from __future__ import annotations

from apps.pages.marks import Mark, bursts, clusters


def test_marks_too_close_to_tell_apart_are_one_with_the_most_serious_first() -> None:
    marks = [
        Mark("deploy", 3, 300, "v2"),
        Mark("err", 4, 305, "3 failed"),
        Mark("flag", 9, 900, "here"),
    ]
    found = clusters(marks, start=0, end=1000)
    assert [[m.kind for m in c.marks] for c in found] == [["err", "deploy"], ["flag"]]
    assert [c.x for c in found] == [30.5, 90.0]
    assert found[0].first.text == "3 failed"


def test_only_what_lies_in_the_window() -> None:
    marks = [Mark("flag", 1, 99, ""), Mark("flag", 2, 100, ""), Mark("flag", 3, 200, "")]
    assert [c.first.position for c in clusters(marks, start=100, end=200)] == [2]


def test_rare_failures_are_marked_one_by_one() -> None:
    assert bursts([0] * 50 + [1, 2] + [0] * 50 + [1]) == [(50, 3), (102, 1)]


def test_where_failures_are_common_only_bursts_are_marked() -> None:
    assert bursts([1] * 50 + [30, 40] + [1] * 50) == [(50, 70)]


def test_no_more_than_ten() -> None:
    assert len(bursts(([5] + [0] * 20) * 40)) == 10
    assert bursts([]) == bursts([0, 0]) == []
