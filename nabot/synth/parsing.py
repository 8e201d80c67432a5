"""A teacher's completion → tasks. In: the text and why it ended, out: tasks, and the pieces that are none, in order.

Alpaca's one-prompt form and self-instruct's three, as their programs read them. The labels ("Instruction:", "Input:", "Output:",
"Class label:", "Example") are theirs and English, also around Korean text, as in KoAlpaca; the prompts have to ask for them.
Where reading to the letter loses or damages good rows nabot differs, each time with a comment that begins "unlike".
"""

import random
import re
from collections.abc import Sequence

from nabot.data.answers import PLACEHOLDER, incomplete
from nabot.synth.tasks import Reason, Rejected, Task

SHOWN = 3  # examples in Alpaca's prompt, which ends with "4. Instruction:"
MOST_INSTANCES = 5  # of one instruction: Wang et al. 2022, prepare_for_finetuning.py
CUT = "length"  # the finish_reason of a completion that reached its limit of tokens

# unlike Alpaca, which cuts at every "###": a heading inside an answer ("### Method") would end it there, unseen
_SEPARATOR = re.compile(r"###(?=[ \t]*(?:\r?\n|\Z)|\s*\d+\.\s+Instruction:)")
_FIRST_LABEL = re.compile(r"(\d+)\.\s+Instruction:")
_ANY_NUMBER = r"^\s*\d+"  # of a label at the beginning of a line
_LABELS = ["Instruction", "Input", "Output"]
# unlike Alpaca, which knows "<noinput>" and nothing else
_NO_INPUT = re.compile(
    rf"[<(\[`]*\s*(?:{PLACEHOLDER})(?:\s+(?:needed|required|necessary))?\s*[>)\]`]*[.。]?", re.IGNORECASE
)


def parse_alpaca(completion: str, finish_reason: str = "stop", shown: int = SHOWN) -> list[Task | Rejected]:
    """The items of a completion of Alpaca's prompt, which ended with the label of the item after the `shown` ones.

    Reasons: "cut_off" (the last item of a completion that reached its limit), "malformed_item" (labels are missing, doubled
    or in another order).   Source: Taori et al. 2023, generate_instruction.py of tatsu-lab/stanford_alpaca.
    """
    # unlike Alpaca: chat models often write the first label again
    begun = _FIRST_LABEL.match(completion.lstrip("# \r\n"))
    pieces = _SEPARATOR.split(completion.lstrip("# \r\n") if begun else f"{shown + 1}. Instruction:{completion}")
    cut = [pieces.pop()] if finish_reason == CUT else []
    items = [_item(piece) for piece in pieces if piece.strip()]
    return [*items, *(Rejected(piece, Reason("cut_off")) for piece in cut if piece.strip())]


def parse_instructions(completion: str, finish_reason: str = "stop") -> list[str | Rejected]:
    """The new instructions of a completion of self-instruct's numbered list, which ended with the next number.

    A completion that reached its limit is dropped as a whole ("cut_off").   Source: Wang et al. 2022, bootstrap_instructions.py.
    """
    if finish_reason == CUT:
        return [Rejected(completion, Reason("cut_off"))]
    lines = [" ".join(piece.split()) for piece in re.split(r"\n\d+\s?\. ", completion)]
    # unlike self-instruct, which makes small letters of the rest: "Compare Python and SQL" became "Compare python and sql"
    return [line[:1].upper() + line[1:] if line else Rejected(line, Reason("empty_instruction")) for line in lines]


def is_classification(answer: str) -> bool:
    """What a teacher said to "Is this a classification task?".   Source: Wang et al. 2022, prepare_for_finetuning.py."""
    return answer.strip() in ("Yes", "yes", "YES", "예", "네")


