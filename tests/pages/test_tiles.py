from __future__ import annotations

from apps.pages.tiles import Tile, shown, tile, tiles


def test_it_works() -> None:
    made = tiles(["/web", "/orders", "/payments"])
    assert [(t.name, t.letter, t.ink) for t in made.values()] == [
        ("web", "W", "s-1"), ("orders", "O", "s-2"), ("payments", "P", "s-3"),
    ]  # fmt: skip


def test_a_letter_that_is_taken_gives_way_to_the_next_one() -> None:
    assert [t.letter for t in tiles(["shop", "shipping", "hops", "po"]).values()] == [
        "S",
        "H",
        "O",
        "P",
    ]


def test_two_letters_where_none_is_left() -> None:
    assert [t.letter for t in tiles(["a", "b", "ab", "ba"]).values()] == ["A", "B", "AB", "BA"]


def test_a_service_is_the_same_with_and_without_a_slash() -> None:
    made = tiles(["/orders", "orders", "web"])
    assert len(made) == 2
    assert tile(made, "/orders") == tile(made, "orders")


def test_the_ninth_has_the_first_colour_again_outlined() -> None:
    made = list(tiles([f"service{chr(97 + n)}" for n in range(10)]).values())
    assert [t.ink for t in made[7:]] == ["s-8", "s-1 s-out", "s-2 s-out"]


def test_what_is_unknown_and_what_has_no_letters_still_has_a_tile() -> None:
    assert tile({}, "/web") == Tile("web", "·", "s-0")
    assert [t.letter for t in tiles(["///", "--", "", "ß"]).values()] == ["?", "?", "S"]


def test_names_are_shown_as_text() -> None:
    assert shown("/a\u202eb") == "a\\u202eb"
    assert shown("/") == "/"


def test_there_is_an_end_to_it() -> None:
    assert len(tiles(f"s{n}" for n in range(10_000))) == 512
