"""The rows of the event table, written by code: a template takes five times as long for sixty.

Every text goes through `escape`, as in a template; what is joined to markup unescaped is a whole
number, a word of ours, or what `tile` and `when` wrote.
"""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from django import template
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from apps.pages.outcomes import Chip
from apps.pages.queries.browser import Row
from apps.pages.templatetags.evdebug import asking, tile, when
from apps.pages.words import place

register = template.Library()


class Links:
    """What the links of all rows begin with, escaped."""

    def __init__(self, context: template.Context) -> None:
        self.moment, self.event, self.query = (
            escape(context[name]) for name in ("to_moment", "to_event", "to_query")
        )


@register.simple_tag(takes_context=True)
def event_rows(context: template.Context) -> SafeString:
    """Write the rows of `table`; one of them, the `selected` or the first, takes the focus."""
    rows: list[Row] = context["table"].rows
    links, selected = Links(context), context.get("selected") or None
    focused = selected or (rows[0].event.position if rows else 0)
    return SafeString("".join(_row(row, links, selected, focused) for row in rows))


def _row(row: Row, links: Links, selected: int | None, focused: int) -> str:
    event = row.event
    at = event.position
    state = ' aria-selected="true"' if at == selected else ""
    state += ' class="t-fail"' if event.failed else ""
    day = f'<span class="dim">{when(event.log_time, "day")} </span>' if row.new_day else ""
    name, source, stream = escape(row.type), escape(row.source), escape(row.stream)
    return (
        f'<tr data-pos="{at}" id="r{at}" tabindex="{0 if at == focused else -1}"{state}>'
        f'<td><a class="pos" href="{links.moment}{at}" data-seek="{at}">{place(at)}</a></td>'
        f'<td class="t2">{day}{when(event.log_time)}</td>'
        f'<td class="c-type"><a class="ev" href="{links.event}{at}" data-soft data-open'
        f' title="{name}">{tile(row.tile)}<span class="ev-t"><bdi>{name}</bdi></span>'
        f"{_tags(row)}</a></td>"
        f'<td class="c-src" title="{source}"><bdi>{source}</bdi></td>'
        f'<td class="c-str" title="{stream}"><bdi>{stream}</bdi></td>'
        f"{''.join(map(_cell, row.cells))}"
        f'<td class="c-cor">{_correlation(row, links) if event.correlation else ""}</td>'
        f'<td class="c-dls">{_chips(row.chips, row.said) if row.chips else ""}</td></tr>\n'
    )


def _tags(row: Row) -> str:
    said = [row.event.kind] if row.event.kind != "event" else []
    if row.event.data is None:
        said.append("deleted")
    return "".join(f'<span class="tag">{escape(word)}</span>' for word in said)


def _cell(text: str) -> str:
    title, shown = escape(_cut(text, 200)), escape(_cut(text, 60))
    return f'<td class="c-amt num" title="{title}"><bdi>{shown}</bdi></td>'


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else str(Truncator(text).chars(most))


def _correlation(row: Row, links: Links) -> str:
    asked = quote(asking(row.event.correlation, "correlation"), safe="")
    shown = escape(row.correlation)
    return (
        f'<a class="t2" href="{links.query}{asked}" data-soft title="All of {shown}">'
        f"<code><bdi>{shown}</bdi></code></a>"
    )


def _chips(made: list[Chip], said: str) -> str:
    words = escape(said)
    drawn = "".join(
        f'<span class="dl dl-{c.look}{" future" if c.future else ""}">'
        f"<b>{escape(c.tile.letter)}</b>{c.sign}</span>"
        for c in made
    )
    return f'<span class="dls" role="img" aria-label="{words}" title="{words}">{drawn}</span>'
