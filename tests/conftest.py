"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

# Machines that run the suite are shared: how long one example takes says nothing about the code.
settings.register_profile("evdebug", deadline=None)
settings.load_profile("evdebug")
