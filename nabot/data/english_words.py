"""The English words that `roots_english` goes by. In: `english_words.toml`, out: sets and tables of words in small letters."""

import tomllib
from pathlib import Path

_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def _words(name: str) -> frozenset[str]:
    return frozenset(_TABLES[name].split())


VERBS = _words("verbs")
TWO_OBJECTS = _words("two_objects")
DETERMINERS = _words("determiners")
NUMBERS = _words("numbers")
INDIRECT = _words("indirect")
PRONOUNS = _words("pronouns")
AUXILIARIES = _words("auxiliaries")
BE = _words("be")
QUESTION_WORDS = _words("question_words")
PREPOSITIONS = _words("prepositions")
PARTICLES = _words("particles")
INTENSIFIERS = _words("intensifiers")
ADJECTIVES = _words("adjectives")
ADJECTIVE_ENDINGS = tuple(_words("adjective_endings"))
NO_ADJECTIVES = _words("no_adjectives")
THINGS_IN_ING = _words("things_in_ing")
BEHIND_A_NOUN = _words("behind_a_noun")
NO_ADVERBS = _words("no_adverbs")
NO_PLURALS = _words("no_plurals")
ENDS_A_PHRASE = _words("ends_a_phrase").union(
    QUESTION_WORDS, AUXILIARIES, BE, PREPOSITIONS, PARTICLES - {"back"}, PRONOUNS, INDIRECT
)

SPELLINGS: dict[str, str] = _TABLES["spellings"]
IRREGULAR_VERBS: dict[str, str] = _TABLES["irregular_verbs"]
IRREGULAR_PLURALS: dict[str, str] = _TABLES["irregular_plurals"]
