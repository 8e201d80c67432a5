"""Questions and answers about given passages. In: passages, and what a teacher wrote, out: prompts, and rows with their evidence.

A bot that shall know a person's documents learns rows that rest on them. The teacher is asked for questions, each with the words
of the passage that answer it; an answer without such words is not believed. A share of the questions has no answer in
the passage, and the bot learns to say so: Rajpurkar et al. 2018, "Know What You Don't Know" (SQuAD 2.0), found that models
which never saw such questions answer all of them.

A row is closed-book if nothing else is asked for: the question alone, because the bot shall know its documents when nobody shows
them to it. `with_passage` puts the passage beside the question (`Task.input`), for a bot that will be shown what was found.
Closed-book rows are stricter with unanswerable questions, since another passage may well have the answer.

Passages are asked about in turn, in an order drawn once, so that a run that ends early has seen all documents alike. A passage
is done when it has its rows, or when two answers in a row brought nothing.
"""

import random
import unicodedata
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from nabot.conversation import Conversation
from nabot.data.answers import refuses
from nabot.data.imports.types import Passage
from nabot.synth.asking import Candidate, Prompt
from nabot.synth.content import content, numbers, prompt_language
from nabot.synth.grounding import declines, find_quote, speaks_of_passage, too_short, unclear, unsupported
from nabot.synth.pairs import Pair, parse_pairs
from nabot.synth.rouge import require_rapidfuzz
from nabot.synth.seeds import Language
from nabot.synth.tasks import Reason, Rejected, Task
from nabot.textmodel import Completion, Sampling

PAIRS_A_PROMPT = 4  # which small models with contexts of 2,048 tokens can still hold
_PATIENCE = 2  # answers in a row that brought no row, before a passage is left
_NO_QUOTE = ("", "none", "n/a", "na", "no quote", "null", "not available", "없음", "해당 없음", "해당없음", "없습니다")

_PROMPT: dict[Language, str] = {
    "en": """Here is a passage from {where}.

<passage>
{text}
</passage>

Write questions that people could ask about this subject, {count} in all and no two alike, each with a quote and an answer.
- The people who ask have never seen the passage. So every question names what it asks about, makes sense alone, and does not speak of "the passage" or "the text".
- The quote is copied from the passage word for word: the part that answers the question.
- The answer is one to three whole sentences, with nothing in it that the passage does not say.
{unanswerable}{known}
Use exactly this form for each, with an empty line between two of them:

Question: the question
Quote: words of the passage
Answer: the answer""",
    "ko": """다음은 {where}에서 가져온 글입니다.

<글>
{text}
</글>

이 주제에 대해 사람들이 물어볼 만한 서로 다른 질문을 {count}개 쓰고, 질문마다 근거와 답변을 함께 쓰세요.
- 묻는 사람은 이 글을 본 적이 없습니다. 그러므로 질문마다 무엇에 대한 것인지 이름을 밝혀 그것만 읽어도 뜻이 통하게 하고, "위 글"이나 "본문"이라는 말을 쓰지 마세요.
- 근거는 질문의 답이 들어 있는 부분을 글에서 한 글자도 바꾸지 않고 그대로 옮긴 것입니다.
- 답변은 완전한 문장 한 개에서 세 개로 쓰고, 글에 없는 내용은 넣지 마세요.
{unanswerable}{known}
각각 아래 형식을 그대로 지키고, 사이에 빈 줄을 하나 두세요.

질문: 질문 내용
근거: 글에서 그대로 옮긴 부분
답변: 답변 내용""",
}
_UNANSWERABLE: dict[Language, str] = {
    "en": "- {number} of the {count} cannot be answered from the passage, although a reader might well ask such a thing. "
    'There the quote is the word "none", and the answer says politely that this is not known.\n',
    "ko": "- {count}개 가운데 {number}개는 궁금해할 만하지만 글에 답이 없는 질문으로 하세요. "
    '그 질문의 근거에는 "없음"이라고 쓰고, 답변에는 그 내용을 알 수 없다고 정중하게 쓰세요.\n',
}
_KNOWN: dict[Language, str] = {
    "en": "- These questions exist already. Ask about something else:\n{questions}\n",
    "ko": "- 아래 질문은 이미 있습니다. 다른 것을 물어보세요.\n{questions}\n",
}
# where the teacher's own words apologise at length, speak of a passage, or add what nobody told it
_NOT_KNOWN: dict[Language, tuple[str, ...]] = {
    "en": (
        "I have no information about that. Please ask us directly.",
        "Unfortunately that is not something I know.",
        "That is not known to me, and I would rather not guess.",
        "I do not know that. Somebody on the team will be glad to help you.",
    ),
    "ko": (
        "그 내용은 제가 알고 있는 자료에 나와 있지 않습니다. 번거로우시겠지만 직접 문의해 주세요.",
        "아쉽게도 그 부분은 제가 알지 못합니다.",
        "그 점은 제가 가진 정보에 없어서 정확히 알 수 없습니다.",
        "제가 알지 못하는 내용이라 짐작으로 답하지 않겠습니다. 담당자에게 문의해 주세요.",
    ),
}


