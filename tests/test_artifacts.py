"""Files and folders are whole or not there, at whatever call of the system their writer dies."""

import contextlib
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nabot.artifacts import new_folder, remove_leftovers, require_space, write_file, write_json
from nabot.errors import CapacityError


class Killed(BaseException):
    """As good as `kill -9`: nothing after it changes the disk any more."""


def dying_at(call: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The disk's changes fail from the given one on (from 1), also those of clean-up code. Returns what was called."""
    called: list[str] = []

    def mortal(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            called.append(name)
            if len(called) >= call:
                raise Killed
            return real(*arguments, **options)

        return run

    for name in ("mkdir", "fsync", "replace", "unlink", "rmdir"):
        monkeypatch.setattr(os, name, mortal(name, getattr(os, name)))
    monkeypatch.setattr(shutil, "rmtree", mortal("rmtree", shutil.rmtree))
    return called


def write_pair(path: Path, text: str) -> None:
    with new_folder(path) as aside:
        (aside / "a.txt").write_text(text, encoding="utf-8")
        (aside / "b.txt").write_text(text, encoding="utf-8")


def pair(path: Path) -> tuple[str, ...]:
    return tuple((path / name).read_text(encoding="utf-8") for name in ("a.txt", "b.txt"))


@pytest.mark.parametrize("call", range(1, 5))
@pytest.mark.parametrize("before", ["", "old"])
def test_a_file_is_old_or_new_wherever_its_writer_dies(
    call: int, before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.txt"
    if before:
        path.write_text(before, encoding="utf-8")
    with monkeypatch.context() as patched:
        dying_at(call, patched)
        with contextlib.suppress(Killed):
            write_file(path, "new")
    seen = path.read_text(encoding="utf-8") if path.exists() else ""
    assert seen in (before, "new")


@pytest.mark.parametrize("call", range(1, 13))
@pytest.mark.parametrize("before", ["", "old"])
def test_a_folder_is_old_or_new_or_not_there_wherever_its_writer_dies(
    call: int, before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder"
    if before:
        write_pair(path, before)
    with monkeypatch.context() as patched:
        dying_at(call, patched)
        with contextlib.suppress(Killed):
            write_pair(path, "new")
    assert not path.exists() or pair(path) in ((before, before), ("new", "new"))
    remove_leftovers(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] in ([], ["folder"])


def test_the_deaths_reach_every_call_of_both_writers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pair(tmp_path / "folder", "old")
    with monkeypatch.context() as patched:
        of_file = dying_at(99, patched)
        write_file(tmp_path / "file.txt", "new")
    with monkeypatch.context() as patched:
        of_folder = dying_at(99, patched)
        write_pair(tmp_path / "folder", "new")
    assert {"fsync", "replace"} <= set(of_file)
    assert len(of_file) < 5
    assert of_folder.count("replace") == 2
    assert of_folder.count("fsync") == 2
    assert len(of_folder) < 13


def test_an_error_inside_leaves_the_old_folder_and_no_leftover(tmp_path: Path) -> None:
    write_pair(tmp_path / "folder", "old")
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "folder") as aside:
        (aside / "a.txt").write_text(str(1 // 0), encoding="utf-8")
    assert pair(tmp_path / "folder") == ("old", "old")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_leftovers_are_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".nabot-tmp-1").write_text("half", encoding="utf-8")
    (tmp_path / ".nabot-tmp-2").mkdir()
    (tmp_path / ".nabot-tmp-2" / "file").write_text("half", encoding="utf-8")
    (tmp_path / "mine.txt").write_text("whole", encoding="utf-8")
    remove_leftovers(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_text_is_written_as_utf_8_with_plain_newlines(tmp_path: Path) -> None:
    write_file(tmp_path / "deep" / "er" / "file.txt", "달카페\n")
    assert (tmp_path / "deep" / "er" / "file.txt").read_bytes() == "달카페\n".encode()
    write_json(tmp_path / "value.json", {"이름": [1]})
    assert "이름" in (tmp_path / "value.json").read_text(encoding="utf-8")


def test_a_disk_without_room_is_named_with_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5_000_000))
    require_space(tmp_path, 4_000_000)
    with pytest.raises(CapacityError, match=r"bot: no room on the disk: 6\.0 MB needed, 5\.0 MB free"):
        require_space(tmp_path / "not" / "yet" / "bot", 6_000_000)


def test_a_disk_that_fills_up_while_writing_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(tmp_path / "file.txt", "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CapacityError, match=r"file\.txt: no room on the disk"):
        write_file(tmp_path / "file.txt", "new")
    assert (tmp_path / "file.txt").read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_other_errors_of_the_disk_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "file.txt").mkdir()
    with pytest.raises(OSError, match=r"file\.txt") as caught:
        write_file(tmp_path / "file.txt", "new")
    assert not isinstance(caught.value, CapacityError)
