"""Which folders a run may write into, and what it leaves alone."""

from pathlib import Path

import pytest

from nabot.bot import RUN
from nabot.errors import ConfigError
from nabot.recipes.runfiles import EXAM, refuse_to_overwrite, remove_run


def files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    "name", ["README.md", "adapter/adapter_config.json", "run/checkpoints/last.pt", "manifest.json"]
)
def test_a_folder_of_a_persons_own_is_never_taken(name: str, force: bool, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=name.split("/", maxsplit=1)[0]):
        refuse_to_overwrite(files(tmp_path, name), force=force)


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["run/.nabot-tmp-1"],  # killed while it wrote its rows
        [".nabot-tmp-2/file", "run/conversations.jsonl", "run/start/adapter_config.json"],
        ["README.md", "manifest.json", "run/conversations.jsonl", "run/metrics.jsonl"],  # killed while it was cleared
    ],
)
def test_what_a_kill_left_is_taken(names: list[str], tmp_path: Path) -> None:
    refuse_to_overwrite(files(tmp_path, *names), force=False)


def test_a_bot_is_taken_when_forced(tmp_path: Path) -> None:
    bot = files(tmp_path, "bot.toml", "README.md", "adapter/adapter_config.json")
    with pytest.raises(ConfigError, match="--force"):
        refuse_to_overwrite(bot, force=False)
    refuse_to_overwrite(bot, force=True)


def test_a_new_run_is_not_looked_at_with_the_exam_of_the_old_one(tmp_path: Path) -> None:
    (tmp_path / RUN).mkdir()
    (tmp_path / RUN / EXAM).write_text("{}")
    (tmp_path / RUN / "mine.txt").write_text("mine")
    remove_run(tmp_path)
    assert [path.name for path in (tmp_path / RUN).iterdir()] == ["mine.txt"]
