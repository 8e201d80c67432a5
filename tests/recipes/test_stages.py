"""A stage is done when something that it depends on has changed, and only then."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nabot.recipes.stages import Figures, Stage, Stages


class Copying:
    """A stage that copies a text, and counts how often."""

    def __init__(self, folder: Path) -> None:
        self.source, self.copy, self.told = folder / "in.txt", folder / "out.txt", {"case": "upper"}
        self.begun_before: list[bool] = []
        self.source.write_text("tea")
        self.stages = Stages(folder / "stages")

    def run(self, work: Callable[[bool], Figures] | None = None, *, is_editable: bool = False) -> Figures:
        return self.stages.run(Stage("copy", [self.source], self.told, [self.copy], work or self._work, is_editable))

    def _work(self, begun_before: bool) -> Figures:
        self.begun_before.append(begun_before)
        self.copy.write_text(self.source.read_text().upper())
        return {"characters": len(self.source.read_text())}


@pytest.fixture
def copying(tmp_path: Path) -> Copying:
    return Copying(tmp_path)


def test_the_same_stage_is_not_done_twice_and_gives_the_same_figures(copying: Copying):
    assert copying.run() == copying.run() == {"characters": 3}
    assert copying.begun_before == [False]


def test_an_input_that_changed_has_the_stage_done_again(copying: Copying):
    copying.run()
    copying.source.write_text("coffee")
    assert copying.run() == {"characters": 6}
    assert copying.begun_before == [False, False]


def test_an_input_that_was_only_touched_does_not(copying: Copying):
    copying.run()
    copying.source.touch()
    copying.run()
    assert len(copying.begun_before) == 1


def test_a_setting_that_changed_has_the_stage_done_again(copying: Copying):
    copying.run()
    copying.told = {"case": "lower"}
    copying.run()
    assert len(copying.begun_before) == 2


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_text("other")])
def test_a_result_that_is_gone_or_was_changed_is_made_again(copying: Copying, damage: Callable[[Path], object]):
    copying.run()
    damage(copying.copy)
    copying.run()
    assert copying.copy.read_text() == "TEA"


def test_a_result_that_people_may_change_is_used_as_it_has_become(copying: Copying):
    copying.run(is_editable=True)
    copying.copy.write_text("mine")
    copying.run(is_editable=True)
    assert (copying.copy.read_text(), len(copying.begun_before)) == ("mine", 1)
    copying.copy.unlink()
    copying.run(is_editable=True)
    assert copying.copy.read_text() == "TEA"


def test_what_a_person_changed_is_kept_aside_when_it_has_to_be_made_anew(copying: Copying, tmp_path: Path):
    heard: list[tuple[Path, Path]] = []
    copying.stages = Stages(tmp_path / "stages", on_aside=lambda *paths: heard.append(paths))
    copying.run(is_editable=True)
    copying.copy.write_text("mine")
    copying.source.write_text("coffee")
    copying.run(is_editable=True)
    assert copying.copy.read_text() == "COFFEE"
    assert heard == [(copying.copy, tmp_path / "out.1.txt")]
    assert (tmp_path / "out.1.txt").read_text() == "mine"


def test_a_stage_knows_its_own_results_also_while_they_are_being_replaced(copying: Copying):
    def is_own() -> bool:
        return copying.stages.is_own("copy", [copying.copy])

    def cut_off(_: bool) -> Figures:
        raise KeyboardInterrupt

    assert not is_own()
    copying.run()
    assert is_own()
    copying.told = {"case": "lower"}
    with pytest.raises(KeyboardInterrupt):
        copying.run(cut_off)
    assert is_own()
    copying.copy.write_text("somebody else's")
    assert not is_own()


def test_a_stage_that_was_cut_off_hears_of_it(copying: Copying):
    def cut_off(_: bool) -> Figures:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copying.run(cut_off)
    copying.run()
    assert copying.begun_before == [True]


def test_a_stage_that_was_cut_off_with_other_settings_begins_anew(copying: Copying):
    def cut_off(_: bool) -> Figures:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copying.run(cut_off)
    copying.told = {"case": "lower"}
    copying.run()
    assert copying.begun_before == [False]


def test_fresh_has_every_stage_done_again_from_its_beginning_and_keeps_changes_aside(copying: Copying, tmp_path: Path):
    copying.run(is_editable=True)
    copying.copy.write_text("mine")
    copying.stages = Stages(tmp_path / "stages", fresh=True)
    copying.run(is_editable=True)
    assert copying.begun_before == [False, False]
    assert (tmp_path / "out.1.txt").read_text() == "mine"


def test_a_damaged_record_has_the_stage_done_again(copying: Copying, tmp_path: Path):
    copying.run()
    (tmp_path / "stages" / "copy.json").write_text("{")
    copying.run()
    assert len(copying.begun_before) == 2


def test_who_looks_on_hears_what_is_passed_over(copying: Copying, tmp_path: Path):
    heard: list[tuple[str, bool]] = []
    copying.stages = Stages(tmp_path / "stages", lambda name, passed: heard.append((name, passed)))
    copying.run()
    copying.run()
    assert heard == [("copy", False), ("copy", True)]
