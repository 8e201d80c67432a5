"""The seeds that come with nabot, and a person's own: what every one of them has to be, and what is said of one that is not."""

import json
from pathlib import Path

import pytest

import nabot.synth
from nabot.errors import DataError
from nabot.synth import Pool, Task, own_seeds, read_seeds, reject_task

FOLDER = Path(nabot.synth.__file__).parent
BOTH = pytest.mark.parametrize("language", ["en", "ko"])
GOOD = {"instruction": "Name a river.", "instances": [{"input": "", "output": "Rhine"}], "is_classification": False}


def put(folder, *rows):
    path = folder / "seeds.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def refusal(path):
    with pytest.raises(DataError) as caught:
        read_seeds(path)
    return str(caught.value)


@BOTH
def test_there_are_175_seeds_of_which_26_are_classifications(language):
    seeds = own_seeds(language)
    assert len(seeds) == 175
    assert sum(seed.is_classification for seed in seeds) == 26
    assert {len(seed.tasks) for seed in seeds} == {1}
    assert 115 <= sum(bool(seed.tasks[0].input) for seed in seeds) <= 135


@BOTH
def test_the_files_have_the_keys_of_self_instruct_and_nothing_else(language):
    lines = (FOLDER / f"seeds_{language}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert {tuple(row) for row in rows} == {("id", "name", "instruction", "instances", "is_classification")}
    assert {tuple(each) for row in rows for each in row["instances"]} == {("input", "output")}


@BOTH
def test_ids_count_up_and_names_are_unique(language):
    seeds = own_seeds(language)
    assert [seed.id for seed in seeds] == [f"seed_{language}_{i:03}" for i in range(1, 176)]
    assert len({seed.name for seed in seeds}) == 175


@BOTH
def test_every_seed_passes_the_filters_that_a_teachers_tasks_have_to_pass(language):
    reasons = {seed.id: reject_task(task, language) for seed in own_seeds(language) for task in seed.tasks}
    assert {name: reason for name, reason in reasons.items() if reason} == {}


@BOTH
def test_no_seed_is_a_near_copy_of_another(language):
    pool = Pool()
    for seed in own_seeds(language):
        assert pool.near_copy(seed.instruction) is None, seed.id
        pool.add(seed.instruction)


@BOTH
def test_no_two_seeds_are_about_the_same_text(language):
    inputs = [task.input for seed in own_seeds(language) for task in seed.tasks if task.input]
    assert len(set(inputs)) == len(inputs)


@BOTH
def test_texts_have_no_space_around_them_and_no_broken_characters(language):
    for seed in own_seeds(language):
        for task in seed.tasks:
            for text in (task.instruction, task.input, task.output):
                assert text == text.strip()
                assert all(c.isprintable() or c in "\n\t" for c in text), seed.id
                assert "\ufffd" not in text


@BOTH
def test_the_answer_to_a_classification_is_a_label_and_not_a_sentence(language):
    labels = {seed.id: seed.tasks[0].output for seed in own_seeds(language) if seed.is_classification}
    assert {name: label for name, label in labels.items() if len(label.split()) > 2 or label.endswith(".")} == {}


def test_id_and_name_may_be_left_out(tmp_path):
    first, second = read_seeds(put(tmp_path, GOOD, {**GOOD, "id": "mine", "name": "river"}))
    assert (first.id, first.name) == ("seed_task_1", "")
    assert (second.id, second.name) == ("mine", "river")


def test_every_instance_becomes_a_task_of_its_own_and_other_keys_are_ignored(tmp_path):
    instances = [{"input": "Europe", "output": "Rhine"}, {"input": "Asia", "output": "Mekong", "by": "Mia"}]
    (seed,) = read_seeds(put(tmp_path, {**GOOD, "instances": instances, "author": "Mia"}))
    assert seed.tasks == (Task("Name a river.", "Europe", "Rhine"), Task("Name a river.", "Asia", "Mekong"))


@pytest.mark.parametrize(
    ("change", "field", "seen"),
    [
        ({"instruction": None}, "instruction", "seen nothing; expected text"),
        ({"instruction": " "}, "instruction", 'seen " "; expected text'),
        ({"is_classification": None}, "is_classification", "seen nothing; expected true or false"),
        ({"is_classification": "no"}, "is_classification", 'seen "no"; expected true or false'),
        ({"instances": None}, "instances", "seen nothing; expected a list of JSON objects"),
        ({"instances": []}, "instances", 'seen "[]"; expected a list of JSON objects'),
        ({"instances": ["Rhine"]}, "instances", "expected a list of JSON objects"),
        ({"instances": [{"output": "Rhine"}]}, "instances[0].input", "seen nothing; expected text"),
        ({"instances": [{"input": ""}]}, "instances[0].output", "seen nothing; expected text"),
        (
            {"instances": [*GOOD["instances"], {"input": "", "output": 7}]},
            "instances[1].output",
            'seen "7"; expected text',
        ),
    ],
)
def test_a_missing_or_wrong_field_is_named_by_file_row_and_field(tmp_path, change, field, seen):
    row = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    path = put(tmp_path, GOOD, row)
    error = refusal(path)
    assert f"{path}: 1 of 2 rows cannot be used" in error
    assert f"{path}:2:{field}: " in error
    assert seen in error
    assert error.endswith("Correct these seed tasks and start again.")


def test_all_faulty_rows_are_told_of_at_once(tmp_path):
    path = put(tmp_path, {}, "no object", GOOD)
    path.write_text(path.read_text(encoding="utf-8") + '{"cut off', encoding="utf-8")
    error = refusal(path)
    assert "3 of 4 rows" in error
    for place in (f"{path}:1:instruction: ", f"{path}:1:instances: ", f"{path}:2: ", f"{path}:4: "):
        assert place in error


@pytest.mark.parametrize("content", ["", "\n\n", "[]"])
def test_a_file_without_seeds_is_refused(tmp_path, content):
    path = tmp_path / "seeds.jsonl"
    path.write_text(content, encoding="utf-8")
    assert str(path) in refusal(path)


def test_a_missing_file_is_refused_by_name(tmp_path):
    assert "none.jsonl" in refusal(tmp_path / "none.jsonl")


def test_decomposed_hangul_becomes_composed(tmp_path):
    path = put(tmp_path, {**GOOD, "instruction": "\u1100\u1161\u11bc 이름을 대세요."})
    assert read_seeds(path)[0].instruction == "강 이름을 대세요."
