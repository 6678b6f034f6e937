"""Files, followed."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from apps.ingest.connector import BadSettings, Refused
from tests.ingest.connector_contract import ConnectorContract


class TestFiles(ConnectorContract):
    bus = "files"
    carries: ClassVar = [b"\x00\xff\xfe", b'{"a":1}', "ä🙂".encode(), b"x" * 100_000]

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path
        self.file = tmp_path / "events.ndjson"

    def settings(self) -> dict[str, str]:
        return {"path": str(self.folder)}

    def publish(self, bodies: list[bytes]) -> None:
        with self.file.open("ab") as out:
            out.writelines(body + b"\n" for body in bodies)

    def standing(self) -> list[tuple[str, bytes]]:
        return sorted((p.name, p.read_bytes()) for p in self.folder.iterdir())

    def test_a_line_is_read_once_it_is_whole(self) -> None:
        with self.opened() as connector:
            self.file.write_bytes(b"1\n2")
            assert self.bodies(connector, 1) == [b"1"]
            assert not connector.read(limit=10, wait=0)
            self.publish([b"2"])
            assert self.bodies(connector, 1) == [b"22"]

    @pytest.mark.parametrize("followed", ["", "events.ndjson", "events*"])
    def test_a_file_moved_aside_is_read_to_its_end(self, followed: str) -> None:
        path = str(self.folder / followed)
        self.publish([b"1"])
        with self.opened(path=path) as connector:
            assert self.bodies(connector, 1) == [b"1"]
            self.publish([b"2"])
            self.file.rename(self.folder / "events.ndjson.1")
            self.publish([b"3"])
            assert self.bodies(connector, 2) == [b"2", b"3"]
            assert not connector.read(limit=10, wait=0.3)

    def test_a_file_moved_aside_while_nobody_looked_is_found(self) -> None:
        self.publish([b"1", b"2"])
        with self.opened() as connector:
            (batch,) = self.batches(connector, 1, limit=1)
        self.file.rename(self.folder / "events.ndjson.1")
        self.publish([b"3", b"4"])
        with self.opened(batch.cursor) as connector:
            later = self.batches(connector, 3)
        records = [*batch.records, *(r for b in later for r in b.records)]
        assert [r.body for r in records] == [b"1", b"2", b"3", b"4"]
        assert len({(r.channel, r.offset, r.epoch) for r in records}) == 4
        assert not any(b.gaps for b in later)

    def test_a_file_that_was_emptied_is_a_gap_and_begins_again(self) -> None:
        self.publish([b"1", b"2"])
        with self.opened() as connector:
            assert self.bodies(connector, 2) == [b"1", b"2"]
            self.file.write_bytes(b"3\n")
            (batch,) = self.batches(connector, 1)
        assert [g.cause for g in batch.gaps] == ["recreated"]
        assert [(r.body, r.epoch) for r in batch.records] == [(b"3", "1")]

    def test_an_array_gives_its_elements(self) -> None:
        (self.folder / "batch.json").write_bytes(b' [{"n":0},\n{"n":1}]\n')
        with self.opened() as connector:
            assert self.bodies(connector, 2) == self.numbered(2)
            assert not connector.read(limit=10, wait=0.3)

    def test_many_files_are_read_each_once(self) -> None:
        for n in range(300):
            (self.folder / f"{n:03}.ndjson").write_bytes(b"%d\n" % n)
        with self.opened() as connector:
            assert set(self.bodies(connector, 300)) == {b"%d" % n for n in range(300)}
            with (self.folder / "007.ndjson").open("ab") as out:
                out.write(b"300\n")
            assert self.bodies(connector, 1) == [b"300"]

    def test_it_can_start_now(self) -> None:
        self.publish([b"old"])
        with self.opened(start="now") as connector:
            assert not connector.read(limit=10, wait=0).records
            self.publish([b"new"])
            assert self.bodies(connector, 1) == [b"new"]

    def test_it_reads_only_what_it_may(self) -> None:
        from apps.ingest import buses

        self.publish([b"1"])
        around = self.around(may_read=lambda path: False)
        connector = buses.connector("files", self.settings(), around)
        assert not connector.check().ok
        connector.open({})
        with pytest.raises(Refused, match="must not be read"):
            connector.read(limit=1, wait=0)

    def test_a_relative_path_is_refused(self) -> None:
        with pytest.raises(BadSettings, match="absolute"):
            self.make(path="events.ndjson")
