"""Words that a chatbot should not learn to say. In: a text, out: the first such word in it and what kind of word it is.

A short list, kept in toxic_words.tsv with the category of each, of words that hardly ever mean anything else. It finds words
and no meaning: an insult without one of them passes, and a row about such a word (a lesson on slurs) is found; so rows are to
be shown to the person, not only dropped. Words that are harmless in another sense are left out on purpose: 걸레 is also a
mop, 새끼 a young animal, 닥쳐 part of "to come upon", "coon" the end of a cat's name. 시발점, a starting point, begins with a
word of the list and is safe, because only whole words count.
"""

import csv
from functools import cache
from pathlib import Path

from nabot.data.words import Found, WordLists

CATEGORIES = ("profanity", "slur", "sexual", "threat")
WORDS = Path(__file__).with_name("toxic_words.tsv")


def toxic_word(text: str) -> Found | None:
    """The first word of the list in `text`, whole and in any case; its name is the category. None if there is none."""
    return _lists().first(text)


@cache
def _lists() -> WordLists:
    with WORDS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return WordLists({kind: [row["word"] for row in rows if row["category"] == kind] for kind in CATEGORIES})
