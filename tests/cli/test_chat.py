"""`nabot chat`: what is sent to the model, what is remembered, what is shown, and every command."""

import io
import json
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import pytest

from nabot.cli.chat import chat
from nabot.cli.chat_settings import NAMES
from nabot.conversation import Conversation
from nabot.data import read_conversations
from nabot.errors import ConfigError, DataError
from nabot.textmodel import Finish, Sampling

LINE = "> "


@dataclass
class Parrot:
    """Answers "<question>!", word by word; remembers what it was asked; has room for so many messages."""

    room: int = 100
    answer: Callable[[str], str] = "{}!".format
    asked: list[tuple[list[tuple[str, str]], Sampling]] = field(default_factory=list)
    closed: int = 0
    interrupt_after: int = 1000  # pieces: then somebody presses Ctrl-C
    finish: Finish = "stop"

    def stream(self, conversation: Conversation, sampling: Sampling) -> Generator[str, None, Finish]:
        self.asked.append(([(m.role, m.content) for m in conversation.messages], sampling))
        try:
            for number, word in enumerate(self.answer(conversation.messages[-1].content).split(" ")):
                if number == self.interrupt_after:
                    raise KeyboardInterrupt
                yield word if number == 0 else f" {word}"
            return self.finish
        finally:
            self.closed += 1

    def fitted(self, conversation: Conversation, max_new_tokens: int) -> tuple[Conversation, int]:
        if "long" in conversation.messages[-1].content:
            raise DataError("too long")
        system = [m for m in conversation.messages if m.role == "system"]
        turns = list(conversation.messages[len(system) :])
        dropped = 0
        while len(turns) > self.room:
            turns, dropped = turns[2:], dropped + 1
        return Conversation((*system, *turns)), dropped


def talk(lines: list[str | type[BaseException]], model: Parrot | None = None, **options: object) -> tuple[Parrot, str]:
    """The model afterwards, and everything that was shown."""
    model, shown, waiting = model or Parrot(), [], iter(lines)

    def read(prompt: str) -> str:
        shown.append(prompt)
        line = next(waiting, EOFError)
        if not isinstance(line, str):
            raise line
        shown.append(f"{line}\n")  # as a terminal echoes it
        return line

    defaults = {"name": "cafe", "system": "", "sampling": Sampling(), "history_file": None, "interactive": True}
    chat(model, **{**defaults, **options}, read=read, write=shown.append)  # type: ignore[arg-type]
    return model, "".join(shown)


def sampling_after(*commands: str) -> Sampling:
    model, _ = talk([*commands, "hi"])
    return model.asked[0][1]


