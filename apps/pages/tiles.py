"""Which letter and colour stand for a service: one tile each, the same on every page and visit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from apps.pages.words import visible

INKS = 8  # colours of the style sheet, s-1 … s-8
SHOWN = 512  # services told apart; those after them share the last kind of tile


class Tile(NamedTuple):
    """How a service is drawn."""

    name: str  # as shown: a leading slash is left out
    letter: str
    ink: str  # class of the style sheet
    rank: int = INKS**3  # place in the order of first appearance


UNKNOWN = Tile("", "·", "s-0")


def plain(service: str) -> str:
    """Return the name of a service without a leading slash."""
    return service.removeprefix("/") or service


def shown(service: str) -> str:
    """Return the name of a service as it is shown; the exact one stays in links and queries."""
    return visible(plain(service))


def tiles(services: Iterable[str]) -> dict[str, Tile]:
    """Return a tile for each service by its plain name, given in order of first appearance.

    `/orders` and `orders` are one service: who publishes with a slash often subscribes without.

    The letter is the first of the name not yet taken, two letters where none is left. From the
    ninth on the colours return with an outline.
    """
    made: dict[str, Tile] = {}
    taken: set[str] = set()
    for service in map(plain, services):
        if not service or service in made:
            continue
        if len(made) >= SHOWN:
            break
        letter = _letter(shown(service), taken)
        taken.add(letter)
        ink = f"s-{len(made) % INKS + 1}" + (" s-out" if len(made) >= INKS else "")
        made[service] = Tile(shown(service), letter, ink, len(made))
    return made


def tile(known: dict[str, Tile], service: str) -> Tile:
    """Return the tile of a service, a neutral one where it is not known."""
    return known.get(plain(service)) or UNKNOWN._replace(name=shown(service))


def _letter(name: str, taken: set[str]) -> str:
    letters = [c.upper()[0] for c in name if c.isalnum()]
    free = [letter for letter in letters if letter not in taken]
    return free[0] if free else "".join(letters[:2]) or "?"
