"""A person's files, read, checked and put in order. Files → conversations → the order and the bins they are learned in.

`files` reads whatever layout people bring, `check` says what is wrong with it, `packing` and `heldout` decide which
row is learned when. Nothing here needs torch.
"""

from nabot.data.files import (
    ExamQuestion,
    Fault,
    conversations_from,
    read_conversations,
    read_exam,
    read_text,
    scan_conversations,
    scan_exam,
)
from nabot.data.heldout import held_out_places
from nabot.data.init import write_starter
from nabot.data.packing import order, pack, row_at

__all__ = [
    "ExamQuestion",
    "Fault",
    "conversations_from",
    "held_out_places",
    "order",
    "pack",
    "read_conversations",
    "read_exam",
    "read_text",
    "row_at",
    "scan_conversations",
    "scan_exam",
    "write_starter",
]
