"""Whether a tokenizer and an embedding belong together. In: a tokenizer and the embedding's rows, out: nothing, or an error.

An embedding with more rows is common: they are padded to a round number. Fewer rows are two different models, but for
special tokens that nothing writes: Gemma 3's tokenizer has one for pictures that its text models have no row for.
"""

from pathlib import Path

from nabot.errors import CheckpointError
from nabot.text import say
from nabot.tokenizer.tokenizer import Tokenizer


def check_fits(tokenizer: Tokenizer, num_rows: int, model: Path) -> None:
    """Raises CheckpointError if some token that can come about has no row."""
    if tokenizer.vocab_size <= num_rows:
        return
    without_row = [n for n in tokenizer.backend.get_vocab(with_added_tokens=True).values() if n >= num_rows]
    if any(_can_come_about(tokenizer, n) for n in without_row):
        raise CheckpointError(say("tokenizer.other_size", path=model, tokens=tokenizer.vocab_size, rows=num_rows))


def _can_come_about(tokenizer: Tokenizer, token: int) -> bool:
    """Whether text becomes it, the tokenizer writes it by itself, or the model's template does."""
    added = tokenizer.special_tokens.get(token)
    named = {tokenizer.bos_id, tokenizer.eos_id, *tokenizer.stop_ids}
    return added is None or not added.special or token in named or added.content in (tokenizer.chat_template or "")
