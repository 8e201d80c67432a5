"""Sixty completions, one for each rule of Alpaca's generator and each edge of it, and what is kept of them.

`alpaca` is what the published rules keep, written out by hand from their description (Taori et al. 2023); `ours` is given only
where nabot differs on purpose, with the reason beside it.
"""

from dataclasses import dataclass

import pytest

from nabot.synth.filters import reject_instruction
from nabot.synth.parsing import parse_alpaca
from nabot.synth.tasks import Rejected

GOOD = "Name three rivers in Europe."
KEPT = (GOOD, "", "Rhine")


def item(number, instruction, context="<noinput>", output="Rhine"):
    return f"{number}. Instruction: {instruction}\n{number}. Input:\n{context}\n{number}. Output:\n{output}\n"


def first(instruction=GOOD, context="<noinput>", output="Rhine"):
    """What a completion begins with: the prompt has ended with "4. Instruction:"."""
    return item(4, instruction, context, output).removeprefix("4. Instruction:")


@dataclass(frozen=True)
class Case:
    name: str
    completion: str
    alpaca: list[tuple[str, str, str]]
    ours: list[tuple[str, str, str]] | None = None  # None: as Alpaca
    slugs: tuple[str, ...] = ()
    finish: str = "stop"

    @property
    def expected(self):
        return self.alpaca if self.ours is None else self.ours


def instruction_case(name, instruction, *slugs, alpaca=None, ours=None):
    """A completion of one item; `slugs` is why nabot drops it."""
    kept = [(instruction, "", "Rhine")]
    alpaca = not slugs if alpaca is None else alpaca
    return Case(name, first(instruction), kept if alpaca else [], None if ours is None else kept if ours else [], slugs)


