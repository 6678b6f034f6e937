"""Adding and removing watches."""

from __future__ import annotations

from apps.eventlog.places import Line
from apps.projections.errors import BadExpression
from apps.projections.expression import Expression
from apps.projections.models import Watch
from apps.projections.queries import grouped
from apps.projections.queries.finding import read_expression
from apps.projections.queries.states import MERGE, code_fold, stream_number
from apps.projections.queries.watches import MOST, watches


def add_watch(
    line: Line, text: str, *, owner: int, stream: str = "", must_hold: bool = False,
    projection: str = "",
) -> Watch:  # fmt: skip
    """Keep an expression for a person; the same one again is kept once.

    stream      whose state `state` means; "stock-*" means each whose name begins so
    projection  by which code events become that state; merged without it
    raises      BadExpression, UnknownStream for an entity there never is, UnknownProjection,
                BrokenCode
    """
    expression = read_expression(text.strip())
    projection = "" if projection == MERGE else projection
    _check(line, expression, stream, projection)
    if not stream and not expression.entities:
        raise BadExpression("Name an entity, as in stock-SKU7.available, or open one first.")
    if len(watches(line, owner=owner)) >= MOST:
        raise BadExpression(f"There are {MOST} watches already; remove one first.")
    kept, _ = Watch.objects.get_or_create(
        system=line.system, owner=owner, stream=stream, expression=text.strip(),
        projection=projection,
        defaults={"must_hold": must_hold},
    )  # fmt: skip
    if kept.must_hold != must_hold:
        kept.must_hold = must_hold
        kept.save(update_fields=["must_hold"])
    return kept


def _check(line: Line, expression: Expression, stream: str, projection: str) -> None:
    if stream.endswith("*"):
        grouped.checked(expression)
        prefix = stream.removesuffix("*")
        grouped.verdict(line, expression, prefix, at=line.head, projection=projection)
    elif projection:
        if expression.entities - {stream}:
            raise BadExpression("By code a watch speaks of one entity: of `state` alone.")
        code_fold(line, stream, line.head, projection)
    else:
        for name in expression.entities | ({stream} if stream else set()):
            stream_number(line, name)


def remove_watch(watch: Watch) -> None:
    """Forget a watch."""
    watch.delete()