def pipe(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


# ---- the conversation


def test_each_question_carries_the_conversation_so_far_and_the_system_prompt() -> None:
    model, _ = talk(["one", "two"], system="Be kind.")
    assert model.asked[1][0] == [("system", "Be kind."), ("user", "one"), ("assistant", "one!"), ("user", "two")]


def test_answers_are_shown_between_prompts_with_the_name_above() -> None:
    _, shown = talk(["one", "/quit"], name="dal-cafe", base="SmolLM2")
    assert shown.startswith("dal-cafe, on SmolLM2\n")
    assert shown.endswith("> one\none!\n\n> /quit\n")


def test_pieces_are_shown_as_they_come() -> None:
    events: list[str] = []

    class Loud(Parrot):
        def stream(self, conversation: Conversation, sampling: Sampling) -> Generator[str, None, Finish]:
            for piece in super().stream(conversation, sampling):
                events.append(f"made{piece}")
                yield piece
            return "stop"

    lines = iter(["a b", "/quit"])
    options = {"name": "x", "system": "", "sampling": Sampling(), "history_file": None, "interactive": True}
    chat(Loud(), **options, read=lambda _: next(lines), write=events.append)  # type: ignore[arg-type]
    first = events.index("madea")
    assert events[first : first + 4] == ["madea", "a", "made b!", " b!"]


def test_a_model_cannot_command_the_terminal_but_is_remembered_as_it_spoke() -> None:
    model, shown = talk(["hi", "more"], Parrot(answer=lambda q: "\x1b]0;evil\x07 \x1b[31m ok\x1b[0m"))
    assert "\x1b" not in shown
    assert "evil" not in shown
    assert model.asked[1][0][1] == ("assistant", "\x1b]0;evil\x07 \x1b[31m ok\x1b[0m")


def test_markup_in_an_answer_is_shown_as_it_is() -> None:
    assert "[bold]**a**[/bold] {x}!" in talk(["[bold]**a**[/bold] {x}"])[1]


def test_oldest_turns_go_when_they_no_longer_fit_and_it_is_said() -> None:
    model, shown = talk(["one", "two", "three"], Parrot(room=3), system="Be kind.")
    assert [content for _, content in model.asked[2][0]] == ["Be kind.", "two", "two!", "three"]
    assert shown.count("the oldest question and its answer are no longer seen") == 1


def test_what_was_dropped_is_not_sent_again() -> None:
    model = Parrot(room=3)
    _, shown = talk(["one", "two", "three", "four"], model)
    assert [len(asked) for asked, _ in model.asked] == [1, 3, 3, 3]
    assert shown.count("the oldest question") == 2  # one more each time, never counted twice


def test_a_question_that_cannot_be_answered_is_explained_and_forgotten() -> None:
    model, shown = talk(["one", "a long one", "two"])
    assert "too long\n" in shown
    assert [content for _, content in model.asked[1][0]] == ["one", "one!", "two"]


def test_an_empty_answer_is_said_and_forgotten() -> None:
    model, shown = talk(["one", "two"], Parrot(answer=lambda q: " " if q == "one" else "ok"))
    assert "(no answer came" in shown
    assert model.asked[1][0] == [("user", "two")]


# ---- typing


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["one\\", "two\\", "three"], "one\ntwo\nthree"),
        (['"""', "one", "", "  two", '"""'], "one\n\n  two"),
        (['"""one', 'two"""'], "one\ntwo"),
        (['"""one"""'], "one"),
        (['"""', "/quit", '"""'], "/quit"),
        (["//quit"], "/quit"),
        (["  spaces  "], "spaces"),
        (["", "   ", "x"], "x"),
        (["\ufeffx"], "x"),
        (["\u1112\u1161\u11ab"], "한"),
        (["half \udc80 a character"], "half ? a character"),
        (["one\\"], "one"),
        (['"""', "one"], "one"),
    ],
)
def test_what_is_typed_becomes_one_message(lines: list[str], message: str) -> None:
    assert [asked[-1] for asked, _ in talk([*lines])[0].asked] == [("user", message)]


def test_ctrl_c_clears_the_line_and_twice_in_a_row_leaves() -> None:
    model, shown = talk([KeyboardInterrupt, "one", KeyboardInterrupt, KeyboardInterrupt, "never"])
    assert [asked[-1][1] for asked, _ in model.asked] == ["one"]
    assert shown.count("Ctrl-C again leaves") == 2


def test_ctrl_c_in_a_block_drops_the_block() -> None:
    model, _ = talk(['"""', "wrong", KeyboardInterrupt, "right"])
    assert [asked[-1][1] for asked, _ in model.asked] == ["right"]


def test_an_interrupted_answer_stays_as_far_as_it_came_and_its_stream_is_closed() -> None:
    model, shown = talk(["a b c d", "go on"], Parrot(interrupt_after=2))
    assert "a b\n(stopped" in shown
    assert model.asked[1][0] == [("user", "a b c d"), ("assistant", "a b"), ("user", "go on")]
    assert model.closed == 2


def test_an_answer_interrupted_before_its_first_word_is_forgotten_with_its_question() -> None:
    model, shown = talk(["a b", "c d"], Parrot(interrupt_after=0))
    assert "the question is forgotten" in shown
    assert model.asked[1][0] == [("user", "c d")]


# ---- commands


def test_help_names_every_command() -> None:
    _, shown = talk(["/help"])
    assert all(name in shown for name in ("/set", "/system", "/reset", "/save", "/quit", "//", '"""', "Ctrl-C"))


def test_reset_forgets_turns_and_keeps_the_rest() -> None:
    model, _ = talk(["/set seed 4", "one", "/reset", "two"], system="Be kind.")
    assert model.asked[1] == ([("system", "Be kind."), ("user", "two")], Sampling(seed=4))


def test_system_replaces_the_prompt_and_begins_anew() -> None:
    model, shown = talk(["one", "/system Be brief.\\", "And kind.", "two", "/system"], system="Be slow.")
    assert model.asked[1][0] == [("system", "Be brief.\nAnd kind."), ("user", "two")]
    assert shown.endswith("> /system\nBe brief.\nAnd kind.\n\n> \n")


