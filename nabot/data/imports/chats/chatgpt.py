"""ChatGPT's own export → messages. In: conversations.json, or the .zip or folder that holds it; out: messages.

A conversation is a tree, because people edit and ask again; the branch that they ended on leads from `current_node` up to
the root. Only text that people read is taken: no tool calls, no thoughts, no hidden turns.
"""

import re
from collections.abc import Iterator, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from nabot.data.faults import Problem, excerpt, problem
from nabot.data.imports.chats.archives import holds, opened, root_of, unpacking
from nabot.data.imports.chats.messages import ChatMessage, ChatReader, Piece
from nabot.data.imports.chats.times import stamp
from nabot.data.imports.types import Dropped
from nabot.data.jsonlists import elements, pieces_of

Row = Mapping[str, Any]
_MEMBER = "conversations.json"
_TEXTS = ("text", "multimodal_text")
_REASONS = {"thoughts": "thoughts", "reasoning_recap": "thoughts", "code": "tool", "execution_output": "tool"}
# Marks of sources, which the page shows as footnotes: "【4†source】", and since 2025 between private characters.
_CITATION = re.compile(r"【\d+[^】]*†[^】]*】|\ue200[^\ue201]*\ue201")


def _messages(path: Path) -> Iterator[Piece]:
    file: Traversable = path
    if (root := root_of(path, _MEMBER)) is not None:
        file = root.joinpath(_MEMBER)
    with unpacking(path, _MEMBER), opened(file) as text:
        for element in elements(pieces_of(text)):
            if isinstance(element.value, Problem):
                yield element.value.at(str(path), element.number)
            else:
                yield from _branch(element.value, element.number, str(path))


def _branch(conversation: Any, number: int, path: str) -> Iterator[Piece]:
    """The messages of one conversation from the first to the one that is shown last."""
    tree = conversation.get("mapping") if isinstance(conversation, dict) else None
    if not isinstance(tree, dict):
        yield problem("missing_field", "mapping", wanted="mapping").at(path, number)
        return
    nodes: dict[str, Row] = {}
    at = conversation.get("current_node")
    if tree and not isinstance(at, str):
        yield problem("missing_field", "current_node", wanted="current_node").at(path, number)
    while isinstance(at, str) and at not in nodes:
        if not isinstance(tree.get(at), dict):
            yield problem("no_such_node", "mapping", seen=excerpt(at)).at(path, number)
            return
        nodes[at] = tree[at]
        at = tree[at].get("parent")
    for node in reversed(nodes.values()):
        if isinstance(node.get("message"), dict):
            yield _piece(node["message"], number)


def _piece(message: Row, number: int) -> Piece:
    author, content, metadata = (_object(message.get(key)) for key in ("author", "content", "metadata"))
    role, kind = author.get("role"), content.get("content_type")
    if role not in ("user", "assistant"):
        return Dropped("tool" if role == "tool" else "system_message", str(number))
    if kind not in _TEXTS or message.get("recipient") not in (None, "all"):
        return Dropped(_REASONS.get(str(kind), "tool" if kind in _TEXTS else "system_message"), str(number))
    if metadata.get("is_visually_hidden_from_conversation"):
        return Dropped("system_message", str(number))
    parts = content.get("parts")
    texts = [part for part in parts if isinstance(part, str)] if isinstance(parts, list) else []
    text = _CITATION.sub("", "\n".join(texts))
    if not text.strip():
        return Dropped("photo" if parts and len(texts) < len(parts) else "empty", str(number))
    time = stamp(message.get("create_time"))
    return ChatMessage(str(role), text, number, time, room=str(number), is_whole=True)


def _object(value: Any) -> Row:
    return value if isinstance(value, dict) else {}


def _recognises(path: Path, head: bytes) -> bool:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    is_list = start.startswith(b"[") and b'"mapping"' in start and b'"create_time"' in start
    return is_list or holds(path, _MEMBER)


CHATGPT = ChatReader("chatgpt", _recognises, _messages, assistant="assistant")
