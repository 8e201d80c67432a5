"""The doctor on rows that were spoilt on purpose, and on clean ones."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from mutator import MUTATIONS, Mutation, Row, clean_rows

from nabot.data.check import CheckReport, check
from nabot.data.faults import problem
from nabot.data.repair import repair


def put(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def told(report: CheckReport) -> dict[int, set[str]]:
    kinds: dict[int, set[str]] = {}
    for found in (*report.faults, *report.warnings):
        kinds.setdefault(found.row, set()).add(found.kind)
    return kinds


def spoilt(mutations: list[Mutation], rng: random.Random, korean: float) -> tuple[list[Row], dict[int, Mutation]]:
    """Clean rows, one in five of which was mutated, and the mutations by row, from 1."""
    rows: list[Row] = []
    planted: dict[int, Mutation] = {}
    clean = iter(clean_rows(rng, 5 * len(mutations), korean=korean))
    for mutation in mutations:
        rows += [next(clean) for _ in range(4)]
        rows += mutation.apply(next(clean), rng)
        planted[len(rows)] = mutation
    return rows, planted


@pytest.mark.parametrize(
    "korean", [0.0, 1.0], ids=["en", "ko"]
)  # among both, a third language would be nothing foreign
def test_forty_planted_faults_are_found_in_their_rows_by_their_names(tmp_path: Path, korean: float):
    rng = random.Random(5)
    mutations = rng.sample(MUTATIONS, 40)
    rows, planted = spoilt(mutations, rng, korean)
    seen = told(check([put(tmp_path / "a.jsonl", rows)]))
    missed = {row: mutation.name for row, mutation in planted.items() if not seen.get(row, set()) & {*mutation.kinds}}
    assert missed == {}
    assert sorted(set(seen) - set(planted)) == []  # and nowhere else


@pytest.mark.parametrize(("seed", "korean"), [(1, 0.0), (2, 1.0)])
def test_nineteen_of_twenty_mutations_are_found_and_one_clean_row_in_a_hundred_is_not_blamed(
    tmp_path: Path, seed: int, korean: float
):
    rng = random.Random(seed)
    rows, planted = spoilt(rng.choices(MUTATIONS, k=200), rng, korean)
    seen = told(check([put(tmp_path / "a.jsonl", rows)]))
    missed = [mutation.name for row, mutation in planted.items() if not seen.get(row, set()) & {*mutation.kinds}]
    assert len(missed) <= 10, missed
    assert len(set(seen) - set(planted)) < 0.01 * len(rows)


@pytest.mark.parametrize("korean", [0.0, 0.5, 1.0])
def test_clean_rows_are_left_in_peace(tmp_path: Path, korean: float):
    report = check([put(tmp_path / "a.jsonl", clean_rows(random.Random(3), 500, korean=korean))])
    assert report.faults == ()
    assert len(told(report)) < 5


def test_a_text_with_two_languages_in_the_file_has_no_foreign_rows(tmp_path: Path):
    report = check([put(tmp_path / "a.jsonl", clean_rows(random.Random(4), 200))])
    assert "other_language" not in {warning.kind for warning in report.warnings}
    assert set(report.summary.languages) >= {"en", "ko"}


def test_what_was_repaired_passes_but_for_what_a_person_decides_and_repairing_it_again_changes_nothing(tmp_path: Path):
    rng = random.Random(8)
    rows, _ = spoilt([*MUTATIONS, *MUTATIONS], rng, korean=0.5)
    out, again = tmp_path / "out.jsonl", tmp_path / "again.jsonl"
    repair([put(tmp_path / "a.jsonl", rows)], out)
    report = check([out])
    assert {fault.kind for fault in report.faults} == {"contradiction"}
    assert "decomposed" not in {warning.kind for warning in report.warnings}
    done = repair([out], again)
    assert again.read_bytes() == out.read_bytes()
    assert (done.repairs.total(), done.left_out) == (0, [])


def test_clean_rows_come_through_a_repair_as_they_are(tmp_path: Path):
    path = put(tmp_path / "a.jsonl", clean_rows(random.Random(6), 100))
    done = repair([path], tmp_path / "out.jsonl")
    assert (done.rows, done.repairs.total(), done.left_out) == (100, 0, [])
    before, after = (check([file]) for file in (path, tmp_path / "out.jsonl"))
    assert before.files[0].conversations == after.files[0].conversations


def repaired(folder: Path, *rows: Any) -> tuple[list[Any], dict[str, int], list[tuple[int, str]]]:
    done = repair([put(folder / "a.jsonl", list(rows))], folder / "out.jsonl")
    lines = (folder / "out.jsonl").read_text(encoding="utf-8").splitlines()
    messages = [[turn["content"] for turn in json.loads(line)["messages"]] for line in lines]
    return messages, dict(done.repairs), [(fault.row, fault.kind) for fault in done.left_out]


def qa(question: str, answer: str, **more: str) -> Row:
    return {"instruction": question, "output": answer, **more}


def test_texts_lose_what_does_not_belong_there_and_each_repair_is_counted(tmp_path: Path):
    rows = (
        qa(" Ｗhat? ", "caf\xc3\xa9\n"),
        qa("Where to go now?", "He\u200bre.\x00"),
        qa("Whose is that one?", "Mine.</s>", input="<noinput>"),
    )
    messages, repairs, left_out = repaired(tmp_path, *rows)
    assert messages == [["Ｗhat?", "café"], ["Where to go now?", "Here."], ["Whose is that one?", "Mine."]]
    expected = {
        "padded": 1,
        "mojibake": 1,
        "zero_width": 1,
        "control_character": 1,
        "template_mark": 1,
        "noinput_left": 1,
    }
    assert repairs == expected
    assert left_out == []


def test_turns_behind_the_last_answer_are_cut_off(tmp_path: Path):
    turns = [
        {"role": "user", "content": "Tea?"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Ok"},
    ]
    assert repaired(tmp_path, {"messages": turns}) == ([["Tea?", "Yes."]], {"last_not_assistant": 1}, [])


def test_rows_that_cannot_be_repaired_are_left_out_and_listed(tmp_path: Path):
    rows = (qa("Tea?", ""), qa("Tea?", "caf\ufffd"), qa("Tea?", "It is <|im_start|> here."), qa("Tea?", "Yes."))
    messages, _, left_out = repaired(tmp_path, *rows)
    assert messages == [["Tea?", "Yes."]]
    assert left_out == [(1, "empty_answer"), (2, "replacement_character"), (3, "template_mark")]


def test_contradictions_stay_for_a_person_to_decide(tmp_path: Path):
    messages, repairs, left_out = repaired(tmp_path, qa("Tea?", "Yes."), qa("Tea?", "No."), qa("Tea?", "no."))
    assert messages == [["Tea?", "Yes."], ["Tea?", "No."]]
    assert (repairs, left_out) == ({"duplicate": 1}, [])


COLLEGE = "우리는 오래전에 같은 대학교에서 만났고 지금도 여전히 자주 연락하며 지냅니다"
NEAR_ROWS = [  # how two questions begin, and whether a repair keeps both
    ("지금 만나는 남자친구와 첫 여행은 어디로 갔나요", "지금 만나는 여자친구와 첫 여행은 어디로 갔나요", True),
    ("그녀는 조금이라도 내 생각을 하면서 지낼까", "그는 조금이라도 내 생각을 하면서 지낼까", True),
    ("참치김치찌개 먹고 싶은데 어디로 갈까요", "김치찌개 먹고 싶은데 어디로 갈까요", True),
    ("Where in town can I park my small red car", "Where in town can I park my small red cart", True),
    ("May I really bring all of my friends", "May I really not bring all of my friends", True),
    ("여자친구를 만나고왔어", "여자친구를 만나고 왔어~", False),
    ("헤어진지 3개월 됐는데 아직 힘들어", "헤어진지 3개월 됐는데 아직 힘들어요.", False),
    ("친구는 왜 자주 연락하지 않을까", "친구가 왜 자주 연락하지 않을까", False),
    ("When are all the small Shops in town open", "When are all the small shop in town open?", False),
]


@pytest.mark.parametrize(("one", "other", "stays"), NEAR_ROWS)
def test_near_duplicates_are_dropped_only_where_no_word_is_another(tmp_path: Path, one: str, other: str, stays: bool):
    one, other = (f"{text} {COLLEGE}" for text in (one, other))
    path = put(tmp_path / "a.jsonl", [qa(one, COLLEGE), qa(other, COLLEGE + ".")])
    (warning,) = [found for found in check([path]).warnings if found.kind == "near_duplicate"]
    assert warning.fixable != stays
    assert repair([path], tmp_path / "out.jsonl").rows == 1 + stays


def test_of_several_near_duplicates_each_is_measured_by_the_rows_that_stay(tmp_path: Path):
    words = [f"{friend}친구와 첫 여행은 어디로 갔나요 {COLLEGE}" for friend in ("남자", "여자", "여자")]
    messages, repairs, _ = repaired(tmp_path, *(qa(text + "?" * i, COLLEGE) for i, text in enumerate(words)))
    assert [question for question, _ in messages] == [words[0], words[1] + "?"]
    assert repairs == {"near_duplicate": 1}


def test_a_row_that_is_too_long_loses_its_oldest_turns_or_is_left_out(tmp_path: Path):
    path = put(tmp_path / "a.jsonl", [qa("long", "a"), qa("short", "b"), qa("longer than all", "c")])

    def fit(conversation: Any) -> Any:
        question = conversation.messages[0].content
        return {"long": type(conversation)(conversation.messages[:1] + conversation.messages[1:2])}.get(question) or (
            conversation if question == "short" else None
        )

    done = repair([path], tmp_path / "out.jsonl", fit=fit)
    assert [(fault.row, fault.kind) for fault in done.left_out] == [(3, "too_long_alone")]


def test_a_row_that_the_template_refuses_is_left_out_with_its_reason(tmp_path: Path):
    path = put(tmp_path / "a.jsonl", [qa("long", "a"), qa("short", "b")])
    refused = problem("not_renderable", reason="no tools here")
    done = repair(
        [path], tmp_path / "out.jsonl", fit=lambda one: one if one.messages[0].content == "short" else refused
    )
    assert [(fault.row, fault.message) for fault in done.left_out] == [(1, refused.message)]
