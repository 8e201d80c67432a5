"""Strings that tokenizers disagree about, drawn with a seed."""

import random
from collections.abc import Iterator, Sequence

ENGLISH_TEXT = (
    "the quick brown fox doesn't jump; it'll say I'VE we're done. What's N'T of 12,345.67 (e.g.) e-mail Hello WORLD"
    " camelCase HTTPServer"
)
KOREAN_TEXT = (
    "달카페는 아침 여덟 시에 문을 엽니다. 아메리카노 4,500원 뷁 ㅋㅋㅋ ㅠㅠ 가나다라마바사 안녕하세요?"
    " 値段は 你好 привет"
)
CODE_TEXT = (
    "def f(x):\n    return {'a': [1, 2], \"b\": x**2}\n\n\tif (a&&b) { i++; } // ok\r\n"
    "#include <stdio.h>\n<h1>Hi</h1> a_b\\n"
)
ENGLISH, KOREAN = ENGLISH_TEXT.split(" "), KOREAN_TEXT.split(" ")
CODE = [CODE_TEXT[start : start + 12] for start in range(0, len(CODE_TEXT), 5)]
EMOJI = ["😀", "👩‍👩‍👧‍👦", "🇰🇷", "👍🏽", "❤️", "1️⃣", "☕"]
COMBINED = ["e\u0301", "\u1100\u1161\u11a8", "ก็", "हिन्दी", "a\u0310e\u0301o\u0308\u0332", "É", "Καλημέρα", "École", "İ"]
SPACES = [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n ", "\u00a0", "\u3000", "\u200b", "\x0b", "\x0c", "    "]
CONTROL = [*map(chr, range(1, 32)), "\x7f", "\x85", "\ufeff", "\ufffd", "\u2028", "\u202e"]
DIGITS = ["0", "7", "12", "123", "1234", "123456789", "٣٤", "½", "²", "Ⅷ", "\uff11\uff12"]
PUNCTUATION = list("!?.,:;'\"()[]{}-_=+*/\\|<>@#$%^&~`")
TYPED_MARKS = [
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<s>",
    "</s>",
    "<unk>",
    "<0x0A>",
    "<|im_",
    "end|>",
    "[INST]",
]

ORDINARY = (ENGLISH, KOREAN, CODE, EMOJI, SPACES, DIGITS, PUNCTUATION)
EVERYTHING = (*ORDINARY, COMBINED, CONTROL, TYPED_MARKS)


def strings(count: int, seed: int, kinds: Sequence[Sequence[str]] = EVERYTHING) -> Iterator[str]:
    """`count` mixtures of up to a dozen pieces: a third of all kinds, the others of one kind among words and spaces."""
    rng = random.Random(seed)
    for number in range(count):
        chosen = kinds if number % 3 == 0 else (kinds[number % len(kinds)], ENGLISH, SPACES)
        pieces = [rng.choice(rng.choice(chosen)) + rng.choice(["", "", " ", "\n"]) for _ in range(rng.randint(1, 12))]
        yield "".join(pieces)
