"""Texts with commands in them. In: a template and its fields, out: a sentence whose commands can be copied into a shell."""

import shlex
import string
from typing import Any


class QuotingFormatter(string.Formatter):
    """`str.format` and the conversion "q": {path!q} is one word for a shell, whatever is in it."""

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        """The value as the conversion has it."""
        return shlex.quote(str(value)) if conversion == "q" else super().convert_field(value, conversion)
