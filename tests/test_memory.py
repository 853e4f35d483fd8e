"""What a node remembers of etcd across its own restarts."""

import asyncio
from pathlib import Path

import pytest

from leaderd import memory
from leaderd.core.records import Known
from leaderd.memory import Memory
from leaderd.slots import SlotFile

KNOWN = Known(cluster_id=1 << 63, revision=7, holder_revision=6, token=5, epoch=1)


class Lines:
    """A log."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def __call__(self, level: str, event: str, **fields: object) -> None:
        assert level == "warning"
        assert fields["election"] == "db.a"
        self.events.append(event)


def make(directory: Path) -> tuple[Memory, Lines]:
    lines = Lines()
    return Memory(str(directory), "db.a", lines), lines


async def run_until(running: Memory, path: Path, text: str) -> None:
    task = asyncio.create_task(running.run())
    async with asyncio.timeout(20):
        while text not in (SlotFile(str(path)).read() or ""):
            await asyncio.sleep(0.01)
    task.cancel()


async def test_what_was_remembered_is_known_again(tmp_path: Path) -> None:
    first, lines = make(tmp_path)
    assert first.load() == Known()
    first.remember(Known(revision=1))
    first.remember(KNOWN)
    await run_until(first, tmp_path / "known" / "db.a", '"token": 5')
    assert make(tmp_path)[0].load() == KNOWN
    assert lines.events == []


@pytest.mark.parametrize(
    "text", ["[]", "null", "7", '{"x": 1}', '{"revision": Infinity}', '{"revision": []}', "[" * 100_000]
)
def test_a_damaged_file_counts_as_none_and_is_told_of(tmp_path: Path, text: str) -> None:
    (tmp_path / "known").mkdir()
    SlotFile(str(tmp_path / "known" / "db.a")).write(text)
    damaged, lines = make(tmp_path)
    assert damaged.load() == Known()
    assert lines.events == (
        [] if text == "[]" else ["what was known of etcd is not readable; a restore would go unnoticed"]
    )


def test_a_file_of_another_form_counts_as_none_and_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / "db.a").write_text("{}")
    damaged, lines = make(tmp_path)
    assert damaged.load() == Known()
    assert lines.events == ["what was known of etcd is not readable; a restore would go unnoticed"]


async def test_a_write_that_fails_is_told_of_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "RETRY_PERIOD", 0.01)
    monkeypatch.setattr(memory, "LULL", 0.0)
    (tmp_path / "known").write_text("in the way")
    failing, lines = make(tmp_path)
    failing.remember(KNOWN)
    task = asyncio.create_task(failing.run())
    await asyncio.sleep(0.2)
    assert lines.events == ["what is known of etcd is not written"]
    (tmp_path / "known").unlink()
    task.cancel()
    await run_until(failing, tmp_path / "known" / "db.a", '"token": 5')


async def test_news_that_come_together_are_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only after the last of them: a takeover's own writes go to the same disk."""
    written = []
    real = SlotFile.write

    def write(file: SlotFile, text: str) -> None:
        written.append(text)
        real(file, text)

    monkeypatch.setattr(SlotFile, "write", write)
    busy, _ = make(tmp_path)
    task = asyncio.create_task(busy.run())
    for token in range(5):
        busy.remember(Known(token=token))
        for _ in range(10):
            await asyncio.sleep(0)
    assert written == []
    task.cancel()
    await run_until(busy, tmp_path / "known" / "db.a", '"token": 4')
    assert len(written) == 1
