"""Bytes → lines of text, whatever program wrote them. In: a path, out: the encoding's name and numbered lines.

UTF-8 (with or without a byte order mark), UTF-16 (with one) and CP949, which is what Korean Excel writes. Lines are
read one at a time; a line that cannot be decoded says at which byte, and the next one is read all the same.
"""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import BinaryIO

from nabot.errors import DataError
from nabot.text import say, system_reason

_CHUNK_BYTES = 1 << 20
_PIECE_BYTES = 1 << 16
_PROBED_BYTES = 4096
_HANGUL_PROBED_LINES = 200
_WORKBOOKS = (".xlsx", ".xlsm", ".xls")
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True)
class Line:
    """One line with its ending, counted from 1. `text` is None where the bytes mean nothing; then `bad_byte` is set.

    Of `read_pieces`: a piece of any length.
    """

    number: int
    text: str | None
    bad_byte: int = -1  # offset from the beginning of the file, from 0


def detect_encoding(path: Path) -> str:
    """ "utf-8", "utf-8-sig", "utf-16-le", "utf-16-be" or "cp949"; "utf-8" also where none of them fits.

    Raises DataError if the file is missing, unreadable, empty or not text.
    """
    with open_for_reading(path) as file:
        start = file.read(_PROBED_BYTES)
        if not start.strip():
            _require_content(path, start, file)
        for mark, name in _MARKS:
            if start.startswith(mark):
                return name
        if b"\0" in start:
            if path.suffix.lower() in _WORKBOOKS:
                raise DataError(say("data.workbook", path=path))
            raise DataError(say("data.not_text", path=path, offset=start.index(b"\0")))
        file.seek(0)
        return "utf-8" if _is_utf8(file) else _utf8_or_cp949(file)


def read_lines(path: Path, encoding: str) -> Iterator[Line]:
    """The lines of the file, one in memory at a time."""
    with open_for_reading(path) as file:
        offset = file.seek(_mark_length(encoding))
        raw_lines = _utf16_lines(file, encoding) if encoding.startswith("utf-16") else iter(file)
        for number, raw in enumerate(raw_lines, 1):
            try:
                yield Line(number, raw.decode(_codec(encoding)))
            except UnicodeDecodeError as error:
                yield Line(number, None, offset + error.start)
            offset += len(raw)


def read_pieces(path: Path, encoding: str) -> Iterator[Line]:
    """The text in pieces that are small however long its lines are; it ends at the first byte that means nothing."""
    with open_for_reading(path) as file:
        num_read = file.seek(_mark_length(encoding))
        decoder = codecs.getincrementaldecoder(_codec(encoding))()
        for number in count(1):
            chunk = file.read(_PIECE_BYTES)
            num_read += len(chunk)
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                yield Line(number, error.object[: error.start].decode(_codec(encoding)))
                yield Line(number + 1, None, num_read - len(error.object) + error.start)
                return
            yield Line(number, text)
            if not chunk:
                return


def beginning(head: bytes) -> str:
    """The first bytes of a file as text, whatever they are: for a look that decides nothing about the encoding."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return head[len(mark) :].decode(_codec(name), errors="ignore")
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(head)  # a letter may be cut off at the end
    except UnicodeDecodeError:
        return head.decode("cp949", errors="ignore")


def require_file(path: Path) -> None:
    """Raises DataError, with the reason, if that is not a file that can be read."""
    open_for_reading(path).close()


def open_for_reading(path: Path) -> BinaryIO:
    """Raises DataError as `require_file` does."""
    if path.is_dir():
        raise DataError(say("data.is_folder", path=path))
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise DataError(say("data.missing", path=path, folder=path.absolute().parent)) from None
    except OSError as error:
        raise DataError(say("data.unreadable", path=path, reason=system_reason(error))) from error


def _mark_length(encoding: str) -> int:
    """Bytes of the byte order mark."""
    return next((len(mark) for mark, name in _MARKS if name == encoding), 0)


def _codec(encoding: str) -> str:
    """What decodes the text behind the mark."""
    return "utf-8" if encoding == "utf-8-sig" else encoding


def _require_content(path: Path, start: bytes, rest: BinaryIO) -> None:
    """Raises DataError if the file holds nothing but white space."""
    size = len(start)
    for chunk in iter(lambda: rest.read(_CHUNK_BYTES), b""):
        if chunk.strip():
            return
        size += len(chunk)
    raise DataError(say("data.empty", path=path, size=size))


def _is_utf8(file: BinaryIO) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in iter(lambda: file.read(_CHUNK_BYTES), b""):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _utf8_or_cp949(file: BinaryIO) -> str:
    """Which of the two was meant, for a file that is not clean UTF-8.

    Korean text in CP949 is next to never valid UTF-8, so one valid line for each invalid one means a damaged UTF-8
    file. Bytes that CP949 happens to allow are believed only if they turn out to be Hangul.
    """
    file.seek(0)
    utf8_good = utf8_bad = cp949_bad = 0
    for raw in _bounded_lines(file):
        if raw.isascii():
            continue
        utf8_good, utf8_bad = (utf8_good + 1, utf8_bad) if _decodes(raw, "utf-8") else (utf8_good, utf8_bad + 1)
        cp949_bad += not _decodes(raw, "cp949")
    meant_cp949 = cp949_bad < utf8_bad and utf8_good < utf8_bad
    return "cp949" if meant_cp949 and _mostly_hangul(file) else "utf-8"


def _mostly_hangul(file: BinaryIO) -> bool:
    file.seek(0)
    probed = islice((raw for raw in _bounded_lines(file) if not raw.isascii()), _HANGUL_PROBED_LINES)
    letters = [c for raw in probed for c in raw.decode("cp949", errors="ignore") if not c.isascii()]
    return 2 * sum("가" <= c <= "힣" or "ㄱ" <= c <= "ㆎ" for c in letters) > len(letters)


def _bounded_lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines; a very long one in pieces, as when a whole file is one line."""
    return iter(lambda: file.readline(_CHUNK_BYTES), b"")


def _decodes(raw: bytes, codec: str) -> bool:
    try:
        raw.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _utf16_lines(file: BinaryIO, encoding: str) -> Iterator[bytes]:
    """Lines of two-byte units: the byte 0x0A ends one only where it is the low half of U+000A."""
    line = b""
    little = encoding == "utf-16-le"
    for piece in file:
        line += piece
        if little and len(line) % 2 == 1:  # the 0x0A stands first in its pair: its high half comes next
            line += file.read(1)
            if line.endswith(b"\0"):
                yield line
                line = b""
        elif not little and len(line) % 2 == 0 and line.endswith(b"\0\n"):
            yield line
            line = b""
    if line:
        yield line
