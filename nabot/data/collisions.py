"""Pieces of chat templates in people's text. In: a text, out: the first mark in it that belongs to a template.

nabot itself never reads such a mark as a special token; but a model that learns to write one ends its answers with it, or
goes on as the user, and other programs do read it. A text that *is* a known template was taken apart before (`unwrapping`).
"""

import re

from nabot.data.unwrapping import HEADINGS

_MARK = re.compile(
    r"<\|[a-zA-Z_][a-zA-Z0-9_]{1,40}\|>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</?(?:bos|eos)>"
    r"|\[\|(?:system|user|assistant|tool|endofturn)\|\]"
    r"|\A\s*<s>|</s>\s*\Z"  # at the edges only: in between it strikes out in HTML
    rf"|^###[ ]?(?:{HEADINGS})[ ]?(?:\([^()\n]*\))?[ ]?:",
    re.IGNORECASE | re.MULTILINE,
)
_TURN = re.compile(r"^USER:|(?:\A|\n\n)Human:", re.MULTILINE)


def may_have_mark(text: str) -> bool:
    """A quick look: False only if there is no mark."""
    return "<" in text or "[" in text or "###" in text or "USER:" in text or "Human:" in text


def template_mark(text: str, *, is_answer: bool) -> str:
    """The first mark in `text`, as it stands there; "" if there is none. The bare name of a speaker ("USER:") is a mark only in
    an answer: people quote dialogues in questions."""
    match = _MARK.search(text) or (_TURN.search(text) if is_answer else None)
    return match.group().strip() if match else ""
