"""`manage.py replay SYSTEM --base P`: run a recipe, print the comparison; 0 same, 1 different.

With `--test NAME` a run that was kept as a test is done again; the same then means the same result.
`--export DIR` writes the run as a folder, and `--folder DIR` does it again, wherever its code is.
"""

from __future__ import annotations

import secrets
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError

from apps.eventlog.errors import EventLogError
from apps.eventlog.queries import log
from apps.ingest.redact import BadRule, Redactor, parse
from apps.projections import answers
from apps.sandbox.commands import forks, jobs, portable, tests
from apps.sandbox.commands.prepare import FAULTS
from apps.sandbox.folder import BadFolder, Expected
from apps.sandbox.models import CHECKS, Run
from apps.sandbox.queries.comparison import comparison

SHOWN = 40  # differences printed in words
COUNTS = ("same", "changed", "missing", "new", "unexpected")
SIGNS = {"same": "=", "changed": "≠", "missing": "−", "new": "+"}


class Command(BaseCommand):
    help = "Replay history in a copy, changed; exits 0 same, 1 different, 2 could not run."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("system", nargs="?", help="a system's slug; none with --folder")
        parser.add_argument("--base", help="the position or time to fork after")
        parser.add_argument("--test", help="do again the run that was kept under this name")
        parser.add_argument("--until", default="", help="up to this position or time; now without")
        parser.add_argument("--edits", help="a JSON file with a list of edits; - reads stdin")
        parser.add_argument("--code", help="a module whose handlers replace those of EVDEBUG_CODE")
        parser.add_argument(
            "--revision", metavar="REV",
            help="run the modules of EVDEBUG_CODE as they were at a revision of their repository",
        )  # fmt: skip
        parser.add_argument(
            "--missing", choices=["stop", "fail", "nearest"], default="stop",
            help="what a call without a recorded answer does",
        )  # fmt: skip
        parser.add_argument("--check", choices=CHECKS[1:], help="one of the checks instead")
        parser.add_argument(
            "--target", metavar="SERVICE=URL", help="a copy of a service that is handed its events"
        )
        parser.add_argument("--stream", help="with a target redis://…: the stream it reads")
        parser.add_argument(
            "--send", action="store_true", help="hand them out; without it, say what would be sent"
        )
        parser.add_argument(
            "--shrink", metavar="EXPR",
            help="leave out all that is not needed for an expression to hold, or for one of"
            " differs, unexpected and failing",
        )  # fmt: skip
        parser.add_argument("--export", metavar="DIR", help="write the run as a folder, too")
        parser.add_argument(
            "--redact", action="append", default=[], metavar="RULE",
            help="what the folder is not to hold, as for taps: mask data.card, hash ~email",
        )  # fmt: skip
        parser.add_argument("--folder", metavar="DIR", help="run a folder; needs no database")
        parser.add_argument("--name", default="", help="the sandbox's name")
        parser.add_argument("--json", action="store_true", help="as the JSON API answers")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            same = self.folder(options) if options["folder"] else self.system(options)
        except (EventLogError, BadFolder, BadRule) as error:
            raise CommandError(str(error), returncode=2) from error
        if not same:
            sys.exit(1)

    def folder(self, options: dict[str, Any]) -> bool:
        """Run a folder and return whether it comes to what is expected of it."""
        if more := [name for name in ("system", "base", "test", "export") if options[name]]:
            raise CommandError(f"--folder says all; leave out {more[0]}.", returncode=2)
        wanted, found = portable.rerun(Path(options["folder"]), code=options["code"])
        if options["json"]:
            self.stdout.write(msgspec.json.encode(found).decode())
        same = wanted.digest == found.digest if wanted else not found.differences
        if not same and not options["json"]:
            self.stdout.write("".join(_apart(wanted, found)), ending="")
        self.say(_counted(found) + (", as expected" if same else ", OTHERWISE than expected"))
        return same

    def system(self, options: dict[str, Any]) -> bool:
        """Replay a system's history and return whether nothing differs, or as was kept."""
        if not options["system"] or bool(options["base"]) == bool(options["test"]):
            raise CommandError("Say where to fork, --base P, or which --test.", returncode=2)
        redactor = Redactor(parse("\n".join(options["redact"])), secrets.token_bytes(32))
        kept = tests.kept(log.line(options["system"]), options["test"] or "")
        run = self.run(options, kept)
        found = comparison(run)
        if options["export"]:
            wanted = portable.export(run, Path(options["export"]), redactor)
            self.say(f"{options['export']}: {_counted(wanted)}")
            if any(getattr(wanted, name) != found[name] for name in COUNTS):
                self.say("Redacted, it comes out otherwise: what handlers look at was taken out.")
        return self.told(options, kept, found)

    def told(self, options: dict[str, Any], kept: Run | None, found: dict[str, Any]) -> bool:
        """Print a comparison and return whether nothing differs, or as was kept."""
        if options["json"]:
            self.stdout.write(answers.encoded(found).decode())
        else:
            self.tell(found)
        broken = sum(row["broken"] for row in found["folds"])
        differs = any(found[name] for name in ("changed", "missing", "new", "failures"))
        same = not (differs or broken)
        same = same and found["shrunk"] is None
        if kept is not None:
            same = tests.expected(kept) == found["digest"]
            words = "as it was kept" if same else "OTHERWISE than it was kept"
            self.say(f"{options['test']}: {words}")
        self.say(found["verdict"])
        return same

    def say(self, text: str) -> None:
        """Tell a person something beside the comparison."""
        self.stderr.write(text, lambda text: text)

    def run(self, options: dict[str, Any], kept: Run | None) -> Run:
        """Make the sandbox and its run, and do it here."""
        line = log.line(options["system"])
        if kept is not None:
            return self.done(tests.again(line, kept))
        fork = forks.create(
            line, base=log.moment(line, options["base"]), until=log.moment(line, options["until"]),
            name=options["name"] or "manage.py replay", edits=_edits(options["edits"]),
            code=_code(options), options={"missing": options["missing"], **_fault(options)},
        )  # fmt: skip
        if options["target"]:
            dry = self.done(forks.start(line, fork, check="dry"))
            if not options["send"]:
                return dry
        check = "shrink" if options["shrink"] else options["check"] or ""
        return self.done(forks.start(line, fork, check=check))

    def done(self, run: Run) -> Run:
        """Do a run here, or wait for whoever took it first."""
        begun = time.monotonic()
        claimed = jobs.claim(run.pk)
        done = jobs.work(claimed) if claimed else _finished(run)
        took = max(0.001, time.monotonic() - begun)
        self.stderr.write(f"{done.done} of {done.total} entries in {took:.1f} s", lambda text: text)
        if done.repeats:
            self.say(f"At most {done.repeats} events may have been sent outside twice.")
        if done.status != "finished":
            raise CommandError(f"The run {done.status}: {done.error}", returncode=2)
        return done

    def tell(self, found: dict[str, Any]) -> None:
        """Print the differences, one a line."""
        for row in found["events"][:SHOWN]:
            event = row["original"] or row["sandbox"]
            where = f"#{event['position']}" if row["original"] else ""
            self.stdout.write(
                f"{SIGNS[row['verdict']]} {where:>10} {event['type']} {event['stream']}"
            )
        for row in found["failures"]:
            where = f", first for #{row['position']}" if row["position"] else ""
            self.stdout.write(
                f"! {row['service']} fails for {row['type']}, {row['count']}×{where}:"
                f" {row['error']}"
            )
        for row in found["shrunk_rows"]:
            if row["input"]:
                self.stdout.write(f"#{row['position']} {row['type']} {row['stream']}".rstrip())
        for edit in (found["shrunk"] or {}).get("edits", ()):
            self.stdout.write(msgspec.json.encode(edit).decode())
        for row in found["sends"]:
            self.stdout.write(
                f"{row['to']} {row['type']}: {row['count']} of {row['bytes']} bytes;"
                f" #{row['position']}: {row['first']}"
            )
        for row in found["folds"]:
            self.stdout.write(
                f"{row['projection']} {row['type']} version {row['version']}: {row['fine']} fine,"
                f" {row['changed']} changed, {row['broken']} broken"
                + (f"; #{row['position']}: {row['text']}" if row["text"] else "")
            )
        for state in found["states"][:SHOWN]:
            for step in state["changes"]:
                before, after = step.get("before", "—"), step.get("after", "—")
                self.stdout.write(f"  {state['stream']}{step['path']}: {before} → {after}")


