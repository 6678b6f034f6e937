"""Wiring. Imports nothing, so that `evdebug.sdk` needs no package."""
