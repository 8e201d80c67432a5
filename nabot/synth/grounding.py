"""Does an answer rest on a passage? In: a passage, and what a teacher wrote about it, out: the passage's own words, or what is wrong.

Rules that a person can check by eye; none asks a model. They let through an answer that turns its passage round with the
passage's own words, and drop a right one that says it all in other words.
"""

import re
import unicodedata

from nabot.data.imports.types import Passage
from nabot.synth.content import answers_in, content, numbers
from nabot.synth.seeds import Language
from nabot.synth.tasks import Reason

_NEAR = 90.0  # rapidfuzz's partial ratio, in percent: a word or two of a sentence may be other ones
_LONGEST_NEAR = 1000  # characters of a quote; looking for near misses takes their square
_LEAST_SHARE = 0.5  # of the words that an answer adds to its question; politeness and verbs are the teacher's own
_FEWEST_WORDS = 2  # of a quote, which else stands in every passage

_MARKS = str.maketrans(
    {**dict.fromkeys("‘’‚‛′`´", "'"), **dict.fromkeys("“”„‟″«»「」『』", '"'), **dict.fromkeys("‐‑‒–—―−", "-")}
)
_AROUND = " \t\r\n\"'.…*_`“”‘’「」『』«»()[]"

_NAME = re.compile(r"(?<=[^\W\d_A-Z] |\d |, )[A-Z][^\W\d_]+")  # a capital inside a sentence
_PASSAGE = re.compile(
    r"\b(?:the|this|that|above|given|following|provided|preceding)\s+(?:(?:above|given|following|provided|preceding)\s+)?"
    r"(?:passages?|texts?|excerpts?|paragraphs?|contexts?|snippets?|extracts?)\b"
    r"|\b(?:according to|in|from|based on)\s+(?:the|this)\s+(?:document|article|quote|information (?:given|provided|above))\b"
    r"|\b(?:mentioned|described|stated|listed|given)\s+(?:above|here)\b"
    r"|윗글|(?<![가-힣])위\s?글(?!자)|본문|지문(?:에서|에\s따르)|제시문"
    r"|(?<![가-힣])(?:이|위|위의|다음|주어진|제시된|아래|해당)\s?(?:글|지문|문단|단락|텍스트|본문|내용|발췌문|구절|문장|문서|자료)(?:은|는|이|가|을|를|의|에)"
    r"|(?<![가-힣])(?:글|텍스트|문단|단락|문서)(?:에서|에 따르|에 의하|에 나)",
    re.IGNORECASE,
)
# The first verb asks about something that was said before: "When does it open?" But "Is it possible to …" says it behind.
_DANGLING = re.compile(
    r"\A[^,;]*?\b(?:do|does|did|is|are|was|were|has|have|had|can|could|will|would|should|must|may)(?:n't)?\s+"
    r"(?:(it)\b(?!\s+\w+(?:\s+\w+){0,2}?\s+(?:to|that|for|if|when)\b)|(he|she|they|this|that|these|those|its|his|their)\b)",
    re.IGNORECASE,
)
_FIRST_VERB = re.compile(
    r"\b(?:do|does|did|is|are|was|were|has|have|had|can|could|will|would|should|must|may)(?:n't)?\b", re.IGNORECASE
)
_DANGLING_KOREAN = re.compile(
    r"(?<![가-힣])(?:(?:이것|그것|저것|이곳|그곳|저곳|거기|여기|그녀|그들)(?:[은는이가을를의에도]|에서|들|$|\s)|그(?:는|가|의|를)\s|(?:이|그|해당)\s[가-힣])"
)
_DECLINES = re.compile(
    r"\b(?:not|no|cannot|never|unable|isn't|aren't|wasn't|doesn't|don't|didn't|can't|hasn't|haven't)\b.{0,60}?"
    r"\b(?:informations?|mention(?:s|ed)?|stated?|states|said|says?|specif(?:y|ied|ies)|provided?|provides|known?|covered|covers?|given|details?|answer(?:ed)?"
    r"|tell|told|described|available|included?|find|found|indicated?)\b"
    r"|\b(?:unknown|unclear|unspecified)\b"
    r"|(?:나와|나타나|언급|명시|포함|제공|설명|적혀|기재|기록|소개|안내|다루|담겨|알려|밝혀)\S{0,10}(?:\s\S{1,10})?\s?(?:않|없)"
    r"|(?:정보|내용|언급|자료|설명|안내|기록)(?:는|은|이|가|도)?\s(?:\S{1,10}\s)?없"
    r"|(?:알|확인할|답할|답변드릴|답변할|말씀드릴|알려\s?드릴|찾을)\s?수(?:는|가)?\s?없|모르|모릅|알지\s?못",
    re.IGNORECASE | re.DOTALL,
)


