"""The tasks that a teacher is shown as examples. In: a file of seed tasks, or a language, out: seeds.

JSON Lines in self-instruct's format: `id`, `name`, `instruction`, `instances` (a list of `input` and `output`) and
`is_classification`. The seeds in this folder, 175 in English and 175 in Korean, were written for nabot and have its licence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nabot.data.faults import Problem, excerpt, problem
from nabot.data.records import read_records
from nabot.data.validate import nfc
from nabot.synth.tasks import Task
from nabot.text import say

Language = Literal["en", "ko"]


@dataclass(frozen=True)
class Seed:
    """One task with its instances; self-instruct asks for the instances of a classification in another way."""

    id: str
    name: str
    instruction: str
    tasks: tuple[Task, ...]  # one for each instance, at least one
    is_classification: bool


def own_seeds(language: Language) -> list[Seed]:
    """The 175 seeds that come with nabot."""
    return read_seeds(Path(__file__).with_name(f"seeds_{language}.jsonl"))


def read_seeds(path: Path) -> list[Seed]:
    """A person's own seeds; `id` and `name` may be left out. Raises DataError, which lists the first 20 faults."""
    return read_records(path, lambda row, number: _problems(row) or _seed(row, number), say("synth.correct_seeds"))


def _seed(row: Mapping[str, Any], number: int) -> Seed:
    instruction = nfc(row["instruction"]).strip()
    tasks = tuple(Task(instruction, nfc(each["input"]), nfc(each["output"])) for each in row["instances"])
    name = str(row.get("name") or "")
    return Seed(str(row.get("id") or f"seed_task_{number}"), name, instruction, tasks, row["is_classification"])


def _problems(row: Any) -> list[Problem]:
    """What keeps a row from being a seed."""
    if not isinstance(row, Mapping):
        return [problem("not_object", seen=excerpt(row))]
    found = _text_problems(row, "instruction", "")
    if not isinstance(row.get("is_classification"), bool):
        seen = excerpt(row.get("is_classification"))
        found.append(problem("not_true_false", "is_classification", seen=seen))
    instances = row.get("instances")
    if not isinstance(instances, list) or not instances or not all(isinstance(each, Mapping) for each in instances):
        return [*found, problem("not_objects", "instances", seen=excerpt(instances))]
    for i, each in enumerate(instances):
        found += [
            *_text_problems(each, "input", f"instances[{i}].", empty=True),
            *_text_problems(each, "output", f"instances[{i}]."),
        ]
    return found


def _text_problems(row: Mapping[str, Any], key: str, place: str, *, empty: bool = False) -> list[Problem]:
    text = row.get(key)
    if isinstance(text, str) and (empty or text.strip()):
        return []
    return [problem("not_text", place + key, seen=excerpt(text))]
