"""Texts in the form in which they are compared. In: a text, out: the same without what typing makes of it; how much it repeats."""

import re
import unicodedata

# Typography that people and models use for the same keys. NFKC leaves these alone, and takes ´ apart into a space and an accent.
_PLAIN = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′`´ʼ＇", "'"),
        **dict.fromkeys("“”„‟″«»＂", '"'),
        **dict.fromkeys("‐‑‒–—―−﹘﹣－", "-"),
    }
)
_GRAM = 4  # words; shorter repeats are ordinary prose ("the café is …")


def normalise(text: str) -> str:
    """The form in which texts are compared: NFKC, casefolded, plain quotes and dashes, single spaces.

    Decomposed before casefolding, as Unicode asks for compatibility caseless matching (chapter 3, D146): folding
    composed text first can give text that is no longer normal. Normalising twice changes nothing.
    """
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", text.translate(_PLAIN)).casefold()).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).translate(_PLAIN).split())


def repetition_rate(text: str) -> float:
    """The share of word 4-grams that already occurred in the text: 0 for short or varied ones, near 1 for a loop."""
    words = re.findall(r"\w+", normalise(text))
    grams = list(zip(*(words[i:] for i in range(_GRAM)), strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
