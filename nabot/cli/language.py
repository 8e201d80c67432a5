"""The language, before anything is said. In: the command line, out: the same without --lang.

Help texts are said when the parser is built, so this comes first. The language is kept in the environment, so that a
process that this one starts speaks it, too. With --json a program reads, and gets the same on
every machine: English, whatever the locale.
"""

import os

from nabot.errors import ConfigError
from nabot.text import known_language, say

FLAG, VARIABLE = "--lang", "NABOT_LANG"


def take_language(arguments: list[str]) -> list[str]:
    """The arguments without --lang, whose language is used from now on. Raises ConfigError on one that nabot does not speak."""
    flags, _ = until_end_of_flags(arguments)
    rest, named = _without_flag(arguments)
    if named:
        os.environ[VARIABLE] = _checked(FLAG, named[-1])
    elif wanted := os.environ.get(VARIABLE):
        _checked(VARIABLE, wanted)
    if "--json" in flags:
        os.environ[VARIABLE] = "en"
    return rest


def until_end_of_flags(arguments: list[str]) -> tuple[list[str], list[str]]:
    """(what may be a flag, "--" and all behind it, which never is)."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:end], arguments[end:]


def _without_flag(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The other arguments, and the values of the flag."""
    flags, behind = until_end_of_flags(arguments)
    rest, named = [], []
    words = iter(flags)
    for word in words:
        if word == FLAG:
            named.append(next(words, ""))
        elif word.startswith(f"{FLAG}="):
            named.append(word.partition("=")[2])
        else:
            rest.append(word)
    return rest + behind, named


def _checked(origin: str, seen: str) -> str:
    code = known_language(seen)
    if not code:
        raise ConfigError(say("error.language", origin=origin, seen=seen))
    return code
