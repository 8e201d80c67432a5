"""Documents → passages for a teacher: PDF, DOCX, HWPX, HWP, EPUB, HTML, Markdown, plain text.

A reader gives blocks, `nabot.data.passages` makes passages of them. What says most about itself is asked first: plain text
recognises everything that is text, so these readers come behind those of rows and chats.
"""

from nabot.data.imports.documents.docx import DOCX
from nabot.data.imports.documents.epub import EPUB
from nabot.data.imports.documents.html import HTML
from nabot.data.imports.documents.hwp import HWP
from nabot.data.imports.documents.hwpx import HWPX
from nabot.data.imports.documents.markdown import MARKDOWN
from nabot.data.imports.documents.pdf import PDF
from nabot.data.imports.documents.plain import PLAIN
from nabot.data.imports.documents.reader import DocumentReader

DOCUMENT_READERS: tuple[DocumentReader, ...] = (PDF, HWPX, EPUB, HWP, DOCX, HTML, MARKDOWN, PLAIN)

__all__ = ["DOCUMENT_READERS", "DocumentReader"]
