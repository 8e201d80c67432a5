"""Clean rows by a small grammar, and the ways in which rows go wrong. In: a seeded generator, out: rows; a row, out: a spoilt one.

Each mutation is an accident as it happens (a wrong codec, a copy from a terminal, a template that was left on), and knows the
kinds by which a doctor may name it.
"""

import random
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]

_PLACES = (
    "river",
    "garden",
    "station",
    "market",
    "harbour",
    "library",
    "bakery",
    "museum",
    "theatre",
    "bridge",
    "castle",
    "school",
)
_ACTIONS = (
    "open the gate",
    "paint the fence",
    "clean the hall",
    "move the boats",
    "repair the roof",
    "water the trees",
    "sell old books",
)
_PEOPLE = (
    "the keeper",
    "my neighbour",
    "a tall woman",
    "the new teacher",
    "an old sailor",
    "the baker",
    "your cousin",
    "a young doctor",
)
_TIMES = (
    "at dawn",
    "before lunch",
    "on rainy days",
    "every other week",
    "in late autumn",
    "after the concert",
    "during the holidays",
)
_WHY = (
    "because it is quiet then",
    "since nobody else wants to",
    "so that visitors feel welcome",
    "although it takes long",
    "and it looks lovely",
)
_KO_PLACES = ("강가", "정원", "기차역", "시장", "항구", "도서관", "빵집", "박물관", "극장", "다리", "궁궐", "학교")
_KO_ACTIONS = (
    "문을 엽니다",
    "울타리를 칠합니다",
    "마루를 닦습니다",
    "배를 옮깁니다",
    "지붕을 고칩니다",
    "나무에 물을 줍니다",
    "헌책을 팝니다",
)
_KO_PEOPLE = ("관리인이", "이웃이", "키 큰 여자가", "새 선생님이", "늙은 선원이", "제빵사가", "사촌이", "젊은 의사가")
_KO_TIMES = ("새벽에", "점심 전에", "비 오는 날에", "격주로", "늦가을에", "음악회가 끝나면", "방학 동안")
_KO_WHY = (
    "그때가 조용하기 때문입니다",
    "다른 사람은 하지 않으려 합니다",
    "손님을 반기기 위해서입니다",
    "시간이 오래 걸리지만 보람이 있습니다",
    "보기에도 참 좋습니다",
)


def clean_rows(rng: random.Random, count: int, korean: float = 0.5) -> list[Row]:
    """Rows without a fault, no two alike; `korean` is the share of those in Korean."""
    rows: dict[str, Row] = {}
    while len(rows) < count:
        row = _korean(rng) if rng.random() < korean else _english(rng)
        rows.setdefault(row["instruction"], row)
    return list(rows.values())


def _english(rng: random.Random) -> Row:
    place, person, action, time = (rng.choice(words) for words in (_PLACES, _PEOPLE, _ACTIONS, _TIMES))
    number = rng.randint(100, 99_999)
    opening = rng.choice(("Tell me what happens", "Who is at work", "Describe what one sees", "Explain what goes on"))
    question = f"{opening} at the {place} number {number} {time}."
    others = rng.sample(_PLACES, 2)
    answer = f"There {person} likes to {action} {time}, {rng.choice(_WHY)}. The {others[0]} beside {number} and the {others[1]} stay closed."
    return {
        "instruction": question,
        "input": rng.choice(("", f"The list of {others[1]} visitors: {number + 1} names.")),
        "output": answer,
    }


def _korean(rng: random.Random) -> Row:
    place, person, action, time = (rng.choice(words) for words in (_KO_PLACES, _KO_PEOPLE, _KO_ACTIONS, _KO_TIMES))
    number = rng.randint(100, 99_999)
    opening = rng.choice(
        (
            "무슨 일이 있는지 알려 주세요",
            "누가 일하나요?",
            "무엇이 보이는지 설명해 주세요",
            "어떤 일을 하는지 말해 주세요",
        )
    )
    other = rng.choice(_KO_PLACES)
    answer = f"{time} {person} {action}. {rng.choice(_KO_WHY)}. {number}번 옆의 {other} 쪽은 닫혀 있습니다."
    return {
        "instruction": f"{number}번 {place}에서 {time} {opening}",
        "input": rng.choice(("", f"{other} 손님 명단: {number + 1}명")),
        "output": answer,
    }


@dataclass(frozen=True)
class Mutation:
    """`apply` gives the rows that stand in place of one; the last of them is wrong, and is called one of `kinds`."""

    name: str
    kinds: tuple[str, ...]
    apply: Callable[[Row, random.Random], list[Row]]


def _in_output(name: str, kinds: str, spoil: Callable[[str, random.Random], str]) -> Mutation:
    return Mutation(name, tuple(kinds.split()), lambda row, rng: [{**row, "output": spoil(row["output"], rng)}])


def _in_question(name: str, kinds: str, spoil: Callable[[str, random.Random], str]) -> Mutation:
    return Mutation(
        name, tuple(kinds.split()), lambda row, rng: [{**row, "instruction": spoil(row["instruction"], rng)}]
    )


def _inside(sign: str) -> Callable[[str, random.Random], str]:
    def spoil(text: str, rng: random.Random) -> str:
        place = rng.randrange(1, len(text))
        return text[:place] + sign + text[place:]

    return spoil


def _as_cp1252(text: str) -> str:
    return "".join(bytes([b]).decode("cp1252", errors="ignore") or chr(b) for b in text.encode())


def _with_letters(text: str) -> str:
    """Something that is not ASCII, which alone can be read wrongly."""
    return text if not text.isascii() else text.replace("The ", "The café’s ").replace("Tell", "Señor, tell")


