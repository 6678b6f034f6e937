"""Code of a git revision: the files as they were, and nothing of the repository is run for it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from apps.sandbox.commands import forks, jobs
from apps.sandbox.errors import BadRecipe
from apps.sandbox.models import Run
from apps.sandbox.queries import code as codes
from apps.sandbox.queries.comparison import comparison
from apps.sandbox.revisions import NoRevision, Repository
from tests.conftest import Log, needed
from tests.factories import NOON
from tests.services import Missing

CODE = """
from evdebug.sdk import New, subscriber
from {name}.greeting import WORD

@subscriber("greeter", to="Came")
def greet(event, ctx):
    yield New("Greeted", event.stream, {{"word": WORD}})
"""


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=n", "-c", "user.email=e@example.com"]
    subprocess.run(["git", *who, "-C", str(folder), *words], check=True, capture_output=True)


class Code:
    """A repository with a package of two revisions: `old` says Hello, and now it says Bye."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, f"greeters_{os.urandom(4).hex()}"
        package = folder / "src" / self.name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(CODE.format(name=self.name))
        (package / "greeting.py").write_text("WORD = 'Hello'\n")
        (package / "été 1.txt").write_text("a\n")
        (package / "link").symlink_to("/etc/passwd")
        (folder / "src" / "apps").mkdir()
        (folder / "src" / "apps" / "own.py").write_text("")
        git(folder, "init", "-q", "-b", "main")
        self.ran = folder / "ran"
        for hook in ("post-checkout", "reference-transaction", "post-index-change"):
            path = folder / ".git" / "hooks" / hook
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/sh\necho {hook} >> {self.ran}\n")
            path.chmod(0o755)
        self.commit("old")
        (package / "greeting.py").write_text("WORD = 'Bye'\n")
        (package / "new.py").write_text("")
        self.commit("new")
        self.ran.unlink(missing_ok=True)
        git(folder, "config", "filter.f.smudge", f"sh -c 'echo smudge >> {self.ran}; cat'")
        git(folder, "config", "core.fsmonitor", str(folder / ".git" / "hooks" / "post-checkout"))
        (folder / ".git" / "info").mkdir(exist_ok=True)
        (folder / ".git" / "info" / "attributes").write_text("* filter=f export-ignore\n")

    def commit(self, tag: str) -> None:
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-q", "-m", tag)
        git(self.folder, "tag", tag)


@pytest.fixture
def code(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Code:
    def found() -> None:
        if shutil.which("git") is None:
            raise Missing("There is no git on PATH (Debian: apt-get install git).")

    needed(found)
    made = Code(tmp_path)
    settings.CODE = (made.name,)
    monkeypatch.chdir(tmp_path / "src")
    return made


def test_it_works(code: Code, tmp_path: Path) -> None:
    repository = Repository(str(code.folder / "src"))
    commit = repository.commit("old")
    assert len(commit) == 40
    assert repository.commit(commit[:10]) == commit
    path = repository.write(commit, tmp_path / "out")

    assert path == tmp_path / "out" / "src"
    files = {str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()}
    names = ("__init__.py", "greeting.py", "été 1.txt")
    assert files == {f"{code.name}/{name}" for name in names}
    assert (path / code.name / "greeting.py").read_text() == "WORD = 'Hello'\n"
    assert not code.ran.exists()


@pytest.mark.parametrize(
    "name", ["nothing", "--help", "-x", "", "a" * 300, "old\n", "old:src", "HEAD^{tree}", "@{9}"]
)
def test_it_knows_no(name: str, code: Code) -> None:
    with pytest.raises(NoRevision, match="revision"):
        Repository(str(code.folder)).commit(name)


def test_a_folder_that_is_in_no_repository(tmp_path_factory: pytest.TempPathFactory) -> None:
    there = shutil.which("git")
    with pytest.raises(NoRevision, match="not a git repository" if there else "no git on this"):
        Repository(str(tmp_path_factory.mktemp("none")))


def test_a_partial_clone_is_not_fetched_from(code: Code) -> None:
    git(code.folder, "config", "remote.origin.promisor", "true")
    with pytest.raises(NoRevision, match="partial clone"):
        Repository(str(code.folder))


@pytest.fixture
def greetings(log: Log) -> Log:
    """Three who came, and were greeted as the code does now."""
    for n in range(3):
        came = log.add(type="Came", source="/door", stream=f"who-{n}", time=NOON + n, data={})
        log.add(type="Greeted", source="/greeter", stream=f"who-{n}", time=NOON + n, cause=came,
                data={"word": "Bye"})  # fmt: skip
    return log


@pytest.mark.django_db
def test_a_run_of_a_revision(code: Code, greetings: Log) -> None:
    fork = forks.create(greetings.line, base=0, code={"greeter": {"git": "old"}})
    assert fork.code["greeter"]["name"] == "old"
    run = jobs.claim(forks.start(greetings.line, fork).pk)
    assert run is not None
    run = jobs.work(run)

    assert (run.status, run.error) == ("finished", "")
    found = comparison(run)
    assert (found["changed"], found["unexpected"]) == (3, 0)
    assert found["events"][0]["changes"][0]["after"] == "Hello"
    assert run.result is not None
    assert run.result["self"]["different"] == 0  # that is the code there is now
    assert not code.ran.exists()
    again = forks.duplicate(greetings.line, fork)
    assert again.code == fork.code


@pytest.mark.django_db
@pytest.mark.parametrize("choice", [{"git": "old"}, {"module": ""}], ids=repr)
def test_where_the_platform_cannot_hold_code_an_administrator_decides(
    code: Code, greetings: Log, settings: Any, choice: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Here the platform can: a wall is asked for that no platform has."""
    monkeypatch.setattr(codes, "WALLS", (*codes.WALLS, "moat"))
    chosen = choice if "git" in choice else {"module": code.name}
    fork = forks.create(greetings.line, base=0, code={"greeter": chosen})

    def ended() -> Run:
        run = jobs.claim(forks.start(greetings.line, fork).pk)
        assert run is not None
        return jobs.work(run)

    refused = ended()
    assert refused.status == "failed"
    assert "cannot hold other code from disk (moat)" in refused.error
    assert "EVDEBUG_CODE_UNCONFINED=1" in refused.error
    settings.CODE_UNCONFINED = True
    assert ended().status == "finished"


@pytest.mark.django_db
def test_the_command(code: Code, greetings: Log, capsys: pytest.CaptureFixture[str]) -> None:
    slug = greetings.line.slug
    call_command("replay", slug, "--base", "0", "--revision", "new")
    with pytest.raises(SystemExit) as ended:
        call_command("replay", slug, "--base", "0", "--revision", "old")
    assert ended.value.code == 1
    assert "Bye → Hello" in capsys.readouterr().out


@pytest.mark.django_db
def test_a_module_that_was_not_there_yet(code: Code, greetings: Log, settings: Any) -> None:
    settings.CODE = (f"{code.name}.new",)
    fork = forks.create(greetings.line, base=0, code={"*": {"git": "old"}})
    run = jobs.claim(forks.start(greetings.line, fork).pk)
    assert run is not None
    assert "There was no module" in jobs.work(run).error
    assert Run.objects.get(pk=run.pk).status == "failed"
    with pytest.raises(BadRecipe, match="has no revision 'x'"):
        forks.create(greetings.line, base=0, code={"*": {"git": "x"}})
