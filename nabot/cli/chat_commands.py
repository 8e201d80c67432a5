"""What begins with "/". In: a typed command and the chat's memory, out: what to tell the person."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from nabot.artifacts import write_file
from nabot.cli.chat_memory import Memory
from nabot.cli.chat_settings import NONE, changed, setting_name, shown
from nabot.errors import ConfigError
from nabot.text import nearest, say


class Leave(Exception):
    """The person wants to go."""


def run_command(line: str, memory: Memory) -> str:
    """Obeys one line that begins with "/". Raises ConfigError for what it cannot do, Leave for /quit."""
    name, *argument = line.split(maxsplit=1)
    command = _COMMANDS.get(name.lower())
    if command is None:
        near = nearest(name.lower(), tuple(_COMMANDS), count=1)
        text_id = "chat.unknown_command_near" if near else "chat.unknown_command"
        raise ConfigError(say(text_id, seen=name, near="".join(near)))
    return command(memory, "".join(argument).strip())


def _help(_memory: Memory, _argument: str) -> str:
    return say("chat.help")


def _reset(memory: Memory, _argument: str) -> str:
    memory.reset()
    return say("chat.was_reset")


def _system(memory: Memory, argument: str) -> str:
    if not argument:
        return say("chat.system", system=memory.system) if memory.system else say("chat.no_system")
    memory.system = "" if argument.lower() == NONE else argument
    memory.reset()
    return say("chat.system_changed") if memory.system else say("chat.system_removed")


def _set(memory: Memory, argument: str) -> str:
    """ "NAME VALUE" or "NAME=VALUE"; a name alone shows its value, nothing shows all."""
    if not argument:
        return shown(memory.sampling)
    name, *value = re.split(r"\s*=\s*|\s+", argument, maxsplit=1)
    if value:
        memory.sampling = changed(memory.sampling, name, value[0])
    return shown(memory.sampling, (setting_name(name),))


def _save(memory: Memory, argument: str) -> str:
    """One line of a conversation file, so that the chat can be learned from."""
    if not argument:
        raise ConfigError(say("chat.save_where"))
    if not memory.turns:
        raise ConfigError(say("chat.nothing_to_save"))
    path = Path(argument.strip("\"'"))
    try:
        path = path.expanduser()
        if path.exists():
            raise ConfigError(say("chat.save_exists", path=path))
        if not path.parent.is_dir():
            raise ConfigError(say("chat.save_no_folder", path=path, folder=path.parent))
        write_file(path, json.dumps(memory.whole().as_dict(), ensure_ascii=False) + "\n")
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: "~nobody" has no home
        raise ConfigError(say("chat.save_failed", path=path, reason=error)) from error
    return say("chat.saved", path=path, turns=len(memory.turns))


def _quit(_memory: Memory, _argument: str) -> str:
    raise Leave


_COMMANDS: dict[str, Callable[[Memory, str], str]] = {
    "/help": _help,
    "/reset": _reset,
    "/system": _system,
    "/set": _set,
    "/save": _save,
    "/quit": _quit,
}
