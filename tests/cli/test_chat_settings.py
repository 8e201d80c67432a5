"""How settings are shown."""

from rich.cells import cell_len

from nabot.cli.chat_settings import shown
from nabot.textmodel import Sampling


def test_columns_line_up_where_letters_are_wide() -> None:
    lines = shown(Sampling(stop=("질문:", "답변:"))).splitlines()
    texts = shown(Sampling()).splitlines()
    meanings = [line.split("  ")[-1].strip() for line in texts]
    assert len({cell_len(line) - cell_len(meaning) for line, meaning in zip(lines, meanings, strict=True)}) == 1
