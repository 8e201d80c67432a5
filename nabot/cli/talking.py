"""`nabot chat`: opens a bot or a source and hands it to the chat. In: flags, out: a conversation."""

import sys
from collections.abc import Generator
from dataclasses import dataclass, replace

from nabot.cli.chat import chat
from nabot.cli.chat_settings import changed
from nabot.cli.output import pulling
from nabot.cli.starting import without_collecting
from nabot.conversation import Conversation, nfc
from nabot.engine import Engine
from nabot.recipes.opening import Opened, open_any
from nabot.recipes.settings import parse_pairs
from nabot.rendering import Renderer
from nabot.sources import models_folder
from nabot.textmodel import Finish, Sampling


@dataclass(frozen=True)
class _EngineChat:
    """One opened model as the chat wants it: the conversation alone says what the system prompt is."""

    opened: Opened
    engine: Engine

    def stream(self, conversation: Conversation, sampling: Sampling) -> Generator[str, None, Finish]:
        return self.engine.stream(conversation, sampling)

    def fitted(self, conversation: Conversation, max_new_tokens: int) -> tuple[Conversation, int]:
        return self.opened.fitted(conversation, max_new_tokens)


def talk(name: str, *, base: str, system: str | None, pairs: list[str]) -> None:
    """Opens `name` and chats until the person leaves."""
    with without_collecting(), pulling() as progress:
        opened = open_any(name, base=base, progress=progress)
    renderer = opened.renderer
    bare = replace(opened, plain=Renderer(renderer.template, renderer.tokenizer))
    sampling = opened.sampling()
    for key, value in parse_pairs(pairs).items():
        sampling = changed(sampling, key, str(value))
    chat(
        _EngineChat(bare, bare.chat_engine(idle=sys.stdin.isatty())),
        name=opened.name,
        base=opened.record.base if opened.record else "",
        system=renderer.system if system is None else nfc(system),
        sampling=sampling,
        history_file=models_folder().parent / "chat_history",
    )
