"""What an English instruction asks for: "Write a short story" → write, story. In: a text, out: a verb and a noun, or None.

By rules without a model: instructions are imperatives and questions, whose verb stands in few places. As in Wang et al. 2022
("Self-Instruct", figure 3), the verb is the root of the first sentence that has one, and the noun its direct object, both
in their base form; a pronoun, a proper name or a clause is no such noun. Statements ("I cannot sleep.") are passed over.
How often this errs is measured in `tests/data/test_roots_english.py`.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nabot.data import english_words as known

_SENTENCE = re.compile(r"(?<=[.!?:])\s+|\n+")
_QUOTED = re.compile(r"```.*?```|`[^`]*`|\"[^\"]*\"|“[^”]*”|(?<!\w)'[^']*'(?!\w)|‘[^’]*’|<[^>]*>|\([^)]*\)", re.DOTALL)
_TOKEN = re.compile(r"[^\W_]+(?:[-'’/][^\W_]+)*|[^\w\s]")
_TWO_WORDS = re.compile(r"\b(at least|at most|up to)\s+(?=\d|\w+)", re.IGNORECASE)
_TWO_VERBS = re.compile(r"^\W*([A-Za-z]+) (?:and|or|and/or) ([a-z]+)(?= )")
_LABEL = re.compile(
    r"^\W*(?:\d+[.)]\s*)?(?:(?:task|instruction|question|prompt|q|exercise)\s*\d*\s*[:.]\s*)?", re.IGNORECASE
)
_SHORT_FORMS = {"don't": "do not", "let's": "let us", "i'd": "i would", "i'm": "i am", "can't": "can not"}
_QUOTE = "§"  # in place of something quoted, which has no words of ours


class Root(NamedTuple):
    """What is asked for; `object` is "" where the verb has no noun."""

    verb: str
    object: str


def english_root(instruction: str) -> Root | None:
    """Of the first sentence that asks for something; None where no sentence does, or only what something is."""
    for sentence in _sentences(instruction):
        tokens = _tokens(sentence)
        if root := _imperative(tokens) or _question(tokens):
            return root
    return None


def verb_of(word: str) -> str:
    """The base form if `word` is a form of a verb that is known, in American spelling; otherwise ""."""
    word = re.sub(r"(?<=[a-z]{3})(?:ise|yse)(?=$|s$|d$)", lambda m: "ize" if m[0] == "ise" else "yze", word.lower())
    word = known.SPELLINGS.get(word, word)
    tries = [word, known.IRREGULAR_VERBS.get(word, "")]
    if word.endswith("s"):
        tries += [word[:-1], word[:-2], word[:-3] + "y"]
    if word.endswith("ed"):
        tries += [word[:-1], word[:-2], word[:-3], word[:-3] + "y"]
    return next((one for one in tries if one in known.VERBS), "")


def singular(noun: str) -> str:
    """The base form of a noun."""
    word = noun.lower()
    if word in known.IRREGULAR_PLURALS:
        return known.IRREGULAR_PLURALS[word]
    if word in known.NO_PLURALS or not word.endswith("s") or word.endswith(("ss", "us", "is")) or len(word) < 4:
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zzes", "oes")):
        return word[:-2]
    return word[:-1]


def _sentences(text: str) -> Iterator[str]:
    plain = _QUOTED.sub(f" {_QUOTE} ", _LABEL.sub("", text.strip()))
    return (sentence for sentence in _SENTENCE.split(plain) if sentence.strip())


def _tokens(sentence: str) -> list[str]:
    joined = _TWO_WORDS.sub(lambda m: m[0].strip().replace(" ", "-") + " ", sentence.replace("’", "'"))
    tokens = _TOKEN.findall(_TWO_VERBS.sub(_first_verb, joined))
    return [word for token in tokens for word in _SHORT_FORMS.get(token.lower(), token).split()]


def _first_verb(match: re.Match[str]) -> str:
    """ "Compare and contrast the novels" asks for the first."""
    return match[1] if _is_base(match[1]) and _is_base(match[2]) else match[0]


# ---- where the verb stands


def _imperative(tokens: Sequence[str]) -> Root | None:
    """The sentence begins with its verb, but for politeness, adverbs, and what stands before a comma."""
    starts = [0, *(i + 1 for i, token in enumerate(tokens) if token in ",:;")]
    first = tokens[0].lower() if tokens else ""
    leads_in = first in known.PREPOSITIONS or first.endswith("ing") or first in ("first", "next", "then", "now")
    for start in starts if leads_in else starts[:1]:
        at = _behind_politeness(tokens, start)
        if _begins_a_command(tokens, at):
            return Root(verb_of(tokens[at]), _object(tokens, at + 1, verb_of(tokens[at])))
    return None


def _behind_politeness(tokens: Sequence[str], at: int) -> int:
    """Where the verb stands: behind "Please", "Could you", "I want you to", "Briefly", "Do not", "Help me to"."""
    low = [token.lower() for token in tokens]
    moved = True
    while moved and at < len(low):
        rest = low[at:]
        step = next((len(words) for words in _POLITE if rest[: len(words)] == list(words)), 0)
        if not step and _is_adverb(rest[0]) and rest[0] not in known.VERBS:
            step = 1
        moved = step > 0
        at += step
    return at


_POLITE = tuple(
    tuple(words.split())
    for words in (
        "can you", "could you", "would you", "will you", "i want you to", "i need you to", "i would like you to", "let us",
        "i would like to", "i want to", "i need to", "you should", "you must", "you need to", "you have to", "you will",
        "your task is to", "your job is to", "help me to", "help me", "help us", "do not", "please", "kindly", "now", "then",
        "first", "next", "finally", "also", "just", "always", "never", "try to", "in detail", "in short", ",", "§", "-", "*",
    )
)  # fmt: skip


def _begins_a_command(tokens: Sequence[str], at: int) -> bool:
    """A base form that nothing shows to be a noun: no verb behind it, as in "Change is hard", and no plural s."""
    if at >= len(tokens) or not _is_base(tokens[at]):
        return False
    if tokens[at].lower() in ("do", "have") and tokens[-1] == "?":
        return False
    return at + 1 == len(tokens) or tokens[at + 1].lower() not in known.BE | known.AUXILIARIES


def _is_base(word: str) -> bool:
    """Whether the word itself is a verb, not a form of one."""
    low = word.lower()
    return bool(verb_of(low)) and (low in known.VERBS or low in known.SPELLINGS or low.endswith(("ise", "yse")))


def _question(tokens: Sequence[str]) -> Root | None:
    """The verb of a question, unless it is a form of "be"."""
    low = [token.lower() for token in tokens]
    asks = next((i for i, word in enumerate(low) if word in known.QUESTION_WORDS), None)
    helper = next((i for i, word in enumerate(low) if word in known.AUXILIARIES), None)
    if helper is not None and (helper == 0 or (asks is not None and asks < helper)):
        return _helped(tokens, low, asks if asks is not None and asks < helper else None, helper)
    if asks is None or asks > 2 or (low[asks + 1 :] and low[asks + 1] in known.BE):
        return None
    for i in range(asks + 1, len(low) - 1):
        if low[i] in known.BE:
            return None
        may_begin = low[asks] in ("who", "what") and not _is_base(low[i])  # "What makes"; in "What time" it is a noun
        if i == asks + 1 and not may_begin:
            continue
        if verb_of(low[i]) and (i == asks + 1 or _ends_a_noun(low[i + 1])) and low[i - 1] not in known.DETERMINERS:
            return Root(verb_of(low[i]), _object(tokens, i + 1, verb_of(low[i])))
    return None


def _helped(tokens: Sequence[str], low: Sequence[str], asks: int | None, helper: int) -> Root | None:
    """A question with a helping verb: "Which rules (must) the passwords *follow*". What stands in front may be the object."""
    at = _main_verb(low, helper, asks=asks is not None)
    if at is None:
        return None
    verb = verb_of(low[at])
    noun = _object(tokens, at + 1, verb)
    asked_for = asks is not None and low[asks] in ("which", "what") and helper > asks + 1
    if (
        not noun
        and asked_for
        and asks == 0
        and at > helper + 1
        and not (low[at + 1 :] and low[at + 1] in known.PREPOSITIONS)
    ):
        noun = _object(tokens, 1, verb)
    return Root(verb, noun)


def _main_verb(low: Sequence[str], helper: int, *, asks: bool) -> int | None:
    """The first base form behind the helping verb and its subject, which may be the word that asks ("What would happen")."""
    for i in range(helper + 1, len(low)):
        word, before = low[i], low[i - 1]
        if word in known.BE:
            return None
        after_subject = i > helper + 1 or (asks and low[helper] not in ("do", "does", "did"))
        is_noun = before in known.DETERMINERS or before in known.PREPOSITIONS - {"to"} or before in known.ADJECTIVES
        if after_subject and _is_base(word) and not is_noun:
            is_subject = low[i + 1 : i + 2] == ["not"] and i + 2 < len(low) and _is_base(low[i + 2])
            return i + 2 if is_subject else i  # "Why does this code not compile"
    return None


def _ends_a_noun(word: str) -> bool:
    """Whether `word` cannot go on a noun phrase: then the one before it may be a verb."""
    return word in known.DETERMINERS | known.ENDS_A_PHRASE | known.NUMBERS or not word[:1].isalpha()


# ---- what stands behind it


def _object(tokens: Sequence[str], at: int, verb: str) -> str:
    """The head of the first noun phrase behind the verb, or of the second one after "give" and its like."""
    if verb == "let":
        return ""  # somebody, who is to do something
    low = [token.lower() for token in tokens]
    if at < len(low) and (low[at] in known.PARTICLES or (verb, low[at]) in (("fill", "in"), ("hand", "in"))):
        at += 1
    if at < len(low) and low[at] in known.INDIRECT:
        at += 1
    words, end = _phrase(tokens, low, at)
    more = known.DETERMINERS - {"that", "whose"} | known.NUMBERS
    if words and verb in known.TWO_OBJECTS and end < len(low) and low[end] in more:
        second, end_of_second = _phrase(tokens, low, end)
        if noun := _head(second, low[end_of_second] if end_of_second < len(low) else ""):
            return noun
    return _head(words, low[end] if end < len(low) else "")


def _phrase(tokens: Sequence[str], low: Sequence[str], at: int) -> tuple[list[str], int]:
    """The words of a noun phrase that may be its head, without those that stand before every noun; and where it ends."""
    words: list[str] = []
    for i in range(at, len(low)):
        word = low[i]
        if word in known.DETERMINERS | known.NUMBERS or word[0].isdigit():
            is_clause = word == "that" and (
                words or (i + 1 < len(low) and low[i + 1] in known.DETERMINERS | known.PRONOUNS)
            )
            if is_clause or (words and not _only_adjectives(words) and word not in ("same", "second", "first")):
                return words, i
        elif _between_numbers(low, i) or (not words and word in known.BEHIND_A_NOUN):
            continue  # "two to three sentences", "the given text"
        elif word in (",", "and", "or", "/", "-", "&", "*") and _only_adjectives(words) and words:
            continue
        elif not words and (word in known.INTENSIFIERS or (_is_adverb(word) and word not in known.ENDS_A_PHRASE)):
            continue  # "a very short story", "a carefully chosen word"
        elif word in known.ENDS_A_PHRASE or not word[0].isalpha() or _is_adverb(word):
            return words, i
        elif not word.endswith(("'s", "s'")):
            words.append(tokens[i])
    return words, len(low)


def _between_numbers(low: Sequence[str], at: int) -> bool:
    """Also "about" in front of one."""
    numbers = [word in known.NUMBERS or word[0].isdigit() for word in low]
    before = low[at] in ("about", "around", "roughly", "exactly") or (
        low[at] in ("to", "or", "-", "–", "and") and at > 0 and numbers[at - 1]
    )
    return before and at + 1 < len(low) and numbers[at + 1]


def _head(words: list[str], behind: str) -> str:
    """The last word that is a noun; "" if there is none, or if it is somebody's name."""
    words = list(words)
    while len(words) > 1 and (_only_says_which(words[-1], behind) or (words[-1][0].isupper() and words[-2].islower())):
        words.pop()
    if not words or words[-1][0].isupper() or _only_adjectives(words[-1:]):
        return ""
    return singular(words[-1])


def _only_says_which(word: str, behind: str) -> bool:
    """Whether a word behind a noun is none itself: "the words *listed*", "a function *returning* the sum"."""
    low = word.lower()
    if low.endswith("ing"):
        return low not in known.THINGS_IN_ING and behind != ""
    is_participle = low.endswith("ed") and (len(low) > 5 or (bool(verb_of(low)) and not _is_base(low)))
    return low in known.BEHIND_A_NOUN or is_participle or _only_adjectives([low])


def _only_adjectives(words: Sequence[str]) -> bool:
    return all(
        word.lower() in known.ADJECTIVES
        or _is_superlative(word.lower())
        or (word.lower().endswith(known.ADJECTIVE_ENDINGS) and word.lower() not in known.NO_ADJECTIVES)
        for word in words
    )


def _is_adverb(word: str) -> bool:
    return word.endswith("ly") and word not in known.NO_ADVERBS and word not in known.ADJECTIVES


def _is_superlative(word: str) -> bool:
    """Of an adjective that is known: "largest", "biggest", "easiest"."""
    if not word.endswith("est"):
        return False
    return any(base in known.ADJECTIVES for base in (word[:-3], word[:-2], word[:-4], word[:-4] + "y"))
