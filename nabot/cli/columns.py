"""Text by the columns that it takes in a terminal, where a Hangul syllable takes two. In: text, out: widths and lines."""

from collections.abc import Iterator
from unicodedata import category, east_asian_width


def width(text: str) -> int:
    """Columns: two for a wide or full-width letter, none for a mark that stands on the one before (UAX #11)."""
    return sum(0 if category(c) in ("Mn", "Me", "Cf") else 1 + (east_asian_width(c) in "WF") for c in text)


def padded(text: str, columns: int) -> str:
    """With spaces behind it, up to so many columns."""
    return text + " " * (columns - width(text))


def wrapped(text: str, room: int) -> list[str]:
    """Lines of at most `room` columns, broken between words; a word that is longer stands alone, whole."""
    return list(_lines(text.split(), room))


def _lines(words: list[str], room: int) -> Iterator[str]:
    line = ""
    for word in words:
        longer = f"{line} {word}" if line else word
        if line and width(longer) > room:
            yield line
            longer = word
        line = longer
    if line:
        yield line
