"""Exams and reports: does the bot know what it was taught, and what did it keep? Nothing here needs torch.

`scoring` marks an answer, `exam` asks and counts, `verdict` and `table` say it in words and rows, `report` writes the
page. Whatever answers is a `TextModel`.
"""

from nabot.evals.exam import CONTESTANTS, GENERAL, Contestant, Marked, Sheet, result, sit
from nabot.evals.report import Report, report_page, write_report
from nabot.evals.table import exam_table, print_exam

__all__ = [
    "CONTESTANTS",
    "GENERAL",
    "Contestant",
    "Marked",
    "Report",
    "Sheet",
    "exam_table",
    "print_exam",
    "report_page",
    "result",
    "sit",
    "write_report",
]