A, B, C = (
    ("Name a river of France.", "", "Seine"),
    ("Add up these two numbers.", "2 and 3", "5"),
    ("Write one short haiku.", "", "Rain"),
)
LIST = [
    # the list
    Case("one item", first(), [KEPT]),
    Case("three items", "###\n".join([first(*A), item(5, *B), item(6, *C)]), [A, B, C]),
    Case("a separator behind the last item", first() + "###\n", [KEPT]),
    Case("an item without a line break before its separator", first(*A).rstrip() + "###" + item(5, *B), [A, B]),
    Case("all labels on one line", " Name a river of France. 4. Input: <noinput> 4. Output: Seine", [A]),
    Case("white space around everything", first("  " + A[0] + " \n", " \n", "\n Seine \n\n"), [A]),
    Case("an answer of several lines", first(output="Rhine\n\nRhône"), [(GOOD, "", "Rhine\n\nRhône")]),
    Case("an answer with numbers of its own", first(output="1. Rhine\n2. Elbe"), [(GOOD, "", "1. Rhine\n2. Elbe")]),
    Case("an empty completion", "", [], slugs=("malformed_item",)),
    Case(
        "the limit of tokens drops the last item",
        "###\n".join([first(*A), item(5, *B)]),
        [A],
        slugs=("cut_off",),
        finish="length",
    ),
    Case("the limit drops a last piece that is empty", first(*A) + "###\n", [A], finish="length"),
    Case("the limit within the only item", " Name a river of", [], slugs=("cut_off",), finish="length"),
    Case(
        "no limit, and a last item without an answer",
        first(*A) + "###\n5. Instruction: Name",
        [A],
        slugs=("malformed_item",),
    ),
    # what an item is made of
    Case("no label of the input", " Name a river of France.\n4. Output:\nSeine", [], slugs=("malformed_item",)),
    Case("no label of the output", " Name a river of France.\n4. Input:\n<noinput>\n", [], slugs=("malformed_item",)),
    Case("two answers", first() + "4. Output:\nElbe", [], slugs=("malformed_item",)),
    Case("labels without numbers", " Name a river.\nInput:\n<noinput>\nOutput:\nSeine", [], slugs=("malformed_item",)),
    Case("text without any label", " Name a river of France: Seine", [], slugs=("malformed_item",)),
    Case(
        "one bad item between two good ones",
        "###\n".join([first(*A), "5. Instruction: Add\n", item(6, *C)]),
        [A, C],
        slugs=("malformed_item",),
    ),
    Case(
        "no space behind a number",
        " Name a river of France.\n4.Input:\n\n4.Output:\nSeine",
        [],
        slugs=("malformed_item",),
    ),
    # Alpaca counts items itself: a number that is left out, doubled or begun again loses all that follow
    Case("a number left out", "###\n".join([first(*A), item(6, *B), item(7, *C)]), [A], [A, B, C]),
    Case("a number doubled", "###\n".join([first(*A), item(4, *B), item(5, *C)]), [A], [A, B, C]),
    Case("numbers from 1", "###\n".join([item(1, *A), item(2, *B)]), [], [A, B]),
    Case("numbers that differ within an item", f" {A[0]}\n5. Input:\n\n5. Output:\nSeine", [], [A]),
    # chat models begin with the label that the prompt has ended with
    Case("the first label again", item(4, *A) + "###\n" + item(5, *B), [B], [A, B]),
    Case("a separator and the first label", "###\n" + item(4, *A), [], [A]),
    # an output would stand where the input should
    Case(
        "labels in another order",
        f" {A[0]}\n4. Output:\nSeine\n4. Input:\nnone",
        [(A[0], "Seine", "none")],
        [],
        ("malformed_item",),
    ),
    # a heading would end the answer unseen, and shift the numbers of the items behind it
    Case(
        "a heading inside an answer",
        "###\n".join([first(*A[:2], "Seine\n### Why\nIt is long."), item(5, *B)]),
        [A],
        [(*A[:2], "Seine\n### Why\nIt is long."), B],
    ),
    # the placeholder
    Case("<noinput>", first(*A[:1], "<noinput>", "Seine"), [A]),
    Case("<NoInput>", first(*A[:1], "<NoInput>", "Seine"), [A]),
    Case("an empty input", first(*A[:1], "", "Seine"), [A]),
    Case("an input is kept as it is", first(*B), [B]),
    Case(
        "the placeholder with a space", first(*A[:1], "< No input >", "Seine"), [(A[0], "< No input >", "Seine")], [A]
    ),
    Case("the placeholder without brackets", first(*A[:1], "No input.", "Seine"), [(A[0], "No input.", "Seine")], [A]),
    Case("the placeholder in Korean", first(*A[:1], "<입력 없음>", "Seine"), [(A[0], "<입력 없음>", "Seine")], [A]),
    # the instruction: its length
    instruction_case("empty", "", "empty_instruction"),
    instruction_case("three words", "Name three rivers.", "too_few_words"),
    instruction_case("four words", "Name three long rivers."),
    instruction_case("150 words", " ".join(["Say"] * 150)),
    instruction_case("151 words", " ".join(["Say"] * 151), "too_many_words"),
    # three Korean words say as much as four or five of English
    instruction_case("three Korean words", "다음 문장을 요약하세요.", alpaca=False, ours=True),
    instruction_case("two Korean words", "요약해 주세요.", "too_few_words"),
    # the instruction: what a text model cannot do
    instruction_case("image", "Describe the image you see.", "other_media"),
    instruction_case("in capitals, at the end", "Say what is in this GRAPH", "other_media"),
    instruction_case("the plural", "Sort these files by size.", "other_media"),
    instruction_case("beside punctuation", "Name a (map) for me.", "other_media"),
    instruction_case("two words", "Explain how to go to the station.", "other_media"),
    instruction_case("Alpaca's own words", "Compose a piece of music about rain.", "other_media"),
    instruction_case("within another word", "Imagine the biography of a cartographer."),
    instruction_case("a word that is not on the list", "Suggest a name for a photograph."),
    instruction_case("a Korean noun with a particle", "이 그래프를 보고 설명해 주세요.", "other_media"),
    instruction_case("an English noun with a Korean particle", "이 image를 보고 설명해 주세요.", "other_media"),
    Case(
        "the rules look at the instruction alone", first(*A[:1], "an image", "a video"), [(A[0], "an image", "a video")]
    ),
    # the instruction: how it begins
    instruction_case("write a program", "Write a program that adds numbers.", "write_a_program"),
    instruction_case("write a program, in small letters", "write a program that adds numbers."),
    instruction_case("a program further on", "Please Write a program for me."),
    instruction_case("punctuation", "'Name' three long rivers.", "begins_with_punctuation"),
    instruction_case("a symbol outside ASCII", "“Name” three long rivers.", "begins_with_symbol"),
    instruction_case("a digit", "3 long rivers are needed."),
    # a letter of any script may begin an instruction
    instruction_case("a Korean letter", "유럽의 긴 강을 세 개 말해 주세요.", alpaca=False, ours=True),
    instruction_case("a letter with an accent", "Énumère trois longs fleuves.", alpaca=False, ours=True),
]


@pytest.mark.parametrize("case", LIST, ids=lambda case: case.name)
def test_what_is_kept_of_a_completion(case):
    found = parse_alpaca(case.completion, case.finish)
    reasons = [r.reason if isinstance(r, Rejected) else reject_instruction(r.instruction) for r in found]
    kept = [(r.instruction, r.input, r.output) for r, reason in zip(found, reasons, strict=True) if not reason]
    assert kept == case.expected
    assert tuple(reason.slug for reason in reasons if reason) == case.slugs


def test_there_are_sixty_of_them_and_most_are_decided_as_alpaca_does():
    assert len(LIST) >= 60
    assert len({case.name for case in LIST}) == len(LIST)
    assert sum(case.ours is None for case in LIST) >= 44
