"""What a Korean instruction asks for: "짧은 시를 써 주세요" → 쓰다, 시. In: a text, out: a verb and a noun, or None.

The verb is the predicate that ends the sentence, without the helping verbs behind it (주다, 보다, -ㄹ 수 있다); the noun is
marked by 을/를 in the same clause, or stands right in front of the verb where people leave the particle out. Adjectives
and 이다 are no such verbs. Words are told apart by Kiwi, whose model comes with it.
"""

from collections.abc import Sequence
from functools import cache
from itertools import groupby
from typing import Any

from nabot.data.roots_english import Root
from nabot.errors import ConfigError
from nabot.text import say

_NOUNS = ("NNG", "NNP", "SL", "XSN", "XPN", "XR", "SH")
_MAKE_A_VERB = ("XSV", "XSV-I", "XSV-R")
_HELPERS = ("주", "드리", "보", "놓", "두", "달")  # behind -아/어
_WISH = "바라"
_COUNTED = ("MM", "NR", "SN", "NNB")
_PLACEHOLDERS = ("것", "수", "바", "거")  # they stand for something that has been named
_LIKE_PARTICLES = ("따르", "통하", "위하", "대하", "의하", "관하", "대신하")  # with -아/어: 뜻에 따라


def korean_root(instruction: str) -> Root | None:
    """Of the first sentence that asks for something. Raises ConfigError if kiwipiepy is not installed."""
    for _, sentence in groupby(kiwi().tokenize(instruction), lambda token: token.sent_position):
        if root := _root([token for token in sentence if token.tag not in ("SSO", "SSC", "SB")]):
            return root
    return None


@cache
def kiwi() -> Any:
    """Kiwi with its model: some seconds to load, once."""
    try:
        from kiwipiepy import Kiwi
    except ImportError as error:
        raise ConfigError(say("stats.no_kiwi")) from error
    return Kiwi(num_workers=1)


def _root(tokens: Sequence[Any]) -> Root | None:
    at = _predicate(tokens)
    if at is None:
        return None
    token = tokens[at]
    if token.tag in _MAKE_A_VERB:  # 번역 + 하: the noun in front is part of it
        first = _first_of_noun(tokens, at - 1)
        return Root(_noun(tokens, first, at - 1) + token.form + "다", _object(tokens, first))
    if token.form == "하" and at > 1 and tokens[at - 1].tag == "JKO":  # 번역을 하다
        first = _first_of_noun(tokens, at - 2)
        return Root(_noun(tokens, first, at - 2) + "하다", _object(tokens, first))
    return Root(token.form + "다", _object(tokens, at))


def _predicate(tokens: Sequence[Any]) -> int | None:
    """Where the verb stands that the sentence ends with."""
    ends = [i for i, token in enumerate(tokens) if token.tag == "EF" or token.form == "것"]
    if ends and tokens[ends[-1]].tag == "EF" and tokens[ends[-1]].form.endswith("다") and not _is_wish(tokens):
        return None  # a statement
    at = (ends[-1] if ends else len(tokens)) - 1
    while at >= 0:
        token = tokens[at]
        behind_connective = at > 0 and tokens[at - 1].tag == "EC"
        is_possible = (
            token.form in ("있", "없") and at > 1 and tokens[at - 1].form == "수" and tokens[at - 1].tag == "NNB"
        )
        if is_possible:
            at -= 2
        elif token.tag.startswith("VX") or (
            token.form in _HELPERS and behind_connective and tokens[at - 1].form in "어아"
        ):
            at -= 1
        elif token.form == _WISH and tokens[at - 1].tag == "ETN":  # 해 주시기 바랍니다
            at -= 2
        elif token.tag.startswith("VV") or token.tag in _MAKE_A_VERB:
            return at
        elif token.tag in ("EP", "EC", "ETM", "JX"):
            at -= 1
        else:
            return None
    return None


def _is_wish(tokens: Sequence[Any]) -> bool:
    return any(token.form == _WISH and token.tag.startswith("VV") for token in tokens[-4:])


def _object(tokens: Sequence[Any], verb: int) -> str:
    """The noun with 을/를 between this verb and the clause before; or the noun right in front of it."""
    for i in range(verb - 1, 0, -1):
        if tokens[i].tag == "EC" and not _same_clause(tokens, i, verb):
            break
        if tokens[i].tag == "JKO":
            return _head(tokens, i - 1)
    in_front = verb - 1
    return _head(tokens, in_front) if in_front >= 0 and tokens[in_front].tag == "NNG" else ""


def _same_clause(tokens: Sequence[Any], connective: int, verb: int) -> bool:
    """Whether a connective ending leads no clause of its own: 짧게 (short), 뜻에 따라 (by sense), 띄어 쓰다 (two verbs, one act)."""
    ending, stem = tokens[connective].form, tokens[connective - 1].form
    return ending == "게" or (ending in "어아" and (connective == verb - 1 or stem in _LIKE_PARTICLES))


def _head(tokens: Sequence[Any], at: int) -> str:
    """The noun that ends at `at`; of "메뉴 세 가지" the thing that is counted."""
    while at >= 0 and tokens[at].tag in _COUNTED:
        if tokens[at].tag == "NNB" and at > 0 and tokens[at - 1].tag == "ETM":  # 끓이는 법
            return "" if tokens[at].form in _PLACEHOLDERS else str(tokens[at].form)
        at -= 1
    if at < 0 or tokens[at].tag not in _NOUNS:
        return ""
    return _noun(tokens, _first_of_noun(tokens, at), at)


def _first_of_noun(tokens: Sequence[Any], last: int) -> int:
    """Where the noun begins that ends at `last`: pieces without a space between them are one word."""
    first = last
    while first > 0 and tokens[first - 1].tag in _NOUNS and tokens[first - 1].end == tokens[first].start:
        first -= 1
    return first


def _noun(tokens: Sequence[Any], first: int, last: int) -> str:
    return "".join(token.form for token in tokens[first : last + 1])
