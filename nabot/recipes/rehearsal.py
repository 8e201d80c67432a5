"""What the base already answers, learned along so that it stays. In: the untuned model, out: a few more examples.

A model that learns only new rows forgets old ones; learning some of its own answers to everyday questions together
with them keeps it as it was elsewhere, without any old data.   Source: Robins 1995, "Catastrophic forgetting,
rehearsal and pseudorehearsal", Connection Science 7(2).
"""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from nabot.artifacts import json_lines, write_file
from nabot.conversation import Conversation
from nabot.recipes.opening import Opened
from nabot.textmodel import Sampling
from nabot.train.batches import Example

_MAX_NEW_TOKENS = 40  # how an answer begins says enough; one that goes on is cut and never taught to stop there


def rehearsal(opened: Opened, num_rows: int, ratio: float, note: Path) -> list[Example]:
    """Examples for `ratio` of `num_rows`, at most one for each of our questions.

    The answers are kept in `note`, so that a resumed run learns the same ones.
    """
    questions = everyday_questions()
    count = min(len(questions), round(ratio * num_rows))
    if not count:
        return []
    if not note.exists():
        rows = _answered(opened, [questions[i * len(questions) // count] for i in range(count)])
        write_file(note, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    saved = list(json_lines(note))
    return [
        Example.of([*r["prompt"], *r["answer"]], [False] * len(r["prompt"]) + [True] * len(r["answer"])) for r in saved
    ]


def everyday_questions() -> list[str]:
    """Questions of everyday knowledge, written for nabot."""
    return (files("nabot") / "recipes" / "rehearsal.txt").read_text(encoding="utf-8").splitlines()


def _answered(opened: Opened, questions: list[str]) -> list[dict[str, Any]]:
    """Token ids of each question's prompt and of what the base answers."""
    engine = opened.engine()
    sampling = Sampling(max_new_tokens=_MAX_NEW_TOKENS)
    prompts = [Conversation.ask(question) for question in questions]
    rows: list[dict[str, Any]] = []
    for question, prompt, completion in zip(questions, prompts, engine.generate(prompts, sampling), strict=True):
        ids = opened.renderer.prompt(prompt)
        rows.append({"question": question, "prompt": ids, "answer": completion.ids, "text": completion.text})
    return rows