def test_system_none_takes_the_prompt_away() -> None:
    model, shown = talk(["/system none", "one", "/system"], system="Be slow.")
    assert model.asked[0][0] == [("user", "one")]
    assert "There is no system prompt" in shown


def test_unknown_command_names_the_nearest_and_how_to_send_it() -> None:
    model, shown = talk(["/rest"])
    assert "/rest: no such command; the nearest is /reset" in shown
    assert "//" in shown
    assert not model.asked


def test_quit_leaves() -> None:
    assert not talk(["/quit", "one"])[0].asked


@pytest.mark.parametrize(
    ("command", "change"),
    [
        ("/set max_new_tokens 7", {"max_new_tokens": 7}),
        ("/set repetition_penalty 1.2", {"repetition_penalty": 1.2}),
        ("/set presence_penalty -0.5", {"presence_penalty": -0.5}),
        ("/set temperature 0.7", {"temperature": 0.7}),
        ("/set top_k 40", {"top_k": 40}),
        ("/set top-p=0.9", {"top_p": 0.9}),
        ("/set Min_P = 0.05", {"min_p": 0.05}),
        ("/set seed 3", {"seed": 3}),
        ('/set stop "###" "\\n\\n" END', {"stop": ("###", "\n\n", "END")}),
    ],
)
def test_every_setting_reaches_the_model(command: str, change: dict[str, object]) -> None:
    assert sampling_after(command) == replace(Sampling(), **change)  # type: ignore[arg-type]


def test_no_setting_is_left_out() -> None:
    marks = [mark for mark in test_every_setting_reaches_the_model.pytestmark if mark.name == "parametrize"]
    assert {name for _, change in marks[0].args[1] for name in change} == {f.name for f in fields(Sampling)}


def test_seed_and_stop_are_taken_away_with_none_and_stop_is_replaced() -> None:
    assert sampling_after("/set seed 3", "/set seed none", "/set stop a", "/set stop none") == Sampling()
    assert sampling_after("/set stop a b", "/set stop c").stop == ("c",)


@pytest.mark.parametrize(
    "command",
    [
        "/set temperature hot", "/set temperature -1", "/set temperature nan", "/set temperature inf",
        "/set repetition_penalty 0", "/set top_k 1.5", "/set top_k -1", "/set top_p 0", "/set top_p 1.1",
        "/set min_p 2", "/set seed x", "/set seed -1", f"/set seed {2**63}", "/set max_new_tokens 0",
        '/set stop ""', '/set stop "\\q"', "/set temperature 0.7 0.8",
    ],
)  # fmt: skip
def test_an_impossible_value_is_explained_and_changes_nothing(command: str) -> None:
    model, shown = talk([command, "hi"])
    assert " cannot be " in shown
    assert "; expected " in shown
    assert model.asked[0][1] == Sampling()


def test_an_unknown_setting_names_the_nearest() -> None:
    assert "temprature: no such setting; the nearest is temperature." in talk(["/set temprature 1"])[1]


def test_set_alone_shows_every_setting_and_with_a_name_only_that() -> None:
    sampling = Sampling(stop=("\n",), temperature=0.7)
    _, shown = talk(["/set"], sampling=sampling)
    assert all(f"  {name}" in shown for name in NAMES)
    assert '"\\n"' in shown
    _, shown = talk(["/set temperature"], sampling=sampling)
    assert "  temperature  0.7  a number" in shown
    assert "top_k" not in shown


# ---- saving


def test_a_saved_chat_is_one_row_that_can_be_learned_from(tmp_path: Path) -> None:
    path = tmp_path / "말 talk.jsonl"
    _, shown = talk(["하나", "two", f'/save "{path}"'], Parrot(room=1), system="Be kind.")
    (saved,) = read_conversations([path])
    turns = [("system", "Be kind."), ("user", "하나"), ("assistant", "하나!"), ("user", "two"), ("assistant", "two!")]
    assert [(m.role, m.content) for m in saved.messages] == turns  # also what no longer fits
    assert "하나" in path.read_text(encoding="utf-8")
    assert "4 messages written" in shown


