"""Questions about one sentence at a time. In: passages, and what a small teacher wrote, out: prompts, and rows with their evidence.

"grounded" asks for several questions in a form, with quotes that are copied: a model of less than about a billion weights does not
keep to that. It can go on with a list of worked examples, though, as base models do, too (Brown et al. 2020, §2). So here the evidence is
given, and question and answer are asked for. Where it talks of something else, the sentence tells: what the answer
says beyond the question has to stand there, all of it, and half of what the question is about.
"""

import random
import re
import unicodedata
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from nabot.conversation import Conversation
from nabot.data.imports.types import Passage
from nabot.data.sentences import num_words, sentences
from nabot.synth.asking import Candidate, Prompt
from nabot.synth.content import content, numbers, prompt_language
from nabot.synth.grounding import speaks_of_passage, strange_name, unclear
from nabot.synth.pairs import Pair, begins_with_question, parse_pairs
from nabot.synth.seeds import Language
from nabot.synth.tasks import Reason, Rejected, Task
from nabot.textmodel import Completion, Sampling

ROWS = 4  # of a sentence: a fact that was asked for in one way is not known when it is asked for in another
_TRIES = 8  # of what the smallest models write a fifth to a half is kept
_FEWEST: dict[Language, int] = {"en": 3, "ko": 2}  # words of a sentence that is asked about: 월요일은 쉽니다
_MOST = 60
_STRANGE = 0.5  # of the words of a question; "price" and "colour" stand in no sentence that answers

_BULLETS = re.compile(r"(?:[-*•·#>]+(?!\d)\s*)*")  # not the sign of "-18"
_PAGE = re.compile(r"page \d+|\d+쪽")  # where a document has no headings; nobody asks about a page

# what turns a sentence into its opposite; words for "no" are no content
_NO = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|without|cannot)\b|n['’]t\b|않|못|없|아니|아닙|(?<![가-힣])안\s",
    re.IGNORECASE,
)

_HEADERS: dict[Language, str] = {
    "en": "Below are sentences from documents. Under each stands a question that somebody could ask, and the answer that the sentence gives. "
    "The question names what it is about.",
    "ko": "아래는 문서에서 가져온 문장들입니다. 문장마다 누군가 물어볼 만한 질문과, 그 문장에 나와 있는 답변이 있습니다. 질문에는 무엇에 대한 것인지 이름이 들어 있습니다.",
}
_EXAMPLES: dict[Language, str] = {
    "en": """About: Town library, opening hours
Sentence: On weekdays it is open from 10:00 to 18:30.
Question: When is the town library open on weekdays?
Answer: On weekdays the town library is open from 10:00 to 18:30.

About: Kestrel 40, manual
Sentence: The battery lasts for about nine hours and can be charged through the USB-C port.
Question: How long does the battery of the Kestrel 40 last?
Answer: The battery of the Kestrel 40 lasts for about nine hours.

About: Riverside School
Sentence: The head of the school is Maria Lund.
Question: Who is the head of Riverside School?
Answer: The head of Riverside School is Maria Lund.
""",
    "ko": """주제: 마을 도서관, 이용 시간
문장: 평일에는 오전 10시부터 오후 6시 30분까지 엽니다.
질문: 마을 도서관은 평일에 몇 시부터 몇 시까지 여나요?
답변: 마을 도서관은 평일 오전 10시부터 오후 6시 30분까지 엽니다.

주제: 황조롱이 40 설명서
문장: 배터리는 아홉 시간쯤 쓸 수 있고 USB-C 단자로 충전합니다.
질문: 황조롱이 40의 배터리는 얼마나 오래 쓸 수 있나요?
답변: 황조롱이 40의 배터리는 아홉 시간쯤 쓸 수 있습니다.

주제: 강변초등학교
문장: 교장은 윤서희입니다.
질문: 강변초등학교의 교장은 누구인가요?
답변: 강변초등학교의 교장은 윤서희입니다.
""",
}
_ITEMS: dict[Language, str] = {
    "en": "About: {about}\nSentence: {sentence}\nQuestion:",
    "ko": "주제: {about}\n문장: {sentence}\n질문:",
}


@dataclass
class _Sentence:
    """A sentence and how far it is."""

    text: str
    headings: str  # what it stands under, or its file's name
    language: Language
    source: str
    rows: int = 0  # that were accepted
    tries: int = 0


@dataclass(frozen=True)
class _Prompt(Prompt):
    sentence: _Sentence = field(kw_only=True, compare=False, repr=False)


@dataclass(frozen=True)
class _Candidate(Candidate):
    sentence: _Sentence = field(kw_only=True, compare=False, repr=False)