def parse_instances(instruction: str, completion: str, finish_reason: str = "stop") -> list[Task | Rejected]:
    """Input-first instances of an instruction: "Example 1 … Output: …", or a single "Output: …".

    Reasons: "malformed_item" (neither label), "cut_off".   Source: Wang et al. 2022, prepare_for_finetuning.py.
    """
    text = completion.strip()
    if re.search(r"Example\s?\d*\.?", text):
        pieces = [piece.strip() for piece in re.split(r"Example\s?\d*\.?", text) if piece.strip()]
    elif re.search(r"Output\s*\d*\s*:", text):
        pieces = [text]
    else:
        return [Rejected(completion, Reason("malformed_item"))]
    return _but_the_cut([(piece, _input_and_output(instruction, piece)) for piece in pieces], finish_reason)


def parse_labelled_instances(instruction: str, completion: str, finish_reason: str = "stop") -> list[Task | Rejected]:
    """Output-first instances of a classification: "Class label: …", and the input from the next line on.

    Reasons: "malformed_item" (no label), "cut_off".   Source: Wang et al. 2022, prepare_for_finetuning.py.
    """
    pieces = completion.split("Class label:")[1:]
    if not pieces:
        return [Rejected(completion, Reason("malformed_item"))]
    found = []
    for piece in pieces:
        label, _, text = piece.strip().partition("\n")
        found.append((piece, Task(instruction.strip(), text.strip(), label.strip())))
    return _but_the_cut(found, finish_reason)


def usable_instances(instances: Sequence[Task], rng: random.Random) -> list[Task | Rejected]:
    """Self-instruct's choice among the instances of one instruction, at most 5 of them, drawn by `rng`, in order.

    Reasons: those of `nabot.data.answers.incomplete`, "repeated_instance", "surplus_instance", and for all of them
    "contradicting_instances" if one input has two outputs.   Source: Wang et al. 2022, prepare_for_finetuning.py.
    """
    reasons = {i: slug for i, task in enumerate(instances) if (slug := incomplete(task.input, task.output))}
    whole = [i for i in range(len(instances)) if i not in reasons]
    distinct = {instances[i]: i for i in reversed(whole)}
    inputs = [task.input for task in distinct if task.input]
    if len(set(inputs)) < len(inputs):
        reasons |= dict.fromkeys(whole, "contradicting_instances")
    else:
        reasons |= {i: "repeated_instance" for i in whole if distinct[instances[i]] != i}
        surplus = rng.sample(sorted(distinct.values()), max(0, len(distinct) - MOST_INSTANCES))
        reasons |= dict.fromkeys(surplus, "surplus_instance")
    return [Rejected(_shown(task), Reason(reasons[i])) if i in reasons else task for i, task in enumerate(instances)]


def _item(piece: str) -> Task | Rejected:
    """One item of Alpaca's list."""
    # unlike Alpaca, which counts items itself and drops one with another number, and so all that follow a number left out
    label = _FIRST_LABEL.search(piece)
    for number in (label.group(1), _ANY_NUMBER) if label else ():
        parts = re.split(rf"{number}\.\s+(Instruction|Input|Output):", piece, flags=re.MULTILINE)
        if (
            parts[1::2] == _LABELS
        ):  # unlike Alpaca, which takes any three labels: an output could stand where an input should
            instruction, context, output = (part.strip() for part in parts[2::2])
            return Task(instruction, "" if _NO_INPUT.fullmatch(context) else context, output)
    return Rejected(piece, Reason("malformed_item"))


def _input_and_output(instruction: str, piece: str) -> Task:
    before, *after = re.split(r"Output\s*\d*\s*:", piece)
    context, output = (before, after[0]) if after else ("", before)
    output = re.split(r"Input\s*\d*\s*:", output)[0]  # a second example that nobody announced
    return Task(instruction.strip(), re.sub(r"^Input\s*\d*\s*:", "", context.strip()).strip(), output.strip())


def _but_the_cut(found: Sequence[tuple[str, Task]], finish_reason: str) -> list[Task | Rejected]:
    """The tasks; the last piece is rejected if the completion reached its limit."""
    whole = found[:-1] if finish_reason == CUT else found
    return [*(task for _, task in whole), *(Rejected(piece, Reason("cut_off")) for piece, _ in found[len(whole) :])]


def _shown(task: Task) -> str:
    return f"Input: {task.input}\nOutput: {task.output}"