def test_a_stopped_answer_is_saved_as_nothing_to_learn(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    talk(["a b c", f"/save {path}"], Parrot(interrupt_after=1))
    assert json.loads(path.read_text(encoding="utf-8"))["messages"][1] == {
        "role": "assistant", "content": "a", "train": False,
    }  # fmt: skip


def test_an_answer_that_was_cut_off_is_remembered_and_saved_as_nothing_to_learn(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    model, shown = talk(["a b", "go on", f"/save {path}"], Parrot(finish="length"))
    assert "a b!\n(cut off" in shown
    assert model.asked[1][0][:2] == [("user", "a b"), ("assistant", "a b!")]
    assert json.loads(path.read_text(encoding="utf-8"))["messages"][1]["train"] is False


def test_save_never_replaces_a_file(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text("mine", encoding="utf-8")
    _, shown = talk(["one", f"/save {path}"])
    assert "is there already" in shown
    assert path.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["/save {folder}/x"], "nothing to save yet"),
        (["one", "/save"], "needs a file name"),
        (["one", "/save {folder}/none/x"], "there is no folder"),
        (["one", "/save {folder}/" + "x" * 300], "cannot be written"),
        (["one", "/save ~nobody-of-this-name/x"], "cannot be written"),
    ],
)
def test_a_save_that_cannot_be_is_explained(lines: list[str], reason: str, tmp_path: Path) -> None:
    assert reason in talk([line.format(folder=tmp_path) for line in lines])[1]


# ---- pipes, encodings, colours, history


def test_from_a_pipe_only_answers_are_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe(monkeypatch, "one\n\n/set seed 1\n둘\\\r\n두 줄\n".encode())
    model = Parrot()
    chat(model, name="cafe", system="", sampling=Sampling(), history_file=None)
    out, aside = capsys.readouterr()
    assert out == "one!\n둘\n두 줄!\n"
    assert "seed" in aside
    assert [content for _, content in model.asked[1][0]] == ["one", "one!", "둘\n두 줄"]


def test_bytes_in_a_pipe_that_are_no_text_are_replaced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe(monkeypatch, b"one\n\xff?")
    chat(Parrot(), name="cafe", system="", sampling=Sampling(), history_file=None)
    assert capsys.readouterr().out == "one!\n\ufffd?!\n"


@pytest.mark.parametrize(("line", "error"), [(b"/sett x", ConfigError), (b"a long one", DataError)])
def test_in_a_pipe_an_error_ends_it(monkeypatch: pytest.MonkeyPatch, line: bytes, error: type[Exception]) -> None:
    pipe(monkeypatch, line)
    with pytest.raises(error):
        chat(Parrot(), name="cafe", system="", sampling=Sampling(), history_file=None)


def test_in_a_pipe_ctrl_c_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, b"one two")
    model = Parrot(interrupt_after=1)
    with pytest.raises(KeyboardInterrupt):
        chat(model, name="cafe", system="", sampling=Sampling(), history_file=None)
    assert model.closed == 1


def test_letters_that_the_console_lacks_become_question_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    console = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(console, encoding="cp949", newline=""))
    pipe(monkeypatch, "한글 😀 é".encode())
    chat(Parrot(), name="cafe", system="", sampling=Sampling(), history_file=None)
    sys.stdout.flush()
    assert console.getvalue().decode("cp949") == "한글 ? ?!\n"


@pytest.mark.parametrize(
    ("setting", "dim"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)]
)
def test_colours_only_at_a_terminal_and_when_nobody_minds(
    setting: dict[str, str], dim: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ({"TERM": "xterm", "NO_COLOR": "", "WT_SESSION": "x"} | setting).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert ("\x1b[2m" in talk([])[1]) == dim
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    assert "\x1b[" not in talk([])[1]


def test_what_was_typed_is_found_again_in_the_next_chat(tmp_path: Path) -> None:
    readline = pytest.importorskip("readline")
    file = tmp_path / "state" / "history"

    def remembering(_prompt: str) -> str:
        if readline.get_current_history_length():
            raise EOFError
        readline.add_history("When do you open?")
        return "hi"

    seen = []
    for _ in range(2):
        options = {"name": "x", "system": "", "sampling": Sampling(), "history_file": file, "interactive": True}
        chat(Parrot(), **options, read=remembering, write=lambda _: None)  # type: ignore[arg-type]
        seen.append(readline.get_history_item(1))
    assert seen == ["When do you open?"] * 2
    assert "When do you open?" in file.read_text(encoding="utf-8")


def test_a_history_that_cannot_be_written_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert talk(["one"], history_file=tmp_path / "file" / "history")[0].asked