class Sentences:
    """`rows_per_sentence` rows about each sentence, in turn and in an order drawn once; a sentence is left after eight answers.

    Reasons beside those of `parse_pairs`: "other_language", "speaks_of_passage", "not_standing_alone", "another_subject" (of the
    question), "answer_unsupported" (something in it stands neither in the sentence nor in the question), "says_nothing" (of what
    the sentence says, the answer has no more than the question).
    """

    name = "sentences"

    def __init__(self, passages: Sequence[Passage], rng: random.Random, *, rows_per_sentence: int = ROWS) -> None:
        self._rows, self._rng = rows_per_sentence, rng
        open_ = [found for passage in passages for found in _sentences(passage)]
        rng.shuffle(open_)
        self._open = deque(open_)

    def next_prompts(self, most: int) -> list[Prompt]:
        """One for each sentence."""
        sampling = Sampling(
            max_new_tokens=96, temperature=0.7, top_p=0.9, stop=("\n\n",), seed=self._rng.getrandbits(31)
        )
        prompts: list[Prompt] = []
        asked: list[_Sentence] = []
        while self._open and len(prompts) < most:
            sentence = self._open.popleft()
            if sentence.rows < self._rows and sentence.tries < _TRIES:
                sentence.tries += 1
                asked.append(sentence)
                prompts.append(_prompt(sentence, sampling))
        self._open.extend(asked)
        return prompts

    def take(self, prompt: Prompt, completion: Completion) -> Iterator[Candidate | Rejected]:
        """At most one row."""
        assert isinstance(prompt, _Prompt)
        found = next(iter(parse_pairs(_labelled(completion.text, prompt.sentence.language), completion.finish)), None)
        if not isinstance(found, Pair):
            yield found or Rejected(completion.text, Reason("malformed_item"))
        elif reason := _unfit(found, prompt.sentence):
            yield Rejected(f"Question: {found.question}\nAnswer: {found.answer}", reason)
        else:
            task = Task(found.question, "", found.answer)
            yield _Candidate(task, prompt.sources, prompt.sentence.text, invented=False, sentence=prompt.sentence)

    def accepted(self, candidate: Candidate) -> None:
        """A row more for its sentence."""
        assert isinstance(candidate, _Candidate)
        candidate.sentence.rows += 1


def num_sentences(passages: Sequence[Passage]) -> int:
    """How many are asked about."""
    return sum(1 for passage in passages for _ in _sentences(passage))


def _sentences(passage: Passage) -> Iterator[_Sentence]:
    """Those with something to ask about: no headings, and nothing as long as a paragraph."""
    text = unicodedata.normalize("NFC", passage.text)
    has_heading = passage.place and not _PAGE.fullmatch(passage.place)
    headings = passage.place if has_heading else PurePath(passage.source).stem
    source = f"{passage.source} {passage.place}".strip()
    for line in text.split("\n"):
        for sentence in sentences(_BULLETS.sub("", line.strip(), count=1)):
            is_heading, language = sentence in headings, prompt_language(sentence)
            if not is_heading and _FEWEST[language] <= num_words(sentence) <= _MOST:
                yield _Sentence(sentence, headings, language, source)


def _prompt(sentence: _Sentence, sampling: Sampling) -> _Prompt:
    item = _ITEMS[sentence.language].format(about=sentence.headings, sentence=sentence.text)
    begun = f"{_EXAMPLES[sentence.language]}\n{item}"
    asked = Conversation.ask(_HEADERS[sentence.language], begun=begun)
    return _Prompt(Sentences.name, asked, sampling, (sentence.source,), sentence=sentence)


def _labelled(text: str, language: Language) -> str:
    """With the label that the prompt ended with, unless a chat model has said it again."""
    label = "Question:" if language == "en" else "질문:"
    return text if begins_with_question(text) else f"{label} {text.lstrip()}"


def _unfit(pair: Pair, sentence: _Sentence) -> Reason | None:
    """The first rule that `pair` breaks."""
    said, headings = content(sentence.text), content(sentence.headings)
    there = said | headings
    asked = content(pair.question)
    if reason := unclear(pair.question, sentence.language, there):
        return reason
    if not asked & said or len(asked - there) > _STRANGE * len(asked) or strange_name(pair.question, there):
        return Reason("another_subject", ", ".join(sorted(asked - there)))
    if seen := speaks_of_passage(pair.answer):
        return Reason("speaks_of_passage", seen)
    answer, figures, told = content(pair.answer), numbers(pair.answer), numbers(sentence.text, perhaps=True)
    if strange := answer - there - asked | figures - told - numbers(sentence.headings, perhaps=True):
        return Reason("answer_unsupported", ", ".join(sorted(strange)))
    if bool(_NO.search(pair.answer)) != bool(_NO.search(sentence.text)):
        return Reason("answer_unsupported", pair.answer)
    says = (answer & said) - asked - headings | figures & told - numbers(pair.question)
    return None if says else Reason("says_nothing")
