"""One message, and the tools beside it, in the spellings of OpenAI and ShareGPT → that of a conversation file.

In and out: JSON values. What is no message, or cannot be parsed, stays as it is: `validate.py` says what is wrong with it.
"""

import json
from collections.abc import Mapping
from typing import Any

_OPENAI_ROLES = {"developer": "system", "function": "tool"}
_SHAREGPT_ROLES = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "observation": "tool",
}


def openai_turn(message: Any) -> Any:
    """Also the older `function_call`; a `weight` of 0, by which OpenAI leaves an answer out, is our `train: false`."""
    if not isinstance(message, dict):
        return message
    role = message.get("role")
    turn = {**message, "role": _OPENAI_ROLES.get(role, role) if isinstance(role, str) else role}
    if message.get("function_call"):
        turn["tool_calls"] = _calls(message["function_call"])
    elif message.get("tool_calls"):
        turn["tool_calls"] = _calls(message["tool_calls"])
    if message.get("weight") == 0 and message.get("train") is None:
        turn["train"] = False
    return turn


def sharegpt_turn(message: Any) -> Any:
    """`from` and `value`; a function call is the JSON text of a turn of its own, its result an "observation"."""
    if not isinstance(message, dict):
        return message
    role, content = message.get("from", message.get("role")), message.get("value", message.get("content"))
    if role == "function_call":
        return {**message, "role": "assistant", "content": "", "tool_calls": _calls(content)}
    known = _SHAREGPT_ROLES.get(role, role) if isinstance(role, str) else role
    return openai_turn({**message, "role": known, "content": content})


def any_turn(message: Any) -> Any:
    """A message in whichever of the two spellings it has."""
    return sharegpt_turn(message) if isinstance(message, dict) and "from" in message else openai_turn(message)


def tools_of(row: Mapping[str, Any]) -> Any:
    """The row's tools, perhaps written as JSON text, each in OpenAI's form; None where it has none."""
    tools = _parsed(row.get("tools") or row.get("functions") or None)
    return [_schema(tool) for tool in tools] if isinstance(tools, list) else tools


def _schema(tool: Any) -> Any:
    """A bare function is wrapped, as most templates expect it."""
    is_bare = isinstance(tool, dict) and "parameters" in tool and "function" not in tool
    return {"type": "function", "function": tool} if is_bare else tool


def _calls(value: Any) -> Any:
    """One call or several, perhaps as JSON text → a list of calls."""
    parsed = _parsed(value)
    if isinstance(parsed, dict):
        parsed = [parsed]
    return [_call(call) for call in parsed] if isinstance(parsed, list) else parsed


def _call(call: Any) -> Any:
    """Arguments become an object: templates write them with `tojson`, which would quote a text once more."""
    if not isinstance(call, dict):
        return call
    function = call.get("function", call)
    if not isinstance(function, dict) or "arguments" not in function:
        return call
    rest = call if "function" in call else {"type": "function"}
    parsed = _parsed(function["arguments"])
    arguments = parsed if isinstance(parsed, dict) else function["arguments"]
    return {**rest, "function": {**function, "arguments": arguments}}


def _parsed(value: Any) -> Any:
    """What a JSON text holds; the value itself if it is none."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