def _counted(found: Expected) -> str:
    return ", ".join(f"{getattr(found, name)} {name}" for name in COUNTS)


def _apart(wanted: Expected | None, found: Expected) -> Iterator[str]:
    """Yield lines about what differs now and did not, and the other way round."""
    wanted = wanted or msgspec.structs.replace(found, differences=[], states=[])
    for word, these, those in (("now", found, wanted), ("no longer", wanted, found)):
        known = set(those.differences)
        for d in [d for d in these.differences if d not in known][:SHOWN]:
            where = f"#{d.position}" if d.position else ""
            yield f"{word} {SIGNS[d.verdict]} {where:>10} {d.type} {d.stream}\n"
        for stream, steps in [s for s in these.states if s not in those.states][:SHOWN]:
            for step in steps:
                before, after = step.get("before", "—"), step.get("after", "—")
                yield f"{word}   {stream}{step['path']}: {before} → {after}\n"


def _finished(run: Run) -> Run:
    """Wait for a run that a worker took first."""
    while not (found := Run.objects.select_related("fork").get(pk=run.pk)).over:
        if found.status in ("paused", "stopped"):
            return found
        time.sleep(0.2)
    return found


def _code(options: dict[str, Any]) -> Any:
    """Return the code choices: a module, a revision, or a copy outside."""
    given = [name for name in ("code", "revision", "target") if options[name]]
    if len(given) > 1:
        raise CommandError(f"--{given[0]} goes without --{given[1]}.", returncode=2)
    if options["revision"]:
        return {"*": {"git": options["revision"]}}
    if not options["target"]:
        return options["code"]
    service, _, url = options["target"].partition("=")
    if not url:
        raise CommandError("--target is SERVICE=URL.", returncode=2)
    if url.startswith(("http://", "https://")):
        return {service: {"http": url}}
    return {service: {"redis": url, "stream": options["stream"] or ""}}


def _fault(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that say what is wrong, where the run is to be shrunk."""
    text = options["shrink"]
    return {"fails": text} if text in FAULTS else {"stop_when": text} if text else {}


def _edits(name: str | None) -> list[Any]:
    if not name:
        return []
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text()
        found = msgspec.json.decode(text)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise CommandError(f"{name} cannot be read as edits: {error}", returncode=2) from error
    if not isinstance(found, list):
        raise CommandError(f"{name} holds no list of edits.", returncode=2)
    return found
