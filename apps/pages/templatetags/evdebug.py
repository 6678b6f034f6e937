"""Tags and filters of the pages: icons, numbers, times, tiles, and links that keep the moment."""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any
from urllib.parse import urlencode

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.eventlog.envelope import Recorded, isoformat
from apps.eventlog.terms import Term, written
from apps.pages import chunks, edits, links, words
from apps.pages.queries.browser import outcome_words
from apps.pages.queries.services import Cast
from apps.pages.tiles import Tile
from apps.pages.tiles import shown as service_name

register = template.Library()

_WORD = re.compile(r'"[A-Za-z_][A-Za-z0-9_-]*"')

register.filter("grouped", words.grouped)
register.filter("place", words.place)
register.filter("duration", words.duration)
register.filter("size", words.size)
register.filter("service", service_name)
register.filter("percent", words.percent)


@register.filter
def rated(per_second: float) -> str:
    """Return a rate: 4.3/s, 0.12/s, 5.2/min."""
    return words.rate(per_second * 1000, 1000 * words.SECOND)


@register.filter
def filled(text: str, what: SafeString) -> SafeString:
    """Return a sentence with what belongs into its `{}`."""
    before, _, after = text.partition("{}")
    return format_html("{}{}{}", before, what, after)


@register.filter
def tile_for(known: Cast, service: str) -> Tile:
    """Return the tile of a service."""
    return known.of(service)


@register.filter
def shown(text: object) -> str:
    """Return a text with what cannot be seen written out; "" for None."""
    return "" if text is None else words.visible(str(text))


@register.filter
def coded(text: str) -> SafeString:
    """Set what stands between backticks as code."""
    parts = enumerate(text.split("`"))
    return format_html_join("", "{}", ((_code(part) if n % 2 else part,) for n, part in parts))


def _code(text: str) -> SafeString:
    return format_html("<code>{}</code>", text)


@register.filter
def initials(name: str) -> str:
    """Return up to two letters that stand for a person."""
    letters = [
        part[0] for part in words.visible(name).replace(".", " ").split() if part[0].isalnum()
    ]
    return "".join(letters[:2]).upper() or "?"


@register.filter
def clock(us: int | None) -> str:
    """Return a time of day in UTC, "" for None."""
    return "" if us is None else words.clock(us)


@register.filter
def tick(us: int, unit: str) -> str:
    """Return an axis label in UTC."""
    text = words.clock(us)
    return {"min": text[:5], "s": text[:8], "day": words.day(us)[:-5]}.get(unit, text)


@register.filter
def outcome(name: str) -> str:
    """Return an outcome in words: dead-lettered, skipped as duplicate."""
    return outcome_words(name)


@register.filter
def asking(value: str, field: str) -> str:
    """Return the query that asks for exactly this value of a field."""
    return f"{field}:{written(value)}"


@register.filter
def published(service: str) -> str:
    """Return the query that asks for what a service publishes, with a slash before it or none."""
    return f"source:{written(service)},{written(f'/{service}')}"


@register.filter
def dropping(text: str, term: Term) -> str:
    """Return a query without one of its terms."""
    return edits.without(text, term)


@register.filter
def without(values: list[str], value: str) -> list[str]:
    """Return a list without one value."""
    return [v for v in values or () if v != value]


@register.filter
def with_item(values: list[str] | None, value: str) -> list[str]:
    """Return a list with one value more."""
    return [*(values or ()), value]


@register.filter
def minus(number: int, less: int) -> int:
    """Return a difference."""
    return number - less


@register.filter
def bare_key(key: str) -> str:
    """Return a JSON key without its quotes where it is a plain word."""
    return key[1:-1] if _WORD.fullmatch(key) else key


@register.filter
def pointer_vals(pointer: str, offset: int = 0) -> str:
    """Return what htmx sends to load a part of the data, as JSON."""
    return json.dumps({"pointer": pointer, "offset": offset})


@register.filter
def pointer_query(pointer: str, offset: int = 0) -> str:
    """Return the same for a link."""
    return urlencode({"pointer": pointer, "offset": offset})


