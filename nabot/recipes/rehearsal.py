"""What the base already answers, learned along so that it stays. In: the untuned model, out: a few more examples.

A model that learns only new rows forgets old ones; learning some of its own answers to everyday questions together
with them keeps it as it was elsewhere, without any old data: not only the words that it said, but how likely each of
the others was.   Sources: Robins 1995, "Catastrophic forgetting, rehearsal and pseudorehearsal", Connection Science
7(2); Li & Hoiem 2016, "Learning without forgetting", arXiv 1606.09282 §3; Hinton et al. 2015, arXiv 1503.02531 §2.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from nabot.artifacts import json_lines, write_file
from nabot.conversation import Conversation
from nabot.errors import CheckpointError, DataError
from nabot.models.decoder import Decoder
from nabot.recipes.opening import Opened
from nabot.rendering import Renderer
from nabot.sources import base_hash, models_folder
from nabot.textmodel import Sampling
from nabot.train.batches import Example, SoftTargets, collate

_MAX_NEW_TOKENS = 16  # how an answer begins says enough; one that goes on is cut and never taught to stop there
_ALTERNATIVES = 64  # the likeliest next tokens; what the rest of the vocabulary gets is a rounding error
_ROWS_AT_ONCE = 16


def rehearsal(
    opened: Opened, most: int, *, weight: float, note: Path, renderer: Renderer, base_bits: str = "dense",
    answered: Callable[[int, int], None] = lambda *_: None,
) -> list[Example]:  # fmt: skip
    """One example for each of our questions, `most` at the most; their tokens count `weight` times.

    The base, held in `base_bits`, is asked as it is; what learns is asked by `renderer`, as it will be later. The answers
    are kept in `note`, so that a resumed run learns the same ones. `answered` hears how many of how many there are.
    """
    questions = everyday_questions()
    count = min(len(questions), most)
    if not count:
        return []
    if not note.exists():
        rows = answers_of_base(
            opened, [questions[i * len(questions) // count] for i in range(count)], base_bits, answered
        )
        write_file(note, _lines(rows))
    saved = list(json_lines(note))
    said = softened(opened.decoder, [_example(r["prompt"], r["answer"]) for r in saved], weight)
    asked = [renderer.prompt(Conversation.ask(r["question"])) for r in saved]
    pairs = zip(asked, saved, said, strict=True)
    return [replace(_example(prompt, r["answer"]), soft=example.soft) for prompt, r, example in pairs]


def longest_rehearsed(renderer: Renderer) -> int:
    """Tokens that no example of `rehearsal` has more of."""
    return max((len(ids) for ids in _prompts(renderer, everyday_questions()).values()), default=0) + _MAX_NEW_TOKENS


def _example(prompt: Sequence[int], answer: Sequence[int]) -> Example:
    return Example.of([*prompt, *answer], [False] * len(prompt) + [True] * len(answer))


@torch.no_grad()
def softened(decoder: Decoder, examples: Sequence[Example], weight: float = 1.0) -> list[Example]:
    """The examples with what `decoder` says now, in shares of probability that add up to `weight`, as their targets."""
    found: list[Example] = []
    for start in range(0, len(examples), _ROWS_AT_ONCE):
        some = examples[start : start + _ROWS_AT_ONCE]
        part = collate(some, decoder.embedding.device)
        hidden_MD = decoder.hidden(decoder.embed(part.tokens_N), part.batch)[part.places_M]
        likely = decoder.head(hidden_MD).float().softmax(-1).topk(min(_ALTERNATIVES, decoder.config.vocab_size))
        shares_MK = weight * likely.values / likely.values.sum(-1, keepdim=True)
        counts = [len(e.places) for e in some]
        pairs = zip(likely.indices.cpu().split(counts), shares_MK.cpu().split(counts), strict=True)
        found += [replace(e, soft=SoftTargets(*pair)) for e, pair in zip(some, pairs, strict=True)]
    return found


def everyday_questions() -> list[str]:
    """Questions of everyday knowledge, written for nabot."""
    return (files("nabot") / "recipes" / "rehearsal.txt").read_text(encoding="utf-8").splitlines()


def answers_of_base(
    opened: Opened, questions: Sequence[str], base_bits: str, answered: Callable[[int, int], None] = lambda *_: None
) -> list[dict[str, Any]]:
    """Each question that the template takes, with the token ids of its prompt and of what the base answers.

    The same base gives the same answers to every run, so they are kept beside the models.
    """
    prompts = _prompts(opened.renderer, questions)
    known_in = _known_in(opened, base_bits)
    known = _known(known_in)
    unknown = [question for question, ids in prompts.items() if ids not in known]
    asked = [Conversation.ask(question) for question in unknown]
    answers = opened.dense_engine().generate(asked, Sampling(max_new_tokens=_MAX_NEW_TOKENS))
    for n, (question, answer) in enumerate(zip(unknown, answers, strict=True), 1):
        ids = prompts[question]
        known[ids] = {"question": question, "prompt": [*ids], "answer": [*answer.ids], "text": answer.text}
        answered(n, len(unknown))
    if unknown:
        with contextlib.suppress(OSError):  # a home that cannot be written to costs only time
            write_file(known_in, _lines(known.values()))
    return [known[ids] for ids in prompts.values()]


def _prompts(renderer: Renderer, questions: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Token ids of the questions that the template takes."""
    prompts = {}
    for question in questions:
        with contextlib.suppress(DataError):  # it may want a system prompt, say; the person's own rows need not suffer
            prompts[question] = renderer.prompt(Conversation.ask(question))
    return prompts


def _known_in(opened: Opened, base_bits: str) -> Path:
    """A file for everything that an answer depends on, but its prompt."""
    dtype, stops = opened.decoder.embedding.dtype, sorted(opened.renderer.stop_ids)
    depends_on = (base_hash(opened.model.path), base_bits, str(dtype), stops, _MAX_NEW_TOKENS)
    return models_folder() / ".answers" / f"{hashlib.sha256(repr(depends_on).encode()).hexdigest()[:32]}.jsonl"


def _known(path: Path) -> dict[tuple[int, ...], dict[str, Any]]:
    """By prompt; nothing if there is no such file, or none that is whole."""
    known = {}
    with contextlib.suppress(OSError, CheckpointError, KeyError, TypeError):
        for row in json_lines(path):
            if all(isinstance(n, int) for n in (*row["prompt"], *row["answer"])):
                known[tuple(row["prompt"])] = {key: row[key] for key in ("question", "prompt", "answer", "text")}
    return known


def _lines(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
