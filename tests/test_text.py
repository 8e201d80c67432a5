"""Texts hold commands that can be copied into a shell as they are."""

import re
import shlex
from string import Formatter

from hypothesis import given
from hypothesis import strategies as st

from nabot.text import ENGLISH, say

_COMMAND = re.compile(r"nabot (?:tune|data|chat|exam|make|export|show|rm|pull) [^`\n;]*")
_PLACES = {"path", "folder", "bot", "out"}


@given(st.text(min_size=1).filter(lambda name: "\n" not in name))
def test_a_path_in_a_command_is_one_word_for_a_shell(path: str):
    command = say("import.done.conversations", path=path, rows="2 rows").rpartition("them: ")[2]
    assert shlex.split(command) == ["nabot", "data", "check", path]


def test_a_plain_path_stays_as_it_is():
    assert say("bot.unfinished", folder="bots/mine").endswith("nabot tune --resume bots/mine")


def test_every_place_in_a_command_is_quoted():
    texts = [text for text_id, text in ENGLISH.items() if not text_id.startswith("help.")]
    for command in (command for text in texts for command in _COMMAND.findall(text)):
        conversions = {conversion for _, name, _, conversion in Formatter().parse(command) if name in _PLACES}
        assert conversions <= {"q"}, command
