"""Parquet files, as datasets are shared in. In: a path, out: items."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from nabot.data.imports.libraries import explained, explained_each, library
from nabot.data.imports.rows import row_items
from nabot.data.imports.types import Asked, Item
from nabot.data.rows import RawFile, RawRow

_BATCH_ROWS = 256
_BUFFER_BYTES = 1 << 20  # read as it goes; without a buffer of its own a whole group of rows is read at once


class ParquetReader:
    """Columns may be flat, or lists of messages."""

    name = "parquet"

    def recognises(self, path: Path, head: bytes) -> bool:
        """By its first bytes, or by its name where they are damaged."""
        return head.startswith(b"PAR1") or path.suffix.lower() == ".parquet"

    def read(self, path: Path, asked: Asked) -> Iterator[Item]:
        """Raises DataError if it is damaged or encrypted, or has no known layout."""
        parquet = library("pyarrow.parquet", path)
        with explained(path):
            file = parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES)
        with file:
            raw = RawFile("parquet", "", _rows(path, file), tuple(file.schema_arrow.names))
            yield from row_items(path, raw, asked)


def _rows(path: Path, file: Any) -> Iterator[RawRow]:
    numbers = count(1)
    batches = file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False)
    for rows in explained_each(path, (batch.to_pylist() for batch in batches)):  # also text that is no UTF-8
        for row in rows:
            yield RawRow(next(numbers), row)
