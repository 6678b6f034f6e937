from __future__ import annotations

import pytest

from apps.access.roles import ROLES, covered, includes


def test_a_role_includes_those_below_it() -> None:
    held = {role: [needed for needed in ROLES if includes(role, needed)] for role in ROLES}
    assert held == {
        "viewer": ["viewer"],
        "debugger": ["viewer", "debugger"],
        "admin": ["viewer", "debugger", "admin"],
    }


@pytest.mark.parametrize("role", ["", "owner", "Admin"])
def test_what_is_no_role_includes_nothing(role: str) -> None:
    assert not any(includes(role, needed) for needed in ROLES)


def test_write_includes_read_and_ingest_stands_alone() -> None:
    assert covered(["write"]) == {"read", "write"}
    assert covered(["read"]) == {"read"}
    assert covered(["ingest"]) == {"ingest"}
    assert covered(["ingest", "read"]) == {"ingest", "read"}
    assert covered([]) == frozenset()
    with pytest.raises(KeyError):
        covered(["admin"])
