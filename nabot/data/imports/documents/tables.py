"""Tables of documents → blocks. In: rows of cells, each a list of paragraphs, out: one block of lines, or paragraphs.

Many documents draw boxes as tables of one column, and Korean forms put whole chapters in them: those are paragraphs.
"""

from collections.abc import Iterator, Sequence

from nabot.data.cutting import Block

Row = Sequence[Sequence[str]]  # cells, each with its paragraphs
_BETWEEN_CELLS = " | "


def table_blocks(rows: Sequence[Row], place: str = "") -> Iterator[Block]:
    """A line for each row that has text; columns without any are left out, and empty cells at the end of a row."""
    used = sorted({i for row in rows for i, cell in enumerate(row) if _one_line(cell)})
    if len(used) > 1:
        lines = (_BETWEEN_CELLS.join(_one_line(row[i]) for i in used if i < len(row)).rstrip(" |") for row in rows)
        yield Block("\n".join(line for line in lines if line), place=place, whole=True)
    else:
        yield from (Block(paragraph, place=place) for row in rows for cell in row for paragraph in cell)


def _one_line(cell: Sequence[str]) -> str:
    return " ".join(" ".join(cell).split())
