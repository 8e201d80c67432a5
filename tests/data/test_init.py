"""The example that a person starts from."""

from pathlib import Path

import pytest

from nabot.data.check import check
from nabot.data.files import read_text
from nabot.data.init import starter_files, write_starter
from nabot.errors import ConfigError


def test_the_starter_is_written_whole_and_is_good_data(tmp_path: Path):
    folder = tmp_path / "my-bot"
    written = write_starter(folder)
    assert {"conversations.jsonl", "exam.jsonl", "facts.md", "README.md"} <= {path.name for path in written}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == starter_files()
    assert check([folder / "conversations.jsonl"], exam=folder / "exam.jsonl").faults == ()
    assert read_text(folder / "facts.md")


def test_an_empty_folder_is_filled(tmp_path: Path):
    assert write_starter(tmp_path)


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mine\.txt[\s\S]*--force"):
        write_starter(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_force_writes_beside_what_is_there(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    write_starter(tmp_path, force=True)
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "mine"
    assert (tmp_path / "facts.md").exists()


def test_a_file_in_the_way_is_explained(tmp_path: Path):
    (tmp_path / "my-bot").write_text("x", encoding="utf-8")
    with pytest.raises(ConfigError, match="file of this name"):
        write_starter(tmp_path / "my-bot")