def find_quote(quote: str, passage: str) -> str:
    """The words of `passage` (in NFC) that `quote` repeats, from word to word; "" if it does not stand there.

    Case, spaces, dashes and quotation marks do not count. A near miss, of which 90 % stand there in one place by rapidfuzz's
    partial ratio, gives what the passage has there. Needs rapidfuzz.
    """
    text = unicodedata.normalize("NFC", passage)
    folded, places = _folded(text)
    wanted = _folded(unicodedata.normalize("NFC", quote).strip(_AROUND))[0]
    if not wanted or len(wanted) > len(folded):
        return ""
    begin = folded.find(wanted)
    begin, end = (begin, begin + len(wanted)) if begin >= 0 else _near(wanted, folded)
    return _whole_words(text, places[begin], places[end - 1] + 1) if end else ""


def too_short(quote: str) -> bool:
    """Whether a quote proves nothing: a single word that is no number."""
    return len(quote.split()) < _FEWEST_WORDS and not re.search(r"\d", quote)


def unsupported(answer: str, question: str, passage: Passage) -> str:
    """The first thing in `answer` that `passage` does not bear out; "" if there is none.

    Every number has to stand in the passage, every name (a capital inside a sentence) there or in the question, and of the
    words that the answer adds to its question at least half in the passage. Headings and the file's name are part of it.
    """
    around = f"{passage.place} {passage.source}"
    there = content(f"{passage.text} {around}")
    if wrong := numbers(answer) - numbers(f"{passage.text} {around}", perhaps=True):
        return min(wrong)
    asked = content(question)
    if name := strange_name(answer, there | asked):
        return name
    added = content(answer) - asked
    strange = sorted(added - there)
    return ", ".join(strange) if len(added) - len(strange) < _LEAST_SHARE * len(added) else ""


def strange_name(text: str, known: set[str]) -> str:
    """The first name in `text` (a capital inside a sentence) that is not made of the words `known`; "" if there is none."""
    return next((name for name in _NAME.findall(text) if not content(name) <= known), "")


def speaks_of_passage(text: str) -> str:
    """The words that only make sense beside the passage ("according to the text", "위 글"); "" if there are none."""
    found = _PASSAGE.search(unicodedata.normalize("NFC", text))
    return found.group() if found else ""


def unclear(question: str, language: Language, words: set[str]) -> Reason | None:
    """Why somebody who has not seen the passage, whose words are `words`, would not understand `question`."""
    if not answers_in(question, language):
        return Reason("other_language")
    if seen := speaks_of_passage(question):
        return Reason("speaks_of_passage", seen)
    if seen := leans_on_something(question):
        return Reason("not_standing_alone", seen)
    return None if content(question) & words else Reason("not_standing_alone")


def leans_on_something(question: str) -> str:
    """The pronoun for something that `question` does not name ("When does it open?", "그곳은 언제 여나요?"); "" if none."""
    question = unicodedata.normalize("NFC", question)
    found = _DANGLING.match(question)
    if found and len(_FIRST_VERB.findall(found.group())) == 1:  # an earlier verb has named something
        return found.group(1) or found.group(2)
    korean = _DANGLING_KOREAN.search(question)
    return korean.group().strip() if korean else ""


def declines(answer: str) -> bool:
    """Whether `answer` says that something is not known, or not said."""
    return _DECLINES.search(unicodedata.normalize("NFC", answer).replace("’", "'")) is not None


def _folded(text: str) -> tuple[str, list[int]]:
    """`text` in small letters, with plain marks and single spaces, and where in `text` each character comes from."""
    kept: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text.translate(_MARKS)):
        small = " " if character.isspace() else character.lower()
        if len(small) == 1 and not (small == " " and kept[-1:] in ([], [" "])):
            kept.append(small)
            places.append(place)
    return "".join(kept), places


def _near(wanted: str, folded: str) -> tuple[int, int]:
    """Where the text is most like `wanted`; (0, 0) if it is not enough so."""
    from rapidfuzz import fuzz

    if len(wanted) > _LONGEST_NEAR:
        return 0, 0
    found = fuzz.partial_ratio_alignment(wanted, folded, score_cutoff=_NEAR)
    return (found.dest_start, found.dest_end) if found else (0, 0)


def _whole_words(text: str, begin: int, end: int) -> str:
    while begin > 0 and text[begin - 1].isalnum() and text[begin].isalnum():
        begin -= 1
    while end < len(text) and text[end - 1].isalnum() and text[end].isalnum():
        end += 1
    return text[begin:end].strip()
