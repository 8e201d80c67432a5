"""What is in the rows, in numbers. In: conversations, out: counts, lengths, languages, and what the instructions ask for."""

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nabot.conversation import Conversation
from nabot.data.language import language_of
from nabot.data.packing import order
from nabot.data.roots import Roots, roots

MOST_PARSED = 20_000  # instructions whose verbs are looked for: more change no share that anybody could see


@dataclass(frozen=True)
class Spread:
    """Of many numbers: the least, the middle one, the mean, the one that 95 of 100 do not exceed, the greatest."""

    least: float
    median: float
    mean: float
    p95: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """All 0 for no numbers."""
        if not values:
            return cls(0, 0, 0, 0, 0)
        ranked = sorted(values)
        p95 = ranked[min(len(ranked) - 1, round(0.95 * (len(ranked) - 1)))]
        return cls(ranked[0], statistics.median(ranked), statistics.fmean(ranked), p95, ranked[-1])


@dataclass(frozen=True)
class Stats:
    """Numbers by conversation; lengths in words (in Korean 어절), `tokens` only where a tokenizer was given."""

    rows: int
    turns: list[int]  # of the user
    question_words: list[int]
    answer_words: list[int]
    tokens: list[int]
    languages: Counter[str]  # as `language_of` names them
    distinct_questions: int
    distinct_answers: int
    distinct_words: int
    roots: Roots
    overlaps: list[float]  # with the nearest seed task (ROUGE-L); empty without seeds

    def as_dict(self) -> dict[str, Any]:
        """What `nabot data stats --json` prints."""
        spreads: dict[str, Sequence[float]] = {
            "turns": self.turns,
            "question_words": self.question_words,
            "answer_words": self.answer_words,
            "tokens": self.tokens,
            "overlap": self.overlaps,
        }
        return {
            "rows": self.rows,
            "distinct": {
                "questions": self.distinct_questions,
                "answers": self.distinct_answers,
                "words": self.distinct_words,
            },
            **{name: asdict(Spread.of(values)) if values else None for name, values in spreads.items()},
            "languages": dict(self.languages.most_common()),
            "instructions_read": self.roots.read,
            "with_verb_and_object": self.roots.pairs.total(),
            "verbs": [{"verb": verb, "objects": dict(objects)} for verb, objects in self.roots.top()],
        }


def measure(
    conversations: Sequence[Conversation],
    *,
    length_of: Callable[[Conversation], int] | None = None,
    overlap_of: Callable[[str], float] | None = None,
) -> Stats:
    """`length_of` counts the tokens of a row, `overlap_of` says how near an instruction is to the seeds, 0 to 1.

    Raises ConfigError for Korean rows if kiwipiepy is not installed.
    """
    questions = [_said(one, "user") for one in conversations]
    answers = [_said(one, "assistant") for one in conversations]
    asked = [instruction(one) for one in conversations]
    drawn = [asked[place] for place in sorted(order(len(asked), 0, 0)[:MOST_PARSED])]
    return Stats(
        rows=len(conversations),
        turns=[sum(message.role == "user" for message in one.messages) for one in conversations],
        question_words=[len(text.split()) for text in questions],
        answer_words=[len(text.split()) for text in answers],
        tokens=[length_of(one) for one in conversations] if length_of else [],
        languages=Counter(language_of(f"{q} {a}") for q, a in zip(questions, answers, strict=True)),
        distinct_questions=len(set(questions)),
        distinct_answers=len(set(answers)),
        distinct_words=len({word for text in (*questions, *answers) for word in text.casefold().split()}),
        roots=roots(drawn),
        overlaps=[overlap_of(text) for text in drawn] if overlap_of else [],
    )


def instruction(conversation: Conversation) -> str:
    """What the first user turn asks, without the text that it asks about."""
    return next((message.content for message in conversation.messages if message.role == "user"), "")


def _said(conversation: Conversation, role: str) -> str:
    turns = [f"{one.content}\n{one.context}".strip() for one in conversation.messages if one.role == role]
    return "\n".join(turns)