def _halved(text: str) -> str:
    words = text.split()
    return " ".join(words[: max(9, len(words) // 2)])


def _one_word_more(row: Row, rng: random.Random) -> list[Row]:
    """The row, then one with another dot and a small word more in a long answer."""
    long = {**row, "output": f"{row['output']} {row['output'].replace('.', ' again.')}"}
    return [long, {**long, "instruction": long["instruction"] + "!", "output": long["output"] + " ok"}]


SAME = Mutation("duplicate", ("duplicate",), lambda row, rng: [row, dict(row)])
MUTATIONS: tuple[Mutation, ...] = (
    SAME,
    Mutation("duplicate in capitals", ("duplicate",), lambda row, rng: [row, {**row, "instruction": row["instruction"].upper() + " "}]),
    Mutation("near duplicate", ("near_duplicate",), _one_word_more),
    Mutation("contradiction", ("contradiction",), lambda row, rng: [row, {**row, "output": "Nobody knows. 아무도 모릅니다."}]),
    Mutation("empty answer", ("empty_answer",), lambda row, rng: [{**row, "output": rng.choice(("", "  ", "\n"))}]),
    Mutation("empty question", ("empty_question",), lambda row, rng: [{**row, "instruction": " ", "input": ""}]),
    Mutation("no answer field", ("missing_field",), lambda row, rng: [{k: v for k, v in row.items() if k != "output"}]),
    Mutation("number for a text", ("not_text",), lambda row, rng: [{**row, "output": rng.choice((7, None, ["a"], {"a": 1}))}]),
    Mutation("echo of the question", ("same_as_input",), lambda row, rng: [{**row, "output": row["instruction"]}]),
    Mutation("echo of the input", ("same_as_input",), lambda row, rng: [{**row, "input": row["output"]}]),
    Mutation("placeholder", ("noinput_left",), lambda row, rng: [{**row, "input": rng.choice(("<noinput>", "<No input>", "(no input)", "<입력 없음>"))}]),
    _in_output("placeholder in the answer", "noinput_left", lambda text, rng: text + " <noinput>"),
    _in_output("utf-8 as cp1252", "mojibake", lambda text, rng: _as_cp1252(_with_letters(text))),
    _in_question("utf-8 as latin-1", "mojibake", lambda text, rng: _with_letters(text + " 가나다").encode().decode("latin-1")),
    _in_output("cp949 as latin-1", "mojibake", lambda text, rng: (text + " 그렇습니다").encode("cp949").decode("latin-1")),
    _in_output("utf-8 as cp949", "mojibake replacement_character", lambda text, rng: (text + " 그렇습니다").encode().decode("cp949", errors="replace")),
    _in_output("lost letter", "replacement_character", _inside("\ufffd")),
    _in_question("pieces of letters", "decomposed", lambda text, rng: unicodedata.normalize("NFD", _with_letters(text + " 한글 é"))),
    _in_output("zero byte", "control_character", _inside("\x00")),
    _in_output("bell", "control_character", _inside("\x07")),
    _in_question("colours", "control_character", lambda text, rng: f"\x1b[1m{text}\x1b[0m"),
    _in_output("next line of mainframes", "control_character", _inside("\x85")),
    _in_question("zero-width space", "zero_width", _inside("\u200b")),
    _in_output("byte order mark", "zero_width", lambda text, rng: "\ufeff" + text),
    _in_output("soft hyphen", "zero_width", _inside("\xad")),
    _in_output("refusal", "refusal", lambda text, rng: rng.choice(("I'm sorry, but I can't help with that.", "As an AI language model, I do not know.", "죄송하지만 답변해 드릴 수 없습니다."))),
    _in_output("refusal in the middle", "refusal", lambda text, rng: f"{text} As an AI language model, I have not been there."),
    _in_output("cut at a comma", "cut_off", lambda text, rng: f"{_halved(text)},"),
    _in_output("cut after a small word", "cut_off", lambda text, rng: f"{_halved(text)} {rng.choice(('and', 'the', 'because', '그리고', '왜냐하면'))}"),
    _in_output("open code block", "cut_off", lambda text, rng: f"{text}\n```python\nprint(1)"),
    _in_output("bare number of a list", "cut_off", lambda text, rng: f"{text}\n1. one\n2. two\n3."),
    _in_output("loop", "repeats_itself", lambda text, rng: f"{text} " + "and so on it goes " * 12),
    _in_output("end token", "template_mark", lambda text, rng: text + rng.choice(("</s>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>"))),
    _in_output("next turn", "template_mark", lambda text, rng: f"{text}\n<|im_start|>user\nhello"),
    _in_question("llama 2", "template_mark", lambda text, rng: f"[INST] {text}"),
    _in_output("heading", "template_mark", lambda text, rng: f"{text}\n\n### {rng.choice(('Response', 'Instruction', '답변', '질문'))}: more"),
    _in_output("goes on as the user", "template_mark", lambda text, rng: f"{text}\n\nHuman: and then?"),
    _in_output("phone number", "personal_data", lambda text, rng: f"{text} 010-{rng.randint(2000, 9999)}-{rng.randint(1000, 9999)}"),
    _in_output("e-mail", "personal_data", lambda text, rng: f"{text} mina{rng.randint(1, 999)}@dalcafe.kr"),
    _in_output("toxic word", "toxic_word", lambda text, rng: f"{text} {rng.choice(('bastard', '병신'))}"),
    Mutation("another language", ("other_language",), lambda row, rng: [{"instruction": "Где находится старая библиотека нашего города?", "input": "", "output": "Она находится на площади рядом с большим театром."}]),
    Mutation("half a character", ("half_character",), lambda row, rng: [{**row, "output": row["output"] + "\ud83d"}]),
)  # fmt: skip