@dataclass
class _Asking:
    """A passage and how far it is."""

    passage: Passage
    language: Language
    words: set[str]  # of its text, its headings and its file's name
    questions: list[str] = field(default_factory=list)  # of accepted rows
    fruitless: int = 0  # answers since the last accepted row, the one that is waited for among them


@dataclass(frozen=True)
class _Prompt(Prompt):
    about: _Asking = field(kw_only=True, compare=False, repr=False)
    num_unanswerable: int = field(kw_only=True)


@dataclass(frozen=True)
class _Candidate(Candidate):
    about: _Asking = field(kw_only=True, compare=False, repr=False)


class Grounded:
    """`rows_per_passage` rows about each passage, of which `unanswerable` (a share) say that something is not known.

    A prompt asks for up to `pairs_per_prompt`.
    Reasons beside those of `parse_pairs`: "other_language", "no_quote", "quote_too_short", "quote_not_in_passage", "answer_unsupported",
    "speaks_of_passage", "not_standing_alone", and for questions without an answer "surplus_unanswerable" (more than were
    asked for), "perhaps_answered" (all its words stand in the passage), "answered_elsewhere" (another passage has them).
    Raises ConfigError without rapidfuzz.
    """

    name = "grounded"

    def __init__(
        self,
        passages: Sequence[Passage],
        rng: random.Random,
        *,
        rows_per_passage: int = 8,
        pairs_per_prompt: int = PAIRS_A_PROMPT,
        unanswerable: float = 0.15,  # enough to be learned; SQuAD 2.0 has a third, which makes a timid bot
        with_passage: bool = False,
        sampling: Sampling = Sampling(max_new_tokens=1024, temperature=0.7, top_p=0.95),
    ) -> None:
        require_rapidfuzz()
        self._rows, self._pairs, self._share = rows_per_passage, pairs_per_prompt, unanswerable
        self._with_passage, self._sampling, self._rng = with_passage, sampling, rng
        asked = [_asking(passage) for passage in passages]
        self._elsewhere: dict[str, list[int]] = defaultdict(list)  # word → passages, for closed-book rows
        if not with_passage and unanswerable:
            for place, about in enumerate(asked):
                for word in about.words:
                    self._elsewhere[word].append(place)
        rng.shuffle(asked)
        self._open = deque(asked)

    def next_prompts(self, most: int) -> list[Prompt]:
        """One for each passage, so that no two that may be asked side by side bring the same questions."""
        prompts: list[Prompt] = []
        asked: list[_Asking] = []
        while self._open and len(prompts) < most:
            about = self._open.popleft()
            if len(about.questions) < self._rows and about.fruitless < _PATIENCE:
                about.fruitless += 1
                asked.append(about)
                prompts.append(self._prompt(about))
        self._open.extend(asked)
        return prompts

    def take(self, prompt: Prompt, completion: Completion) -> Iterator[Candidate | Rejected]:
        """The rows of an answer; questions that exist already are left to the loop's search for near copies."""
        assert isinstance(prompt, _Prompt)
        left = prompt.num_unanswerable
        for pair in parse_pairs(completion.text, completion.finish):
            if isinstance(pair, Rejected):
                yield pair
                continue
            found = self._judged(pair, prompt, left)
            left -= isinstance(found, Candidate) and not found.evidence
            yield Rejected(_shown(pair), found) if isinstance(found, Reason) else found

    def accepted(self, candidate: Candidate) -> None:
        """A row more for its passage, whose next prompt lists the question."""
        assert isinstance(candidate, _Candidate)
        candidate.about.questions.append(candidate.task.instruction)
        candidate.about.fruitless = 0

    def _prompt(self, about: _Asking) -> _Prompt:
        count = min(self._pairs, self._rows - len(about.questions))
        number = int(self._share * count + self._rng.random())  # in the long run exactly the share
        where = ", ".join(filter(None, (f'"{about.passage.source}"', about.passage.place)))
        listed = "\n".join(f"  * {question}" for question in about.questions)
        text = _PROMPT[about.language].format(
            where=where,
            text=about.passage.text,
            count=count,
            unanswerable=_UNANSWERABLE[about.language].format(number=number, count=count) if number else "",
            known=_KNOWN[about.language].format(questions=listed) if listed else "",
        )
        return _Prompt(
            self.name,
            Conversation.ask(text),
            self._sampling,
            (_source(about.passage),),
            about=about,
            num_unanswerable=number,
        )

    def _judged(self, pair: Pair, prompt: _Prompt, left: int) -> _Candidate | Reason:
        """A row, or the first rule that `pair` breaks; `left` more questions may have no answer."""
        about = prompt.about
        if reason := unclear(pair.question, about.language, about.words):
            return reason
        if pair.quote.strip(" .\"'()[]<>-").casefold() not in _NO_QUOTE:
            return _answered(pair, about) or self._row(pair, prompt, pair.answer, _evidence(pair, about))
        if not declines(pair.answer):
            return Reason("no_quote")
        if not left:
            return Reason("surplus_unanswerable")
        if found := self._perhaps_answered(pair.question, about):
            return Reason(found)
        return self._row(pair, prompt, self._declining(pair, about), "")

    def _perhaps_answered(self, question: str, about: _Asking) -> str:
        """Why `question` may have an answer after all. What it asks for are its words that its passage lacks."""
        wanted = content(question) - about.words
        if not wanted:
            return "perhaps_answered"
        others = set.intersection(*(set(self._elsewhere.get(word, ())) for word in wanted))
        return "answered_elsewhere" if others else ""

    def _declining(self, pair: Pair, about: _Asking) -> str:
        """The teacher's words, if they decline as a bot should, or words of our own."""
        answer = pair.answer
        odd = (
            refuses(answer)
            or speaks_of_passage(answer)
            or numbers(answer) - numbers(f"{about.passage.text} {pair.question}")
        )
        return self._rng.choice(_NOT_KNOWN[about.language]) if odd else answer

    def _row(self, pair: Pair, prompt: _Prompt, answer: str, evidence: str) -> _Candidate:
        task = Task(pair.question, prompt.about.passage.text if self._with_passage else "", answer)
        return _Candidate(task, prompt.sources, evidence, invented=False, about=prompt.about)


def _asking(passage: Passage) -> _Asking:
    passage = replace(passage, text=unicodedata.normalize("NFC", passage.text))
    words = content(f"{passage.text} {passage.place} {passage.source}")
    return _Asking(passage, prompt_language(passage.text), words)


def _source(passage: Passage) -> str:
    return f"{passage.source} {passage.place}".strip()


def _answered(pair: Pair, about: _Asking) -> Reason | None:
    """Why the passage does not bear out an answer that has a quote."""
    if too_short(pair.quote):
        return Reason("quote_too_short", pair.quote)
    if not _evidence(pair, about):
        return Reason("quote_not_in_passage", pair.quote)
    if seen := speaks_of_passage(pair.answer):
        return Reason("speaks_of_passage", seen)
    if seen := unsupported(pair.answer, pair.question, about.passage):
        return Reason("answer_unsupported", seen)
    return None


def _evidence(pair: Pair, about: _Asking) -> str:
    return find_quote(pair.quote, about.passage.text)


def _shown(pair: Pair) -> str:
    return f"Question: {pair.question}\nQuote: {pair.quote}\nAnswer: {pair.answer}"
