"""Reading pages in tests: what a person would see, and what a browser would do with it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

URLS = {"href", "src", "action", "hx-get", "hx-post", "formaction", "data-copy-from"}
SAFE = ("?", "/", "#", "http://", "https://", "data:image/svg+xml,")


class Reader(HTMLParser):
    """Collects elements and text; notes what a page of ours must not hold."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.forbidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.elements.append((tag, found))
        for name, value in found.items():
            if name.startswith("on") or name == "style":
                self.forbidden.append(f"<{tag} {name}={value!r}>")
            if name in URLS and value and not value.startswith(SAFE):
                self.forbidden.append(f"<{tag} {name}={value!r}>")
        if tag == "style" or (tag == "script" and "src" not in found):
            self.forbidden.append(f"<{tag}>")

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(response: Any) -> Reader:
    reader = Reader()
    reader.feed(response.content.decode())
    return reader


def text(response: Any) -> str:
    """Return what a page says, blanks and no-break spaces as one blank."""
    return " ".join(" ".join(read(response).words).replace("\u00a0", " ").split())


def links(response: Any, **attributes: str) -> list[str]:
    """Return the addresses of links with these attributes ("" for any value)."""
    return [
        found["href"]
        for tag, found in read(response).elements
        if tag == "a"
        and "href" in found
        and all(_has(found, name.replace("_", "-"), value) for name, value in attributes.items())
    ]


def _has(found: dict[str, str], name: str, value: str) -> bool:
    return name in found and value in ("", found[name])


def rows(response: Any) -> list[int]:
    """Return the positions in the table, in order."""
    return [
        int(a["data-pos"]) for tag, a in read(response).elements if tag == "tr" and "data-pos" in a
    ]
