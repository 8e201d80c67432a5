"""`nabot data generate`, from the command line to the files, over an endpoint on the loopback that answers as it is told."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from chat_server import Reply, fails, in_turn, says, serving
from scripted_teacher import alpaca_answer, instruction, items, rng_of

from nabot.cli import run
from nabot.data.files import scan_file
from nabot.synth.journal import locked

COUNT = 200  # rows, of four an answer


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def asked(body):
    return body["messages"][-1]["content"]


def writes(body, number):
    return says(alpaca_answer(asked(body)))


def command(server, *more, out="rows.jsonl"):
    return ["data", "generate", "--out", out, "--teacher", server.url, "--model", "m", *map(str, more)]


def generate(server, *more, out="rows.jsonl"):
    return run(command(server, *more, out=out))


def journalled(path="rows.journal.jsonl"):
    """The answers."""
    records = [json.loads(line) for line in Path(path).read_bytes().splitlines()[1:]]
    return [record for record in records if record["finish"] != "lost"]


# ---- files and figures


def test_rows_report_and_journal_lie_beside_each_other(capsys):
    with serving(writes) as server:
        assert generate(server, "--count", 10, "--json", "--price-in", 1, "--price-out", 2) == 0
    out, _ = capsys.readouterr()
    report = json.loads(out)
    assert sorted(os.listdir()) == ["rows.journal.jsonl", "rows.jsonl", "rows.report.json"]
    assert json.loads(Path("rows.report.json").read_text()) == report
    assert (report["rows"], report["wanted"], report["ended"], report["answers"]) == (10, 10, "count", 4)
    assert report["tokens"]["in"] == 40
    assert report["cost"] == pytest.approx((report["tokens"]["in"] + 2 * report["tokens"]["out"]) / 1e6)
    assert report["settings"]["teacher"] == f"{server.url}/chat/completions"
    assert len(scan_file(Path("rows.jsonl")).conversations) == 10


def test_people_are_told_what_was_left_out_and_what_to_do_next(capsys):
    toxic = ("What did the driver shout then?", "<noinput>", "You motherfucker!")
    answers = in_turn(says(items([toxic])), *[says(alpaca_answer(str(i))) for i in range(9)])
    with serving(answers) as server:
        assert generate(server, "--count", 4, "--concurrency", 1) == 0
    told = capsys.readouterr().err
    assert "toxic_profanity 1" in told
    assert "What did the driver shout then?" in told
    assert "nabot data check rows.jsonl" in told
    assert "terms" in told


@pytest.mark.parametrize("mode", ["alpaca", "self-instruct"])
def test_every_mode_runs_and_says_what_it_is(mode):
    def script(body, number):
        text = asked(body)
        if text.endswith("Is it a classification?"):
            return says("Yes" if number % 2 else "No")
        if text.endswith("9."):
            rng = rng_of(text)
            return says("\n".join([instruction(rng), *(f"{n}. {instruction(rng)}" for n in range(10, 17))]))
        if "Class label:" in text:
            return says("Class label: tea\nA cup of it.\nClass label: coffee\nA mug of it.")
        if text.endswith("\n") and "Example 1" in text:
            return says("Example 1\nInput: three\nOutput: four")
        return writes(body, number)

    with serving(script) as server:
        assert generate(server, "--mode", mode, "--count", 12) == 0
    rows = [json.loads(line) for line in Path("rows.jsonl").read_text().splitlines()]
    assert len(rows) == 12
    assert {row["provenance"]["mode"] for row in rows} == {mode}


def test_a_local_model_can_be_the_teacher(tiny_model_folder, capsys):
    seed = {"instruction": "Add.", "instances": [{"input": "1, 1", "output": "2"}], "is_classification": False}
    Path("seeds.jsonl").write_text(json.dumps(seed))
    teacher = ["--base", str(tiny_model_folder), "--mode", "self-instruct", "--seeds", "seeds.jsonl"]
    assert run(["data", "generate", "--out", "rows.jsonl", *teacher, "--max-tokens-total", "1500"]) == 0
    assert "budget" in capsys.readouterr().err
    answered = [record for record in journalled() if record["finish"] != "abort"]  # what did not fit into the model
    assert answered
    assert all(record["tokens_out"] > 0 and record["tokens_in"] > 0 for record in answered)


# ---- going on


def test_the_same_command_again_asks_nothing_and_writes_the_same(capsys):
    with serving(writes) as server:
        assert generate(server, "--count", 10) == 0
        before, questions = Path("rows.jsonl").read_bytes(), len(server.bodies)
        assert generate(server, "--count", 10) == 0
        assert (Path("rows.jsonl").read_bytes(), len(server.bodies)) == (before, questions)


def test_concurrency_may_change_when_a_run_goes_on():
    with serving(writes) as server:
        assert generate(server, "--count", 40, "--concurrency", 3, out="whole.jsonl") == 0
        assert generate(server, "--count", 8, "--concurrency", 3) == 0
        assert generate(server, "--count", 40, "--concurrency", 1) == 0
    assert Path("rows.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()


def test_an_endpoint_that_breaks_down_ends_with_3_and_the_command_goes_on(capsys):
    with serving(writes) as server:
        assert generate(server, "--count", 30, out="whole.jsonl") == 0
        server.script = lambda body, number: writes(body, number) if number % 5 else fails(401, "expired")
        statuses = []
        while 0 not in statuses[-1:]:
            statuses.append(generate(server, "--count", 30))
    assert set(statuses) == {0, 3}
    told = capsys.readouterr().err
    assert "expired" in told
    assert "the same command goes on" in told
    assert Path("rows.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()
    assert len({record["number"] for record in journalled()}) == len(journalled())


def test_a_budget_without_room_for_one_request_is_told_and_nothing_is_written(capsys):
    with serving(lambda body, number: says("nothing")) as server:
        assert generate(server, "--max-tokens-total", "50") == 2
        assert not server.bodies
    assert "nothing is written. The budget has no room" in capsys.readouterr().err
    assert not os.listdir()


def test_a_run_that_goes_on_passes_over_a_prompt_that_is_refused_first(capsys):
    refusals = {1: fails(401, "no more credit"), 2: fails(400, "maximum context length exceeded")}
    with serving(lambda body, number: refusals.get(number) or writes(body, number)) as server:
        assert generate(server, "--count", "12", "--concurrency", "1") == 3
        assert generate(server, "--count", "12", "--concurrency", "1") == 0
    assert "maximum context length" in capsys.readouterr().err
    assert len(Path("rows.jsonl").read_text().splitlines()) == 12


def test_the_budget_ends_a_run_and_is_kept(capsys):
    with serving(writes) as server:
        assert generate(server, "--count", 99, "--max-tokens-total", 6000) == 0
        spent = sum(record["tokens_in"] + record["tokens_out"] for record in journalled())
        assert 0 < spent <= 6000
        assert "budget" in capsys.readouterr().err
        assert len(server.bodies) == len(journalled())


def test_a_request_without_an_answer_counts_as_spent_and_people_are_told(capsys):
    with serving(lambda body, number: writes(body, number) if number else Reply(b"", hang=True)) as server:
        assert generate(server, "--count", 4, "--concurrency", 1, "--timeout", 0.5) == 0
        told = capsys.readouterr().err
        assert generate(server, "--count", 4, "--concurrency", 1, "--json") == 0
        assert len(server.bodies) == 2
    report = json.loads(capsys.readouterr().out)
    assert report["lost"]["requests"] == 1
    assert f"1 request without an answer, up to {report['lost']['tokens']} tokens" in told
    answered = sum(record["tokens_in"] + record["tokens_out"] for record in journalled())
    assert report["tokens"]["in"] + report["tokens"]["out"] == answered + report["lost"]["tokens"]
    assert report["lost"]["tokens"] > server.bodies[0]["max_tokens"]


def test_fresh_keeps_the_old_rows_and_the_old_journal_aside():
    with serving(writes) as server:
        assert generate(server, "--count", 5) == 0
        old = Path("rows.jsonl").read_bytes()
        assert generate(server, "--count", 5, "--seed", 1, "--fresh") == 0
    assert Path("rows.1.jsonl").read_bytes() == old != Path("rows.jsonl").read_bytes()
    assert Path("rows.journal.1.jsonl").exists()


# ---- killed


def life(server, *, kill_after: int | None, when: str) -> int:
    """A run in a process of its own, killed at a request; returns its status."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "nabot", *command(server, "--count", COUNT)], env=environment, stderr=subprocess.DEVNULL
    )
    last = len(server.bodies) + (kill_after or 0)

    def script(body, number):
        reply = writes(body, number)
        if kill_after is None or number < last:
            return reply
        if when == "before":
            process.send_signal(signal.SIGKILL)
            return Reply(b"", hang=True)
        if when == "within":
            return Reply(reply.body, cut=len(reply.body) // 2, after=process.kill)
        return Reply(reply.body, after=process.kill)

    server.script = script
    return process.wait()


def killed(kills: int) -> None:
    with serving(writes) as server:
        assert generate(server, "--count", COUNT, out="whole.jsonl") == 0
        whole = len(server.bodies)
        for number in range(kills):
            at_once = max(1, whole // (kills + 4))
            status = life(server, kill_after=at_once, when=("after", "before", "within")[number % 3])
            assert status == -signal.SIGKILL
            rows = Path("rows.jsonl")
            if rows.exists():  # whole at every moment
                assert scan_file(rows).conversations
        assert life(server, kill_after=None, when="") == 0
        repeated = Counter(asked(body) for body in server.bodies[whole:])
    assert Path("rows.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()
    rows = [json.loads(line) for line in Path("rows.jsonl").read_text().splitlines()]
    assert len({row["messages"][0]["content"] for row in rows}) == COUNT
    assert len({record["number"] for record in journalled()}) == len(journalled()) == whole
    # what was asked again was on its way when it was killed: four side by side
    assert sum(repeated.values()) - len(repeated) <= 4 * kills
    assert not any(name.startswith(".") for name in os.listdir() if not name.endswith(".lock"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_run_that_is_killed_goes_on_without_loss_and_without_a_second_copy():
    killed(3)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_run_that_is_killed_twenty_times_goes_on_without_loss():
    killed(20)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_ctrl_c_waits_for_the_answers_on_their_way_and_says_how_to_go_on(capsys):
    with serving(writes) as server:

        def script(body, number):
            if number == 5:
                os.kill(os.getpid(), signal.SIGINT)
            return writes(body, number)

        server.script = script
        assert generate(server, "--count", 99) == 130
        assert len(journalled()) == len(server.bodies)
    assert "the same command goes on" in capsys.readouterr().err
    assert scan_file(Path("rows.jsonl")).conversations


def in_its_language(body, number):
    """A row in the language of what is asked about."""
    if "질문" in asked(body):
        return says("질문: 달카페는 몇 시에 여나요?\n근거: 달카페는 9시에 엽니다\n답변: 달카페는 9시에 엽니다.")
    return says("Question: When does Café Nabi open?\nQuote: Café Nabi opens at 9:00\nAnswer: Café Nabi opens at 9:00.")


def passages(*texts):
    lines = (json.dumps({"text": text, "source": "s", "place": ""}, ensure_ascii=False) for text in texts)
    Path("passages.jsonl").write_text("\n".join(lines), encoding="utf-8")


def test_passages_are_asked_about_each_in_its_language_and_none_is_dropped_for_it():
    passages("달카페는 9시에 엽니다. 월요일은 쉽니다.", "Café Nabi opens at 9:00 and closes at 18:30.")
    with serving(in_its_language) as server:
        assert generate(server, "--mode", "grounded", "--passages", "passages.jsonl", "--count", 2) == 0
    questions = {row.messages[0].content for _, row in scan_file(Path("rows.jsonl")).conversations}
    assert questions == {"달카페는 몇 시에 여나요?", "When does Café Nabi open?"}


def test_a_language_that_was_asked_for_leaves_others_out():
    passages("달카페는 9시에 엽니다. 월요일은 쉽니다.", "Café Nabi opens at 9:00 and closes at 18:30.")
    with serving(in_its_language) as server:
        assert (
            generate(server, "--mode", "grounded", "--passages", "passages.jsonl", "--count", 2, "--language", "ko")
            == 0
        )
    assert len(scan_file(Path("rows.jsonl")).conversations) == 1
    assert json.loads(Path("rows.report.json").read_text())["dropped"]["other_language"]


def test_korean_rows_are_rewritten_in_korean():
    row = [{"role": "user", "content": "달카페는 몇 시에 여나요?"}, {"role": "assistant", "content": "9시요."}]
    Path("mine.jsonl").write_text(json.dumps({"messages": row}), encoding="utf-8")
    with serving(in_turn(says("### 응답 1\n달카페는 아침 9시에 문을 엽니다."))) as server:
        assert generate(server, "--mode", "koalpaca", "--rows", "mine.jsonl", "--count", 1) == 0
    assert "한국어로 답하세요" in asked(server.bodies[0])
    assert len(scan_file(Path("rows.jsonl")).conversations) == 1


# ---- wrong input


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        ([], "expected one teacher"),
        (["--teacher", "localhost:1/v1"], "--model"),
        (["--teacher", "localhost:1/v1", "--model", "m", "--base", "smollm2"], "expected one teacher"),
        (["--base", "smollm2", "--model", "m"], "expected one teacher"),
        (["--teacher", "ftp://x", "--model", "m"], "ftp://x"),
        (["--teacher", "localhost:1/v1", "--model", "m", "--key-env", "NOBODY_SET_THIS"], "NOBODY_SET_THIS"),
        (["--teacher", "localhost:1/v1", "--model", "m", "--mode", "alpacca"], "alpaca"),
        (["--teacher", "localhost:1/v1", "--model", "m", "--language", "fr"], "en or ko"),
        (["--teacher", "localhost:1/v1", "--model", "m", "--count", "0"], "--count 0"),
        (["--teacher", "localhost:1/v1", "--model", "m", "--concurrency", "0"], "--concurrency 0"),
        (["--teacher", "localhost:1/v1", "--model", "m", "--max-tokens-total", "0"], "--max-tokens-total 0"),
        (["--teacher", "localhost:1/v1", "--model", "m", "--max-cost", "1"], "--price-in"),
        (["--teacher", "localhost:1/v1", "--model", "m", "--seeds", "bad.jsonl"], "is_classification"),
        (["--teacher", "localhost:1/v1", "--model", "m", "--out", "there.jsonl"], "--fresh"),
        (["--teacher", "localhost:1/v1", "--model", "m", "--out", "."], "folder"),
    ],
)
def test_wrong_input_ends_with_2_and_nothing_is_written(arguments, seen, capsys):
    Path("bad.jsonl").write_text('{"instruction": "Add.", "instances": [{"input": "", "output": "x"}]}\n')
    Path("there.jsonl").write_text("mine\n")
    before = sorted(os.listdir())
    assert run(["data", "generate", "--out", "rows.jsonl", *arguments]) == 2
    told = capsys.readouterr().err
    assert seen in told
    assert len(told.strip().splitlines()) <= 5
    assert sorted(os.listdir()) == before
    assert Path("there.jsonl").read_text() == "mine\n"


def test_rows_that_were_changed_by_hand_are_kept_aside(capsys):
    with serving(writes) as server:
        assert generate(server, "--count", 5) == 0
        first, *others = Path("rows.jsonl").read_text().splitlines()
        Path("rows.jsonl").write_text("\n".join(others) + "\n")
        assert generate(server, "--count", 9) == 0
    assert "rows.1.jsonl" in capsys.readouterr().err
    assert Path("rows.1.jsonl").read_text().splitlines() == others
    assert Path("rows.jsonl").read_text().splitlines()[:5] == [first, *others]
    assert not Path("rows.2.jsonl").exists()


def test_fresh_takes_nothing_from_a_run_that_is_going_on(capsys):
    with serving(writes) as server:
        assert generate(server, "--count", 5) == 0
        before = sorted(os.listdir())
        with locked(Path("rows.journal.jsonl")):
            assert generate(server, "--count", 5, "--fresh") == 2
    assert "another nabot" in capsys.readouterr().err
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("first", [{"nabot_journal": 1}, {"nabot_journal": 1, "settings": []}])
def test_a_journal_without_its_settings_is_told(first, capsys):
    answer = {"number": 0, "prompt": "x", "text": "t", "finish": "stop", "tokens_in": 1, "tokens_out": 1}
    Path("rows.journal.jsonl").write_text(f"{json.dumps(first)}\n{json.dumps(answer)}\n")
    assert run(["data", "generate", "--out", "rows.jsonl", "--teacher", "localhost:1/v1", "--model", "m"]) == 2
    assert "rows.journal.jsonl" in capsys.readouterr().err


def test_other_settings_are_refused_by_name(capsys):
    with serving(writes) as server:
        assert generate(server, "--count", 5) == 0
        before = Path("rows.jsonl").read_bytes()
        assert generate(server, "--count", 5, "--seed", 1) == 2
    assert "seed (was 0, now 1)" in capsys.readouterr().err
    assert Path("rows.jsonl").read_bytes() == before


def test_a_key_is_in_no_file_and_in_no_message(capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with serving(writes) as server:
        assert generate(server, "--count", 5) == 0
        assert server.keys[0] == "Bearer sk-secret"
        server.script = in_turn(fails(401, "Incorrect API key provided: sk-secret"))
        assert generate(server, "--count", 50) == 3
    assert "sk-secret" not in "".join(capsys.readouterr())
    assert not any("sk-secret" in path.read_text() for path in Path().iterdir())


def test_an_endpoint_that_never_answered_leaves_nothing_behind(capsys):
    with serving(in_turn(fails(404, "The model `m` does not exist"))) as server:
        assert generate(server) == 3
    assert "does not exist" in capsys.readouterr().err
    assert os.listdir() == []
