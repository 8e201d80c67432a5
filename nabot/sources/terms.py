"""The terms that come with weights. In: a licence's name and the page with its terms, out: files that travel with a bot.

HOME/licences/NAME.txt is the text as it came with the model; `NOTICES` says what a licence wants to stand beside whatever is
made from its weights.   Source: Gemma Terms of Use (March 24, 2025), section 3.1: a copy of the terms, a statement that files
were modified, the restrictions of section 3.2, and the sentence of the notice word for word.
"""

import html.parser
import re
from pathlib import Path

from nabot.artifacts import write_file
from nabot.sources.store import models_folder

_BLOCKS = frozenset(
    [
        "p",
        "div",
        "li",
        "ul",
        "ol",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "br",
        "tr",
        "section",
        "article",
        "header",
        "footer",
        "aside",
    ]
)
_UNSEEN = frozenset(["script", "style", "head", "nav", "svg", "template", "button"])

NOTICES = {
    "gemma": (
        "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms\n\n"
        "What lies beside this file was made from Gemma with nabot: its files are modified files, and a Model Derivative of "
        "Gemma in the sense of those terms. Whoever uses it or passes it on is bound by the use restrictions of their section "
        "3.2, which include the Gemma Prohibited Use Policy at ai.google.dev/gemma/prohibited_use_policy, has to bind "
        "whomever it is passed on to by them as well, and has to pass on a copy of the terms and this notice.\n"
    )
}


def licence_folder() -> Path:
    """Where terms are kept, and which of them were accepted."""
    return models_folder().parent / "licences"


def terms_path(licence: str) -> Path:
    return licence_folder() / f"{licence}.txt"


def keep_terms(licence: str, page: bytes) -> Path:
    """Writes the terms as a text that can be read in a terminal."""
    path = terms_path(licence)
    write_file(path, readable(page.decode("utf-8", errors="replace")))
    return path


def licence_files(licence: str) -> dict[str, str]:
    """name → text of what has to travel with everything made from weights under `licence`; often nothing."""
    terms = terms_path(licence)
    names = licence_names(licence)
    if not names:
        return {}
    notice = {names[0]: NOTICES[licence]}
    return notice | {names[1]: terms.read_text(encoding="utf-8")} if terms.is_file() else notice


def write_licence_files(folder: Path, licence: str) -> list[str]:
    """Puts them into `folder`; their names."""
    files = licence_files(licence)
    for name, text in files.items():
        write_file(folder / name, text)
    return list(files)


def licence_names(licence: str) -> tuple[str, ...]:
    """The names of those files: of the notice, and of the copy of the terms."""
    return ("NOTICE.txt", f"LICENSE-{licence}.txt") if licence in NOTICES else ()


def readable(page: str) -> str:
    """The words of a page, from its first heading, a block in a line; what is no page stays as it is."""
    if not re.search(r"<(html|body|article|h1|p)\b", page, re.IGNORECASE):
        return page
    reader = _Reader()
    reader.feed(page)
    lines = (" ".join(line.split()) for line in "".join(reader.found).splitlines())
    return "\n\n".join(line for line in lines if line.strip("- ")) + "\n"


class _Reader(html.parser.HTMLParser):
    """Collects text; a first heading makes it forget what stood before: the page's menus."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._unseen = 0
        self._has_heading = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "h1" and not self._has_heading:
            self._has_heading = True
            self.found.clear()
        self._unseen += tag in _UNSEEN
        if tag in _BLOCKS:
            self.found.append("\n- " if tag == "li" else "\n")

    def handle_endtag(self, tag: str) -> None:
        self._unseen = max(0, self._unseen - (tag in _UNSEEN))
        if tag in _BLOCKS:
            self.found.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.found.append(data.replace("\n", " "))
