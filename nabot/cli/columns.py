"""Text by the columns that it takes in a terminal, where a Hangul syllable takes two. In: text, out: widths and lines."""

from collections.abc import Iterator


def width(text: str) -> int:
    """Columns: two for a wide or full-width letter, none for a mark or a jamo that joins the one before."""
    from rich.cells import cell_len  # here, since it takes longer to import than most commands to answer

    return cell_len(text)


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
