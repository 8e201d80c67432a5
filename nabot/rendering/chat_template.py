"""A chat template, and the sandbox that it runs in. In: messages as dicts, out: the text that the model reads.

Templates come out of model files, so they run in Jinja's immutable sandbox, with the few functions that transformers
gives them and nothing else. `{% generation %}` blocks mark what is to be learned.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Template, TemplateError, nodes, pass_context
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from nabot.errors import ConfigError
from nabot.text import nearest, say
from nabot.tokenizer import Tokenizer

BUILTIN = ("alpaca", "alpaca-lora", "chatml", "gemma", "koalpaca", "koalpaca-llama", "llama2", "llama3")
OWN = "model"  # the name of the template that came with the model
_MARKS_OF = {"gemma": {"<start_of_turn>", "<end_of_turn>"}, "chatml": {"<|im_start|>", "<|im_end|>"}}


@dataclass(frozen=True)
class ChatTemplate:
    """A template's name and its Jinja source."""

    name: str
    source: str

    @classmethod
    def builtin(cls, name: str) -> "ChatTemplate":
        """One of `BUILTIN`. Raises ConfigError."""
        if name not in BUILTIN:
            near = nearest(name, BUILTIN)
            raise ConfigError(say("template.unknown", name=name, known=", ".join(BUILTIN), near=", ".join(near) or "-"))
        return cls(name, (files("nabot") / "rendering" / "templates" / f"{name}.jinja").read_text(encoding="utf-8"))

    @classmethod
    def own(cls, tokenizer: Tokenizer) -> "ChatTemplate":
        """The model's own. Raises ConfigError if it has none (a base model)."""
        if not tokenizer.chat_template:
            raise ConfigError(say("template.none", known=", ".join(BUILTIN)))
        return cls(OWN, tokenizer.chat_template)

    @classmethod
    def named(cls, name: str, tokenizer: Tokenizer) -> "ChatTemplate":
        """By the name that a person gives: one of `BUILTIN`, "model" for the model's own, or "" for what suits it."""
        if not name:
            return cls.default(tokenizer)
        return cls.own(tokenizer) if name == OWN else cls.builtin(name)

    @classmethod
    def default(cls, tokenizer: Tokenizer) -> "ChatTemplate":
        """The model's own; for a base model, the one whose marks are tokens of it, or Alpaca's, which needs none."""
        if tokenizer.chat_template:
            return cls.own(tokenizer)
        known = {token.content for token in tokenizer.special_tokens.values()}
        return cls.builtin(next((name for name, marks in _MARKS_OF.items() if marks <= known), "alpaca"))

    @property
    def is_builtin(self) -> bool:
        return self.name in BUILTIN

    @property
    def uses_context(self) -> bool:
        """True if it has a place for `message.context`."""
        return re.search(r"\bcontext\b", self.source) is not None

    def render(self, variables: Mapping[str, Any], generation_marks: tuple[str, str] | None = None) -> str:
        """The text; `generation_marks` are put around each `{% generation %}` block. Raises jinja2.TemplateError."""
        return _compiled(self.source).render({**variables, _MARKS: generation_marks})

    @property
    def has_generation_blocks(self) -> bool:
        """True if it says itself what is to be learned."""
        return re.search(r"\{%-?\s*generation\s*-?%\}", self.source) is not None

    @property
    def writes_generation_prompt(self) -> bool:
        """True if it can write what comes before an answer that is not there yet."""
        return "add_generation_prompt" in self.source


_MARKS = "_nabot_generation_marks"


class _Generation(Extension):
    """`{% generation %} … {% endgeneration %}`: a scope of its own, as in transformers; marks around it if asked."""

    tags = {"generation"}  # noqa: RUF012 (Jinja's own declaration)

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_marked"), [], [], body).set_lineno(line)

    @pass_context
    def _marked(self, context: Context, caller: Macro) -> str:
        marks: tuple[str, str] | None = context.get(_MARKS)
        return f"{marks[0]}{caller()}{marks[1]}" if marks else str(caller())


class _SafeNamespace(Namespace):
    """Refuses names that would reach Python's inside."""

    def __setitem__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            raise TemplateError(f"a namespace has no attribute {name!r}")
        super().__setitem__(name, value)


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own filter escapes HTML and letters beyond ASCII, which no model was trained on."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _to_json
    functions: dict[str, Callable[..., Any]] = {"raise_exception": _raise_exception, "namespace": _SafeNamespace}
    environment.globals.update(functions)
    return environment


@lru_cache(maxsize=64)
def _compiled(source: str) -> Template:
    template = _environment().from_string(source)
    template.globals = dict(template.globals)  # a ChainMap, which Jinja copies entry by entry at every rendering
    return template
