"""Chats, as the programs save them that people talk in. In: an export, out: conversations of the one whom the bot learns to be.

One file reads one program's export, into the messages of `messages.py`, which makes conversations of them all.
"""

from nabot.data.imports.chats.chatgpt import CHATGPT
from nabot.data.imports.chats.discord import DISCORD
from nabot.data.imports.chats.kakaotalk import KAKAOTALK
from nabot.data.imports.chats.slack import SLACK
from nabot.data.imports.chats.telegram import TELEGRAM
from nabot.data.imports.chats.whatsapp import WHATSAPP
from nabot.data.imports.types import Reader

CHATS: tuple[Reader, ...] = (KAKAOTALK, WHATSAPP, TELEGRAM, DISCORD, SLACK, CHATGPT)

__all__ = ["CHATGPT", "CHATS", "SLACK"]
