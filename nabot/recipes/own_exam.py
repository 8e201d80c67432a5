"""Rows that a teacher made, asked otherwise → an exam. In: reworded tasks, out: exam questions with what answers must say.

Nobody has written what a right answer has to contain, so it is read off: the term that the answer and the words of the passage
share and the question does not have. Its numbers first, all of them ("from 9 to 6"), then a name, then the longest word; of
Korean words none that says what is done or how it is, because those are said in many ways, and "있습니다" ends half of all
answers. A row without such a term cannot be marked by rules that a person can read, and is no exam question.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from nabot.evals.scoring import all_of, matches
from nabot.synth.asking import Candidate
from nabot.synth.content import content
from nabot.synth.novelty import Pool

_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_HANGUL = re.compile(r"[가-힣]+\Z")
_COPULA = re.compile(r"(?:입니다|이에요|예요|이며|이고|이다)\Z")  # written onto a noun
_PARTICLE = re.compile(r"(?<=..)(?:은|는|이|가|을|를|의|에|에서|에게|께서|와|과|로|으로)\Z")  # 고양 is in 고양이, too
_PREDICATE = re.compile(
    r"(?:니다|.다|[아어여해돼와워세네]요|[하되으]며|[하되]고|[으하되]면|[아어여해되]서|니까|는데|도록|거나)\Z"
)
_YES_OR_NO = re.compile(r"\W*(?:yes|no|네|예|아니요|아니오|아니)\b", re.IGNORECASE)
_SHORTEST = 4  # letters of a word that decides; "open" at least
_SHORTEST_HANGUL = 2  # syllables


def exam_rows(reworded: Iterable[Candidate]) -> Iterator[dict[str, Any]]:
    """Lines of an exam file (docs/files.md), of those that can be marked."""
    for candidate in reworded:
        if terms := _terms(candidate):
            messages = [{"role": "user", "content": candidate.task.instruction}]
            yield {
                "messages": messages,
                "accept": [all_of(terms)],
                "group": "fact",
                "source": ", ".join(candidate.sources),
            }


def asked_otherwise(again: Iterable[Candidate], taught: Sequence[Candidate]) -> Iterator[Candidate]:
    """Of tasks that were made again from the same evidence those that ask for what was taught, in words that were not."""
    known = {(row.evidence, frozenset(_terms(row))) for row in taught}
    pool = Pool(row.task.instruction for row in taught)
    for row in again:
        if (row.evidence, frozenset(_terms(row))) in known and not pool.near_copy(row.task.instruction):
            pool.add(row.task.instruction)
            yield row


def _terms(row: Candidate) -> list[str]:
    return decisive_terms(row.task.instruction, row.task.output, row.evidence)


def decisive_terms(question: str, answer: str, evidence: str) -> list[str]:
    """What an answer to `question` has to contain, all of it; empty if nothing decides."""
    if _YES_OR_NO.match(answer):  # any other word of such an answer is beside the point
        return []
    asked = content(question)

    def is_new(term: str) -> bool:
        if not (matches(term, answer) and matches(term, evidence)) or matches(term, question):
            return False
        return not _HANGUL.match(term) or not content(term) <= asked  # there with another particle

    numbers = [number for number in dict.fromkeys(_NUMBER.findall(answer)) if is_new(number)]
    names = [word for word in _WORD.findall(answer)[1:] if word[0].isupper() and is_new(word)]
    words = [term for word in _WORD.findall(answer) if (term := _stem(word, evidence)) and is_new(term)]
    best = max(names, key=len, default="") or max(words, key=len, default="")
    return numbers or ([best] if best else [])


def _stem(word: str, evidence: str) -> str:
    """The word as `evidence` has it, which in Korean may end in another particle; "" if it is too short to decide."""
    if not _HANGUL.match(word):
        return word if len(word) >= _SHORTEST else ""
    word = _COPULA.sub("", word)
    if _PREDICATE.search(word):
        return ""
    word = _PARTICLE.sub("", word)
    known = (word[:end] for end in range(len(word), _SHORTEST_HANGUL - 1, -1))
    return next((stem for stem in known if stem in evidence), "")
