"""Agreeing to a licence at the command line. In: `--accept-license NAME` anywhere, or a yes on the terminal, out: it counts."""

import contextlib
import itertools
import os
import sys
from collections.abc import Iterator

from nabot.cli.language import until_end_of_flags
from nabot.errors import LicenceNotAccepted
from nabot.text import say

_FLAG = "--accept-license"
_FIRST_LINES = 14
_YES, _NO = ("yes", "y", "예", "네", "ㅇ"), ("no", "n", "아니오", "아니요", "ㄴ", "")


def without_accepted(arguments: list[str]) -> tuple[list[str], list[str]]:
    """(the other arguments, the licences named by the flag, which may stand anywhere). Raises ConfigError."""
    flags, behind = until_end_of_flags(arguments)
    others, names = [], []
    rest = iter(flags)
    for argument in rest:
        flag, is_joined, name = argument.partition("=")
        if flag == _FLAG:
            names.append(name if is_joined else next(rest, ""))
        else:
            others.append(argument)
    if names:
        from nabot.sources import check_known

        for name in names:
            check_known(name)
    return others + behind, names


@contextlib.contextmanager
def accepting(names: list[str]) -> Iterator[None]:
    """While the block runs, these count as named in the environment."""
    before = os.environ.get("NABOT_ACCEPT_LICENSE")
    if names:
        os.environ["NABOT_ACCEPT_LICENSE"] = ",".join([*names, *filter(None, [before])])
    try:
        yield
    finally:
        if names:
            del os.environ["NABOT_ACCEPT_LICENSE"]
        if names and before is not None:
            os.environ["NABOT_ACCEPT_LICENSE"] = before


def agreed(error: LicenceNotAccepted) -> bool:
    """Shows where the terms are and how they begin, and asks; without a terminal nobody agrees."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    from nabot.cli.output import tell
    from nabot.sources import accept

    with error.terms.open(encoding="utf-8") as terms:
        first = [line for line in itertools.islice(terms, _FIRST_LINES) if line.strip()]
    tell(say("licences.terms", licence=error.licence, path=error.terms, first="".join(first)))
    answer = None
    while answer not in (*_YES, *_NO):
        print(say("licences.ask", licence=error.licence), end=" ", file=sys.stderr, flush=True)
        answer = sys.stdin.readline().strip().lower()
    if answer in _YES:
        accept(error.licence)
    return answer in _YES
