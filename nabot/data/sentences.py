"""Where sentences end. In: a line of text, out: its sentences, each of its words in one of them, in order.

Cutting too seldom costs nothing here, cutting inside a sentence costs its meaning: what could be an abbreviation, an
initial, a numbered item or a date ("2024. 5. 1.") ends nothing. Hangul needs no rules of its own, because Korean prose
ends its sentences with a mark, too; Chinese and Japanese marks need no space behind them.
"""

import re
from itertools import pairwise

_CLOSERS = "\"'”’)\\]」』》〉"
_END = re.compile(rf"(?:(?<![.!?…])[.!?…]+[{_CLOSERS}]*(?=\s)|[。！？]+[{_CLOSERS}]*)\s*")
_ENDED = re.compile(rf"[.!?…。！？][{_CLOSERS}]*$")
_ABBREVIATED = re.compile(
    r"(?:mrs?|ms|dr|prof|st|[js]r|vs|etc|e\.g|i\.e|cf|al|approx|fig|nos?|vol|eds?|pp?|ch|sec|art|par|inc|corp?|co|ltd|dept|est"
    r"|tel|ext|min|max|incl|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)",
    re.IGNORECASE,
)
_ENUMERATED = re.compile(r"^\W*(?:\d{1,3}|[가-힣]|[A-Za-z]|[ivxIVX]+)$")  # "1.", "가.", "a." in front of an item
_DATE = re.compile(r"\d{1,4}\.\s*\d{1,2}\.\s*\d{1,2}$")  # 2024. 5. 1.
_LOOKED_BACK = 30  # characters: enough for every abbreviation and date
_WORD = re.compile(r"[぀-ヿ㐀-鿿]{1,2}|[^\s぀-ヿ㐀-鿿]+")


def num_words(text: str) -> int:
    """Words between spaces (in Korean 어절); Chinese and Japanese have no spaces, where two characters count as a word."""
    return len(_WORD.findall(text))


def ends_sentence(line: str) -> bool:
    """Whether the line ends with the mark of a sentence's end, closing quotes and brackets behind it let pass."""
    return bool(_ENDED.search(line.rstrip()))


def sentences(line: str) -> list[str]:
    """The sentences of one line, without the spaces between them."""
    found = []
    begin = 0
    for end in _END.finditer(line):
        before = line[max(begin, end.start() - _LOOKED_BACK) : end.start()]
        if end.end() < len(line) and _is_end(before, end.group(), line[end.end()]):
            found.append(line[begin : end.end()].strip())
            begin = end.end()
    return [*found, rest] if (rest := line[begin:].strip()) else found


def parts(sentence: str, most_words: int) -> list[str]:
    """The sentence whole; what is longer than any sentence (a list without marks) in parts of `most_words`."""
    if len(sentence) <= most_words:  # characters: there cannot be more words
        return [sentence]
    starts = [0, *(word.start() for word in _WORD.finditer(sentence))][most_words + 1 :: most_words]
    return [sentence[i:j].strip() for i, j in pairwise([0, *starts, len(sentence)])]


def _is_end(before: str, mark: str, after: str) -> bool:
    """Whether `mark` ends a sentence; `before` are the sentence's last characters, or all of them, `after` is the next one."""
    if after.islower():
        return False
    if mark.rstrip() != ".":
        return True
    last = before.rpartition(" ")[2].lstrip("(\"'“‘[")
    return not (
        _ABBREVIATED.fullmatch(last)
        or _ENUMERATED.match(before)
        or (len(last) == 1 and last.isascii() and last.isupper())  # an initial: J. R. Smith
        or (last[-1:].isdigit() and after.isdigit())  # within a date
        or _DATE.search(before)
    )
