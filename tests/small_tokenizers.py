"""Tokenizers small enough to train in a test, of the two kinds that LLaMA's family has."""

import json
from functools import lru_cache

from token_strings import COMBINED, CONTROL, ORDINARY, strings
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from nabot.tokenizer.pretokenizers import PRE_TOKENIZERS

MARKS = (
    *("<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    *("<start_of_turn>", "<end_of_turn>"),
)
WORD_MARKS = ("<think>", "<tool_call>")  # added, but not special


@lru_cache
def byte_level(words: str = "gpt-2") -> Tokenizer:
    """GPT-2's kind. `words`: how text is cut into words ("gpt-2", "llama3").

    "none" gives tokens that reach over word borders, so that every other pre-tokenizer shows in the ids.
    """
    tokenizer = Tokenizer(models.BPE())
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = whole if words == "none" else PRE_TOKENIZERS[words].build()
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        list(strings(2000, 5, (*ORDINARY, COMBINED, CONTROL))),
        trainers.BpeTrainer(vocab_size=2000, initial_alphabet=alphabet, show_progress=False),
    )
    return _with_marks(tokenizer, MARKS + WORD_MARKS)


@lru_cache
def sentencepiece(style: str = "prepend", marks: tuple[str, ...] = MARKS + WORD_MARKS) -> Tokenizer:
    """LLaMA 2's kind, with byte tokens. `style`: "prepend" (a normalizer), "first" or "always" (Metaspace)."""
    trainee = Tokenizer(models.BPE())
    trainee.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    split = [pre_tokenizers.Split(Regex(r"[\n<>]"), "isolated"), pre_tokenizers.Split("▁", "merged_with_next")]
    trainee.pre_tokenizer = pre_tokenizers.Sequence(split)
    text = [*strings(2000, 5, ORDINARY), *("a" + " " * n for n in range(2, 9))]
    trainee.train_from_iterator(text, trainers.BpeTrainer(vocab_size=1500, limit_alphabet=150, show_progress=False))
    learned = json.loads(trainee.to_str())["model"]
    tokens = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *learned["vocab"]]
    model = models.BPE(
        vocab={token: n for n, token in enumerate(tokens)},
        merges=[tuple(merge) for merge in learned["merges"]],
        byte_fallback=True,
        fuse_unk=True,
        unk_token="<unk>",
    )
    tokenizer = Tokenizer(model)
    if style == "prepend":
        tokenizer.normalizer = trainee.normalizer
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=style, split=False)
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(parts)
    tokenizer.add_special_tokens([AddedToken("<unk>", normalized=False)])
    return _with_marks(tokenizer, marks)


def _with_marks(tokenizer: Tokenizer, marks: tuple[str, ...]) -> Tokenizer:
    tokenizer.add_tokens([AddedToken(mark, normalized=False, special=mark not in WORD_MARKS) for mark in marks])
    return tokenizer
