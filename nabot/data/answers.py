"""Is this an answer to learn from? In: what was asked with and what came back, out: the reason why not, as a stable slug.

The first three reasons are self-instruct's rules; the others are what people cleaned out of Alpaca's data by hand.
They are rules that a person can read: a wrong fact or a wrong sum passes them.
"""

import re
import unicodedata
from collections.abc import Iterable

from nabot.data.plain import repetition_rate

_FENCE = re.compile(r"^\s*```", re.MULTILINE)
PLACEHOLDER = r"no[\s_]*input|입력\s*없음"  # what Alpaca's prompt has a teacher write where a task needs no input
_PLACEHOLDER_LEFT = re.compile(rf"[<(\[]\s*(?:{PLACEHOLDER})\s*[>)\]]", re.IGNORECASE)
# A model that speaks of itself, wherever it does. In small letters, and found without IGNORECASE, which is slow.
_MODEL = re.compile(
    r"\b(?:as|i am|i'm) (?:just )?an? (?:ai|artificial intelligence)(?: (?:language )?(?:model|assistant|program))?(?=[,.]| (?:so|i|without|that)\b)"
    r"|\bas an ai (?:large )?language model\b|\A\W*as a (?:large )?language model\b"
    r"|(?:ai|인공 ?지능) ?(?:언어 ?)?(?:모델|챗봇|비서|어시스턴트)? ?(?:로서|이기 때문에|이므로|이라서|라서)"
    r"|(?:저는|나는) (?:ai|인공 ?지능|언어 ?모델)"
)
# Without one of each no text matches the above; to look for them costs a tenth. The first are seen whatever the spaces.
_MODEL_NAMES = ("ai", "artificial", "language", "인공", "언어")
_MODEL_HINTS = (" ai", "artificial", "language model", "로서", "이기 때문에", "므로", "라서", "저는", "나는")
# An apology for not answering is one only at the very beginning: a letter that apologises is a good answer.
_APOLOGY = re.compile(
    r"\W*(?:(?:i(?:'m| am) )?sorry,? (?:but )?)?(?:as an ai,? )?i ?(?:can't|cannot|can not|am unable to|'m unable to|am not able to|'m not able to) "
    r"(?:\w+ly )?(?:help|assist|answer|provide|fulfill?|complete|generate|create|access|browse|view|see|open|comply|determine|predict|say|tell|do that)"
    r"|\W*(?:i(?:'m| am) )?sorry,? (?:but )?i (?:do not|don't) have (?:access|enough|any|the)\b"
    r"|\W*(?:죄송|미안)\S*[^.!?]{0,40}?(?:답변|답해|도와|제공|생성|작성|알려|말씀|확인|접근|처리)\S*(?: ?드릴)? ?수(?:가|는)? ?없"
)
_APOLOGY_BEGINS = re.compile(r"\W*(?:i|sorry|as|죄송|미안)")  # all of them, whatever the spaces
_DANGLING = re.compile(
    r"(?:^|\s)(?:and|or|the|a|an|of|to|with|because|but|that|which|from|by|as|그리고|또는|혹은|및|하지만|그러나|따라서|왜냐하면|예를 들어)\Z",
    re.IGNORECASE,
)
_OPEN_END = (",", "、", "(", "[", "{", "“", "‘", "—", "–", "·")
_BARE_MARKER = re.compile(r"\n\s*(?:\d+[.)]|[-*•])\Z")
_ENDS = (".", "!", "?", "")
_TAIL = 64  # characters; no ending below is longer
_APOLOGY_REACH = 200
_SHORT_WORDS = 8  # an answer of fewer may well be a single preposition
_FEW_WORDS = 0.6  # the share of different words from which on no half of the 4-grams can repeat
_LOOP = 0.5  # of all word 4-grams stood there before; verse with a refrain stays below


def incomplete(context: str, answer: str) -> str:
    """Self-instruct's rules for an instance: "empty_output", "same_as_input", "ends_with_colon"; "" if it passes.

    Source: Wang et al. 2022, prepare_for_finetuning.py of yizhongw/self-instruct.
    """
    context, answer = context.strip(), answer.strip()
    if not answer:
        return "empty_output"
    if answer == context:
        return "same_as_input"
    return "ends_with_colon" if context.endswith((":", "：")) or answer.endswith((":", "：")) else ""


def unfit(context: str, answer: str) -> str:
    """The first reason against learning `answer`; "" if there is none.

    Beside those of `incomplete`: "noinput_left" (the placeholder of Alpaca's prompt in the text), "refusal",
    "cut_off" (it stops within a sentence, a list or a code block), "repeats_itself".
    """
    context, answer = (unicodedata.normalize("NFC", text).strip() for text in (context, answer))
    if reason := incomplete(context, answer):
        return reason
    if placeholder_left(context) or placeholder_left(answer):
        return "noinput_left"
    if refuses(answer):
        return "refusal"
    if cut_off(answer):
        return "cut_off"
    return "repeats_itself" if repeats_itself(answer) else ""


def may_have_placeholder(text: str) -> bool:
    """A quick look: False only if `placeholder_left` is."""
    return "nput" in text or "NPUT" in text or "입력" in text


def placeholder_left(text: str) -> bool:
    """Whether "<noinput>", in any spelling with brackets, stands in `text`."""
    return _PLACEHOLDER_LEFT.search(text) is not None


def refuses(answer: str) -> bool:
    """Whether it speaks of itself as a model, or begins with an apology for not answering."""
    text = answer.lower()
    may_apologise, may_name = _APOLOGY_BEGINS.match(text) is not None, _has_any(_MODEL_NAMES, text)
    if not (may_apologise or may_name):
        return False
    text = " ".join(text.replace("’", "'").split())
    if may_apologise and _APOLOGY.match(text, 0, _APOLOGY_REACH):
        return True
    return may_name and _has_any(_MODEL_HINTS, text) and _MODEL.search(text) is not None


def _has_any(hints: Iterable[str], text: str) -> bool:
    for hint in hints:  # noqa: SIM110 - any() takes twice as long
        if hint in text:
            return True
    return False


def repeats_itself(answer: str) -> bool:
    """Whether more than half of its word 4-grams stood there before. A text most of whose words differ is not counted out."""
    words = answer.split()
    return len(set(words)) <= _FEW_WORDS * len(words) and repetition_rate(answer) > _LOOP


def cut_off(answer: str) -> bool:
    """Whether `answer` stops where nobody stops: an open bracket or code block, a comma, a bare number of a list, an "and"."""
    text = answer.rstrip()
    if text[-1:] in _ENDS and not text[-2:-1].isdigit() and "```" not in text:
        return False
    if "```" in text and len(_FENCE.findall(text)) % 2:
        return True
    tail = text[-_TAIL:]
    stops = text.endswith(_OPEN_END) or bool(_BARE_MARKER.search(tail) or _DANGLING.search(tail))
    return stops and len(text.split()) >= _SHORT_WORDS
