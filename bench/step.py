"""`python -m bench.step NAME OPTIONS`: one measurement, in a process of its own."""

from __future__ import annotations

import gc
import importlib
import json
import sys

import django

from bench.machine import resident_peak


def main(name: str, options: str) -> None:
    """Run `bench.steps.NAME.run(**OPTIONS)` and print what it returns as JSON."""
    django.setup()
    step = importlib.import_module(f"bench.steps.{name}")
    gc.freeze()  # as the server does
    answer = step.run(**json.loads(options))
    print(json.dumps(answer | {"peak": resident_peak()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
