"""The shapes in which people bring rows. In: a row as it lies in the file, out: messages, or what is missing.

`LAYOUTS` is the whole list: a new layout is one more line there. Converting only moves text to its place; whether the
messages make a conversation is judged afterwards, in `validate.py`, in the words of the person's own layout.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from nabot.data.columns import ANSWERS, CONTEXTS, QUESTIONS, SYSTEMS, Row, key_of, plain
from nabot.data.faults import Problem, excerpt, problem
from nabot.data.preferences import KEYS, from_two_answers, has_two_answers
from nabot.data.spellings import openai_turn, sharegpt_turn, tools_of
from nabot.data.turns import Converted, asked, listed, said, systems
from nabot.data.unwrapping import bare, unwrapped_dialogue


@dataclass(frozen=True)
class Layout:
    """One shape of rows. `keys` are those it cannot do without, `optional` those it also reads."""

    name: str
    keys: tuple[str, ...]
    recognises: Callable[[Row], bool]
    convert: Callable[[Row], Iterable[Converted | Problem]]  # one conversation; of a seed task, one an instance
    optional: tuple[str, ...] = ()
    in_tables: bool = field(default=False, kw_only=True)  # its rows are flat, so a CSV file may hold them


def choose_layout(first_rows: Sequence[Row]) -> Layout | None:
    """The layout that most of the rows have; on a tie the first of `LAYOUTS`. None if no row has any."""
    counts = [sum(layout.recognises(row) for row in first_rows) for layout in LAYOUTS]
    best = max(counts, default=0)
    return LAYOUTS[counts.index(best)] if best else None


def nearest_layout(keys: Sequence[str]) -> Layout | None:
    """The layout that shares most keys with the rows. None if none shares any.

    A misspelled key that the layout needs counts half, so does a key that it can do without. A layout that has all its
    keys, and still is not recognised, is not nearer for another name.
    """
    seen = [plain(key) for key in keys]

    def shared(layout: Layout) -> float:
        if set(layout.keys) <= set(seen):
            return 0.0
        needed = sum(
            1.0 if key in seen else 0.5 * bool(get_close_matches(key, seen, cutoff=0.75)) for key in layout.keys
        )
        return needed + sum(0.5 for key in layout.optional if key in seen)

    best = max(LAYOUTS, key=shared)
    return best if shared(best) else None


def table_header(cells: Sequence[str]) -> bool:
    """Whether these cells name the columns of a layout that tables may have."""
    row = dict.fromkeys(cells, "")
    return any(layout.in_tables and layout.recognises(row) for layout in LAYOUTS)


# ---- conversation files, and what OpenAI makes of them


def _has_messages(row: Row) -> bool:
    return "messages" in row


def _from_messages(row: Row) -> Iterator[Converted]:
    messages = row.get("messages")
    if isinstance(messages, list):
        yield Converted.of(listed(messages, "messages", openai_turn), tools=tools_of(row))
    else:
        yield Converted(messages, lambda i, key: f"messages[{i}].{key}")


# ---- ShareGPT: {"conversations": [{"from": "human", "value": …}, …]}


def _has_conversations(row: Row) -> bool:
    return isinstance(row.get("conversations"), list)


def _from_conversations(row: Row) -> Iterator[Converted | Problem]:
    turns = row.get("conversations")
    if not isinstance(turns, list):
        yield problem("missing_field", "conversations", wanted="conversations")
        return
    parts = [*systems(row), *listed(turns, "conversations", sharegpt_turn)]
    yield Converted.of(parts, "conversations", tools=tools_of(row))


# ---- one question and one answer to a row


def _pairs(
    name: str, questions: tuple[str, ...], answers: tuple[str, ...], contexts: tuple[str, ...] = CONTEXTS
) -> Layout:
    """Rows with a question, an answer, perhaps a context and a system prompt, under any of the names given."""

    def recognises(row: Row) -> bool:
        return key_of(row, questions) is not None and key_of(row, answers) is not None

    def convert(row: Row) -> Iterator[Converted | Problem]:
        question, answer = key_of(row, questions), key_of(row, answers)
        if question is None or answer is None:
            wanted = questions[0] if question is None else answers[0]
            yield problem("missing_field", wanted, wanted=wanted)
        else:
            yield _pair(row, question, answer, contexts)

    optional = (*questions[1:], *answers[1:], *contexts, *SYSTEMS)
    return Layout(name, (questions[0], answers[0]), recognises, convert, optional, in_tables=True)


def _pair(row: Row, question: str, answer: str, contexts: Sequence[str]) -> Converted:
    if isinstance(row[question], list) and isinstance(row[answer], list):  # TRL's conversational form
        turns = [part for field in (question, answer) for part in listed(row[field], field, openai_turn)]
        return Converted.of(turns, tools=tools_of(row))
    before, template = asked(row, question, contexts)
    reply = {**row, answer: bare(row[answer])} if template else row
    return Converted.of([*before, said("assistant", reply, answer)], template=template)


# ---- seed tasks of self-instruct: {"instruction": …, "instances": [{"input": …, "output": …}, …]}


def _has_instances(row: Row) -> bool:
    return "instruction" in row and isinstance(row.get("instances"), list)


def _from_instances(row: Row) -> Iterator[Converted | Problem]:
    """A conversation an instance."""
    instances = row.get("instances")
    if not isinstance(instances, list) or not instances or "instruction" not in row:
        wanted = "instruction" if instances else "instances"
        yield problem("missing_field", wanted, wanted=wanted)
        return
    for i, instance in enumerate(instances):
        place = f"instances[{i}]"
        if not isinstance(instance, dict) or "output" not in instance:
            yield problem("missing_field", place, wanted=f"{place}.output")
            continue
        flat = {
            "instruction": row["instruction"],
            f"{place}.input": instance.get("input"),
            f"{place}.output": instance["output"],
        }
        yield _pair(flat, "instruction", f"{place}.output", (f"{place}.input",))


# ---- whole dialogues in a template: {"text": "### 질문: … ### 답변: …"}


def _has_dialogue(row: Row) -> bool:
    return unwrapped_dialogue(row.get("text")) is not None


def _from_dialogue(row: Row) -> Iterator[Converted | Problem]:
    inside = unwrapped_dialogue(row.get("text"))
    if inside is None:
        yield problem("no_dialogue", "text", seen=excerpt(row.get("text")))
    else:
        yield Converted(inside.messages, lambda *_: "text", "text", template=inside.template)


MESSAGES = Layout("messages", ("messages",), _has_messages, _from_messages, ("tools",))
PREFERENCES = Layout("preference", KEYS, has_two_answers, from_two_answers, in_tables=True)
LAYOUTS: tuple[Layout, ...] = (
    PREFERENCES,  # first, for its rows have the fields of others, too
    MESSAGES,
    Layout("sharegpt", ("conversations",), _has_conversations, _from_conversations, ("system", "tools")),
    _pairs("alpaca", ("instruction",), ("output",), ("input", "context", "맥락", "문맥")),
    Layout("self-instruct", ("instruction", "instances"), _has_instances, _from_instances),
    _pairs("prompt-completion", ("prompt",), ("completion",)),
    _pairs("natural-instructions", ("definition",), ("targets",), ("inputs",)),
    _pairs("inputs-targets", ("inputs",), ("targets",)),  # FLAN
    _pairs("question-answer", QUESTIONS, ANSWERS),
    Layout("text", ("text",), _has_dialogue, _from_dialogue),
)
