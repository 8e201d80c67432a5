"""The name in `tokenizer.ggml.pre` → how text is cut into words before BPE merges letters within them.

The expressions are those that the models' own tokenizer.json files carry, in the form in which llama.cpp applies
them: one after another, each cutting what the ones before left; what no expression matches is a word of its own.
Source: ggml-org/llama.cpp, src/llama-vocab.cpp (names, order, defaults).
"""

import re
from dataclasses import dataclass

from tokenizers import Regex
from tokenizers.pre_tokenizers import ByteLevel, PreTokenizer, Sequence, Split


@dataclass(frozen=True)
class Pre:
    """`ignore_merges`: a word that is a token is that token, whatever the merges say. `add_bos`: where no key says."""

    patterns: tuple[str, ...]
    ignore_merges: bool = False
    add_bos: bool = False

    def build(self, missing_letters: str = "") -> PreTokenizer:
        """`missing_letters` (of GPT-2's alphabet) are bytes without a token: left out, with no merge across them."""
        steps: list[PreTokenizer] = [Split(Regex(pattern), behavior="isolated") for pattern in self.patterns]
        steps.append(ByteLevel(add_prefix_space=False, use_regex=False))
        if missing_letters:
            steps.append(Split(Regex(f"[{re.escape(missing_letters)}]"), behavior="removed"))
        return Sequence(steps)


_SPACE = r"\s+(?!\S)|\s+"  # white space gives its last character to the word that follows
_CONTRACTIONS = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|" + _SPACE
_LINES = r"\s*[\r\n]+|" + _SPACE


def _llama3_like(digits: str, end_of_marks: str = r"[\r\n]*") -> str:
    marks = r" ?[^\s\p{L}\p{N}]+" + end_of_marks
    return rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}|{marks}|{_LINES}"


# Words of one case, or a capital and small letters after it; llama.cpp knows the case of A-Z only and differs there.
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"


def _cased(digits: str, contractions: str) -> str:
    first = r"[^\r\n\p{L}\p{N}]?"
    words = f"{first}{_UPPER}*{_LOWER}+{contractions}|{first}{_UPPER}+{_LOWER}*{contractions}"
    return rf"{words}|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_LINES}"


_GPT_2 = Pre((_GPT2,))
_LLAMA3 = Pre((_llama3_like(r"\p{N}{1,3}"),), ignore_merges=True, add_bos=True)
_DBRX = Pre((_llama3_like(r"\p{N}{1,3}"),))
_QWEN2 = Pre((_llama3_like(r"\p{N}"),))
_DIGITS = Pre((r"\p{N}", _GPT2))
_GPT_4O = Pre((_cased(r"\p{N}{1,3}", _CONTRACTIONS + "?"),))
_QWEN35 = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_LINES}"
)
_DEEPSEEK_CJK = r"(?:(?!\s)[\x{0800}-\x{9fa5}\x{ac00}-\x{d7ff}])+"
_DEEPSEEK_V3 = (
    r"\p{N}{1,3}",
    r"[\x{4e00}-\x{9fa5}\x{3040}-\x{30ff}]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|" + _LINES,
)

PRE_TOKENIZERS: dict[str, Pre] = {
    "default": Pre((r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]")),
    "gpt-2": _GPT_2,
    "phi-2": _GPT_2,
    "mpt": _GPT_2,
    "olmo": _GPT_2,
    "jais": _GPT_2,
    "trillion": _GPT_2,
    "exaone4": _GPT_2,
    "gigachat": _GPT_2,
    "a.x-4.0": _GPT_2,
    "mellum": _GPT_2,
    "granite-docling": _GPT_2,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "llama-bpe": _LLAMA3,
    "falcon3": _LLAMA3,
    "falcon-h1": _LLAMA3,
    "pixtral": _LLAMA3,
    "midm-2.0": _LLAMA3,
    "lfm2": _LLAMA3,
    "dbrx": _DBRX,
    "smaug-bpe": _DBRX,
    "glm4": _DBRX,
    "chatglm-bpe": _DBRX,
    "smollm": _DIGITS,
    "starcoder": _DIGITS,
    "refact": _DIGITS,
    "command-r": _DIGITS,
    "codeshell": _DIGITS,
    "exaone": _DIGITS,
    "minerva-7b": _DIGITS,
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
    "kormo": _QWEN2,
    "megrez": _QWEN2,
    "stablelm2": _QWEN2,
    "hunyuan": _QWEN2,
    "solar-open": _QWEN2,
    "qwen35": Pre((_QWEN35,)),
    "falcon": Pre((r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, r"[0-9][0-9][0-9]")),
    "deepseek-coder": Pre((r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _DEEPSEEK_CJK, r"\p{N}")),
    "deepseek-v3": Pre(_DEEPSEEK_V3),
    "hunyuan-dense": Pre(_DEEPSEEK_V3),
    "tekken": Pre((_cased(r"\p{N}", ""),), ignore_merges=True, add_bos=True),
    "gpt-4o": _GPT_4O,
    "llama4": _GPT_4O,
    "kanana2": _GPT_4O,
    "seed-coder": Pre((_llama3_like(r"\p{N}").replace(r"[^\s\p{L}\p{N}]+[\r\n]*", r"[^\s\p{L}\p{N}\r\n]+"),)),
    "minicpm5": Pre((r"\p{N}{1,3}", _llama3_like(r"\p{N}+")), ignore_merges=True),
    "exaone-moe": Pre(
        (
            rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}"
            rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]?|\s*[\r\n]|{_SPACE}",
        )
    ),
}
