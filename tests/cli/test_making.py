"""`nabot make`, from a folder to a bot, with a teacher on the loopback that asks about what it is shown."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from chat_server import ChatServer, fails, says, serving
from hypothesis import given, settings
from hypothesis import strategies as st

import nabot
from nabot.bot import is_finished
from nabot.cli import run
from nabot.data.imports.types import Passage
from nabot.recipes.generate import Teacher
from nabot.recipes.make import MakeRequest
from nabot.recipes.settings import Settings

THINGS = [
    "lantern", "canoe", "bicycle", "tent", "kettle", "blanket", "ladder", "piano", "telescope", "sledge", "hammock", "stove",
]  # fmt: skip
FACTS = [f"Renting the {thing} costs {20 + 7 * i} euros a day." for i, thing in enumerate(THINGS)]
FEW = ("--set", "epochs=1", "--set", "held_out=2", "--set", "rehearsal_ratio=0")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    Path("papers").mkdir()
    Path("papers/prices.md").write_text("# Rental of Lake House\n\n" + " ".join(FACTS) + "\n")
    row = {
        "messages": [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Welcome to Lake House."}]
    }
    Path("papers/chat.jsonl").write_text(json.dumps(row) + "\n")
    Path("papers/broken.pdf").write_bytes(b"%PDF-1.4 nothing")


def teaches(body, number):
    """Asks about the first fact of the passage that it has not asked about; says a question in other words."""
    asked = body["messages"][-1]["content"]
    if "In other words:" in asked:
        thing = re.search(r"rent of the (\w+)", asked)[1]
        return says(f"How many euros do guests have to pay for a {thing}?")
    left = [(fact, re.search(r"the (\w+)", fact)[1]) for fact in FACTS]
    left = [(fact, thing) for fact, thing in left if f"rent of the {thing} " not in asked]
    return says(
        "\n\n".join(
            f"Question: What is the daily rent of the {thing} at Lake House?\nQuote: {fact}\nAnswer: {fact}"
            for fact, thing in left[:4]
        )
    )


def make(server: ChatServer, base: Path, *more: str) -> int:
    teacher = ("--teacher", server.url, "--model", "m")
    return run(["make", "papers", "--base", str(base), "--out", "bots/lake", "--rows", "8", *teacher, *FEW, *more])


def test_a_folder_becomes_a_bot_that_has_sat_an_exam(tiny_model_folder, capsys):
    with serving(teaches) as server:
        assert make(server, tiny_model_folder, "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert is_finished(Path("bots/lake"))
    assert figures["import"]["written"] == {"conversations": 1, "passages": 1}
    assert "broken.pdf" in figures["import"]["passed_over"][0]
    assert figures["generate"]["rows"] == 8
    assert figures["check"]["rows"] == 9
    assert figures["questions"]["questions"] == figures["exam"]["results"]["tuned"]["questions"] == 8
    exam = [json.loads(line) for line in Path("bots/lake.making/exam.jsonl").read_text().splitlines()]
    learned = Path("bots/lake.making/rows.jsonl").read_text()
    assert all(re.fullmatch(r"\d\d", row["accept"][0]) for row in exam)
    assert not any(row["messages"][0]["content"] in learned for row in exam)


def test_what_a_person_is_told_from_beginning_to_end(tiny_model_folder, capsys):
    with serving(teaches) as server:
        assert make(server, tiny_model_folder, "--price-in", "1", "--price-out", "10") == 0
        asked = len(server.bodies)
    out, told = capsys.readouterr()
    assert "passed over: papers/broken.pdf" in told
    before, after = told.split("about 2 requests for 4 rows each")  # as many as there are then
    assert "up to 8 for the exam" in after
    assert "rows  0 answers" not in before
    assert "read: 2 files: 1 conversation, 1 passage" in told
    assert f"8 rows, and 8 questions for the exam, out of {asked} answers" in told
    assert re.search(r"tokens read, \d+ written, cost 0\.00\d\d", told)
    assert told.count("Talk to it: nabot chat bots/lake") == 1
    assert "right answers" in out


def test_the_same_again_does_nothing_again(tiny_model_folder, capsys):
    with serving(teaches) as server:
        assert make(server, tiny_model_folder) == 0
        asked, bot = len(server.bodies), os.stat("bots/lake/manifest.json").st_mtime_ns
        capsys.readouterr()
        assert make(server, tiny_model_folder) == 0
        assert (len(server.bodies), os.stat("bots/lake/manifest.json").st_mtime_ns) == (asked, bot)
    assert capsys.readouterr().err.count("nothing has changed") == 6


def test_a_file_more_is_asked_about_and_what_was_paid_for_is_kept_aside(tiny_model_folder):
    with serving(teaches) as server:
        assert make(server, tiny_model_folder) == 0
        Path("papers/more.md").write_text(
            "# Opening\n\nThe Lake House opens on 3 May and closes on 9 October every year.\n"
        )
        assert make(server, tiny_model_folder) == 0
    assert Path("bots/lake.making/generated.journal.1.jsonl").exists()
    assert len(Path("bots/lake.making/passages.jsonl").read_text().splitlines()) == 2


def test_a_teacher_that_fails_in_between_costs_nothing_twice(tiny_model_folder, capsys):
    def falters(body, number):
        return teaches(body, number) if number < 1 else fails(401, "no more credit")

    with serving(falters) as server:
        assert make(server, tiny_model_folder) == 3
    assert "no more credit" in capsys.readouterr().err
    assert not Path("bots/lake").exists()
    paid = Path("bots/lake.making/generated.journal.jsonl").read_bytes()
    with serving(teaches) as server:
        # the address is another one now, as it never is for a person
        journal = paid.replace(re.search(rb"http://[^/]*", paid)[0], server.url.removesuffix("/v1").encode())
        Path("bots/lake.making/generated.journal.jsonl").write_bytes(journal)
        record = Path("bots/lake.making/stages/generate.json")
        record.unlink()
        assert make(server, tiny_model_folder) == 0


def test_an_exam_of_ones_own_is_sat_and_none_is_made(tiny_model_folder, capsys):
    question = {"messages": [{"role": "user", "content": "What does the canoe cost?"}], "accept": ["27"]}
    Path("exam.jsonl").write_text(json.dumps(question))
    with serving(teaches) as server:
        assert make(server, tiny_model_folder, "--exam", "exam.jsonl", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["exam"]["results"]["tuned"]["questions"] == 1
    assert "questions" not in figures


def test_an_exam_that_is_not_there_is_told_before_anything_is_paid_for(tiny_model_folder, capsys):
    with serving(teaches) as server:
        assert make(server, tiny_model_folder, "--exam", "nowhere.jsonl") in (2, 3)
        assert not server.bodies
    assert "nowhere.jsonl" in capsys.readouterr().err


def test_another_exam_has_nothing_learned_again(tiny_model_folder, capsys):
    question = {"messages": [{"role": "user", "content": "What does the canoe cost?"}], "accept": ["27"]}
    Path("exam.jsonl").write_text(json.dumps(question))
    with serving(teaches) as server:
        assert make(server, tiny_model_folder) == 0
        capsys.readouterr()
        assert make(server, tiny_model_folder, "--exam", "exam.jsonl", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["exam"]["results"]["tuned"]["questions"] == 1
    assert "tune: nothing has changed" in err


def test_rows_that_a_person_changed_are_learned_as_they_are(tiny_model_folder, capsys):
    rows = Path("bots/lake.making/rows.jsonl")
    with serving(teaches) as server:
        assert make(server, tiny_model_folder) == 0
        asked = len(server.bodies)
        rows.write_text(rows.read_text().replace("Welcome to Lake House.", "Be welcome."))
        capsys.readouterr()
        assert make(server, tiny_model_folder) == 0
        assert len(server.bodies) == asked
    assert "Be welcome." in rows.read_text()
    assert "Be welcome." in Path("bots/lake/run/conversations.jsonl").read_text()
    assert capsys.readouterr().err.count("nothing has changed") == 4


def test_more_rows_ask_only_for_what_is_missing(tiny_model_folder):
    with serving(teaches) as server:
        assert make(server, tiny_model_folder, "--rows", "4") == 0
        assert sum("In other words:" not in body["messages"][-1]["content"] for body in server.bodies) == 1
        assert make(server, tiny_model_folder, "--rows", "8") == 0
        assert sum("In other words:" not in body["messages"][-1]["content"] for body in server.bodies) == 2
    assert not Path("bots/lake.making/generated.journal.1.jsonl").exists()


def test_the_budget_is_for_all_that_is_asked_and_a_larger_one_goes_on(tiny_model_folder, capsys):
    with serving(teaches) as server:
        assert make(server, tiny_model_folder, "--max-tokens-total", "3500", "--json") == 0
        figures = json.loads(capsys.readouterr().out)
        asked = [body["messages"][-1]["content"] for body in server.bodies]
        spent = figures["generate"]["tokens"]["in"] + figures["generate"]["tokens"]["out"]
        reworded = Path("bots/lake.making/reworded.report.json")
        more = json.loads(reworded.read_text())["tokens"] if reworded.exists() else {"in": 0, "out": 0}
        assert spent + more["in"] + more["out"] <= 3500
        assert make(server, tiny_model_folder, "--max-tokens-total", "99000", "--json") == 0
        figures = json.loads(capsys.readouterr().out)
    assert figures["generate"]["rows"] == figures["questions"]["questions"] == 8
    all_asked = [body["messages"][-1]["content"] for body in server.bodies]
    assert not any(text in all_asked[len(asked) :] for text in asked)


def test_money_is_a_limit_too(tiny_model_folder, capsys):
    prices = ("--price-in", "1", "--price-out", "10")
    with serving(teaches) as server:
        # a request is set aside at its worst: 1,024 tokens written
        assert make(server, tiny_model_folder, *prices, "--max-cost", "0.0128", "--json") == 0
    out, told = capsys.readouterr()
    figures = json.loads(out)
    assert len(server.bodies) == 1
    assert 0 < figures["generate"]["cost"] <= 0.0128
    assert "budget has no room" in told


def test_so_many_requests_run_side_by_side(tiny_model_folder):
    for number in range(3):
        Path(f"papers/more{number}.md").write_text(f"# Boats {number}\n\n" + " ".join(FACTS) + "\n")
    with serving(teaches) as server:
        assert make(server, tiny_model_folder, "--concurrency", "1") == 0
        assert server.busiest == 1


def test_what_is_masked_is_counted_by_kind_and_listed(tiny_model_folder, capsys):
    Path("papers/prices.md").unlink()
    said = "Write to mina@lake-house.example or call 010-2345-6789, and to jun@lake-house.example for boats."
    row = {"messages": [{"role": "user", "content": "Whom do I ask?"}, {"role": "assistant", "content": said}]}
    Path("papers/ask.jsonl").write_text(json.dumps(row) + "\n")
    asked = ["make", "papers", "--base", str(tiny_model_folder), "--out", "bots/lake", *FEW]
    assert run([*asked, "--mask", "--json"]) == 0
    out, told = capsys.readouterr()
    masked = json.loads(out)["import"]["masked"]
    assert masked["counts"] == {"email": 2, "phone": 1}
    assert "masked: email 2, phone 1" in told
    assert "mina@" not in Path("bots/lake.making/rows.jsonl").read_text()
    assert Path(masked["file"]).exists()
    assert run([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["import"]["masked"] is None
    assert not Path(masked["file"]).exists()


def test_a_damaged_journal_is_told_and_fresh_begins_anew_with_it_aside(tiny_model_folder, capsys):
    journal = Path("bots/lake.making/generated.journal.jsonl")
    with serving(teaches) as server:
        assert make(server, tiny_model_folder, "--rows", "4") == 0
        damaged = journal.read_bytes().replace(b'"number"', b'"numb"')
        journal.write_bytes(damaged)
        assert make(server, tiny_model_folder) == 2
        assert "--fresh" in capsys.readouterr().err
        assert make(server, tiny_model_folder, "--fresh") == 0
    assert journal.with_name("generated.journal.1.jsonl").read_bytes() == damaged
    assert "nothing has changed" not in capsys.readouterr().err
    assert is_finished(Path("bots/lake"))


def test_python_asks_for_the_same_as_the_command_line(tiny_model_folder):
    settings = {"epochs": 1, "held_out": 2, "rehearsal_ratio": 0}
    with serving(teaches) as server:
        assert make(server, tiny_model_folder) == 0
        asked, bot = len(server.bodies), os.stat("bots/lake/manifest.json").st_mtime_ns
        teacher = {"teacher": server.url, "model": "m", "rows": 8}
        nabot.make("papers", base=str(tiny_model_folder), out="bots/lake", show=False, **teacher, **settings)
        assert (len(server.bodies), os.stat("bots/lake/manifest.json").st_mtime_ns) == (asked, bot)


@settings(deadline=None)
@given(
    num_passages=st.integers(1, 400),
    minutes=st.none() | st.floats(0.01, 1e4),
    teacher=st.sampled_from([(Teacher(base="smollm2"), 4), (Teacher("http://localhost/v1", "m"), 6)]),
)
def test_no_more_rows_are_asked_for_than_documents_and_minutes_have_room_for(num_passages, minutes, teacher):
    passages = [Passage("It opens at nine.", "hours.md", "Lake House")] * num_passages  # of one sentence each
    asks, rows_a_passage = teacher
    request = MakeRequest(Path("papers"), "smollm2", Path("bot"), asks)
    request = replace(request, settings=Settings().with_values({"minutes": minutes}))
    wanted = request.wanted(passages)
    assert 0 < wanted <= rows_a_passage * num_passages
    assert wanted <= (1000 if minutes is None else max(6, 60 * minutes))
    assert replace(request, rows=7).wanted(passages) == 7


def test_documents_without_a_sentence_are_told_and_the_rest_is_learned(tiny_model_folder, capsys):
    Path("papers/prices.md").write_text("# Prices\n\nSee below.\n")
    asked = ["make", "papers", "--base", str(tiny_model_folder), "--out", "bots/lake", *FEW, "--set", "held_out=0"]
    assert run([*asked, "--json"]) == 0
    out, told = capsys.readouterr()
    assert "no sentence" in told
    assert json.loads(out)["check"]["rows"] == 1
    Path("papers/chat.jsonl").unlink()
    assert run(asked) == 2
    assert "papers: nothing in it to learn from" in capsys.readouterr().err


def test_a_teacher_of_whose_answers_nothing_can_be_kept_is_told_with_the_reasons(tiny_model_folder, capsys):
    with serving(lambda body, number: says("I do not know.")) as server:
        assert make(server, tiny_model_folder) == 3
    told = capsys.readouterr().err
    assert "no row about the documents came of 2 answers" in told
    assert "malformed_item 2" in told
    assert not Path("bots/lake").exists()


def test_a_budget_without_room_for_one_request_is_told_and_nothing_is_learned(tiny_model_folder, capsys):
    with serving(teaches) as server:
        assert make(server, tiny_model_folder, "--max-tokens-total", "50") == 2
        assert not server.bodies
        assert "The budget has no room" in capsys.readouterr().err
        assert make(server, tiny_model_folder) == 0


def test_rows_of_another_form_among_what_a_person_changed_are_learned_and_not_examined(tiny_model_folder, capsys):
    generated = Path("bots/lake.making/generated.jsonl")
    roles = ("system", "user", "assistant")
    row = {"messages": [{"role": role, "content": f"Words of the {role}, number 7."} for role in roles]}
    with serving(teaches) as server:
        assert make(server, tiny_model_folder) == 0
        generated.write_text(generated.read_text() + json.dumps(row) + "\n")
        assert make(server, tiny_model_folder) == 0
    assert "Words of the system" in Path("bots/lake.making/rows.jsonl").read_text()
    assert "Words of the user" not in Path("bots/lake.making/exam.jsonl").read_text()


@pytest.mark.parametrize(
    ("typed", "seen"),
    [
        (("--concurrency", "0"), "--concurrency 0"),
        (("--max-cost", "1"), "--price-in"),
        (("--rows", "-1"), "--rows"),
    ],
)
def test_a_number_that_cannot_be_ends_with_2_and_nothing_is_written(typed, seen, capsys):
    assert run(["make", "papers", "--base", "smollm2", *typed]) == 2
    assert seen in capsys.readouterr().err
    assert os.listdir() == ["papers"]


@pytest.mark.parametrize("out", ["papers/bot", "papers"])
def test_a_bot_among_the_files_that_it_is_made_of_is_refused(out: str, tiny_model_folder, capsys):
    assert run(["make", "papers", "--base", str(tiny_model_folder), "--out", out]) == 2
    assert "--out" in capsys.readouterr().err
    assert sorted(path.name for path in Path("papers").iterdir()) == ["broken.pdf", "chat.jsonl", "prices.md"]


def test_documents_that_are_gone_leave_no_rows_and_no_exam_behind(tiny_model_folder, capsys):
    with serving(teaches) as server:
        assert make(server, tiny_model_folder) == 0
        Path("papers/prices.md").unlink()
        capsys.readouterr()
        assert make(server, tiny_model_folder, "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["check"]["rows"] == 1
    assert "exam" not in figures


def test_chats_and_tables_alone_need_no_teacher(tiny_model_folder, capsys):
    Path("papers/prices.md").unlink()
    rows = [{"question": f"What is {i} and {i}?", "answer": f"It is {2 * i}."} for i in range(8)]
    Path("papers/sums.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert run(["make", "papers", "--base", str(tiny_model_folder), "--out", "bots/sums", *FEW]) == 0
    assert is_finished(Path("bots/sums"))
    assert "no exam" in capsys.readouterr().err


def test_a_bot_that_was_made_otherwise_is_not_overwritten(tiny_bot_folder, tiny_model_folder, capsys):
    import shutil

    shutil.copytree(tiny_bot_folder, "bots/lake")
    with serving(teaches) as server:
        assert make(server, tiny_model_folder) == 2
        assert not server.bodies
    assert "bots/lake" in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["nowhere", "papers/prices.md"])
def test_no_folder_is_told(folder: str, capsys):
    assert run(["make", folder, "--base", "smollm2"]) == 2
    assert "is no folder" in capsys.readouterr().err


def test_an_empty_folder_is_told(tiny_model_folder, capsys):
    Path("empty").mkdir()
    assert run(["make", "empty", "--base", str(tiny_model_folder)]) == 2
    assert "empty" in capsys.readouterr().err
    assert not Path("bots/empty").exists()