@register.filter
def raw(data: bytes, offset: int) -> chunks.Chunk:
    """Return a part of some bytes as text."""
    return chunks.text(data, offset)


@register.filter("hex")
def hexadecimal(data: bytes, offset: int) -> chunks.Lines:
    """Return a part of some bytes as hexadecimal."""
    return chunks.hexadecimal(data, offset)


@register.filter
def lateness(event: Recorded) -> str:
    """Return how long after it happened an event was recorded."""
    late = event.recorded_at - event.time
    return f"{words.duration(abs(late))} {'later' if late >= 0 else 'before it says it happened'}"


@register.filter
def js(number: int) -> str:
    """Return a whole number as a script reads it."""
    return str(int(number))


@register.filter
def floor(share: str) -> str:
    """Return the whole number in a percentage like "95.82%"."""
    return str(int(float(share.rstrip("%"))))


@register.filter
def ms(us: int) -> str:
    """Return microseconds as milliseconds for a script, exact: "1778596327418.25"."""
    return f"{us / 1000:.3f}".rstrip("0").rstrip(".")


@register.filter
def plural(number: int, names: str) -> str:
    """Return "1 event", "2 134 events" for {{ n|plural:"event" }} or :"delivery,deliveries"."""
    one, _, many = names.partition(",")
    return words.plural(number, one, many)


@register.simple_tag
def icon(name: str, look: str = "") -> SafeString:
    """Draw one of the icons of icons.svg."""
    return format_html(
        '<svg class="ic{}" aria-hidden="true"><use href="#i-{}"/></svg>', look and " " + look, name
    )


@register.simple_tag
def tile(drawn: Tile, look: str = "") -> SafeString:
    """Draw a service's tile. It stands beside the name, so screen readers leave it out."""
    classes = escape(f"tile {drawn.ink} {look}".rstrip())
    return SafeString(f'<i class="{classes}" aria-hidden="true">{escape(drawn.letter)}</i>')


@register.simple_tag
def when(us: int | None, unit: str = "ms") -> SafeString:
    """Write a moment: in UTC, and with what a script needs to show it in the viewer's zone.

    unit  how much of it: ms, s, min (time of day), day or date
    """
    if us is None:
        return format_html("{}", "–")
    clock, day = words.clock(us), words.day(us)
    cut = {"s": clock[:8], "min": clock[:5], "date": day, "day": day[:-5]}
    # Digits, blanks and letters of ours alone: nothing to escape, and a page has hundreds.
    return SafeString(
        f'<time datetime="{isoformat(us)}" data-ms="{ms(us)}" data-unit="{escape(unit)}"'
        f' title="{day} {clock} UTC">{cut.get(unit, clock)}</time>'
    )


@register.simple_tag(takes_context=True)
def link(context: template.Context, **changes: Any) -> str:
    """Return "?…" that keeps moment and filters, with parameters changed; None takes one away."""
    params: links.Params = context.get("params") or {}
    return links.query(params, **changes)


@register.simple_tag(takes_context=True)
def pos(context: template.Context, position: int) -> SafeString:
    """Write a position as a link that goes there."""
    return format_html(
        '<a class="pos" href="{}" data-seek="{}">{}</a>',
        link(context, at=position), position, words.place(position),
    )  # fmt: skip


@register.simple_tag(takes_context=True)
def link_at(context: template.Context) -> str:
    """Return "?at=…" for a link to another page, "" when live."""
    params: links.Params = context.get("params") or {}
    carried: links.Params = {n: v for n, v in params.items() if n in ("at", "timeline", "draw")}
    return links.query(carried) if carried else ""


@register.simple_tag(takes_context=True)
def link_from(context: template.Context, **changes: Any) -> str:
    """Return "?…" for a link to another page at a moment of its own: the timeline comes along."""
    params: links.Params = context.get("params") or {}
    carried: links.Params = {n: v for n, v in params.items() if n in ("timeline", "draw")}
    return links.query(carried, **changes)
