"""Text ↔ token ids: `load_tokenizer(path)` gives the `Tokenizer` of a model folder or a .gguf file.

`files` reads a folder, `spm_file` a tokenizer.model in it, `gguf_vocab` rebuilds a GGUF vocabulary (`pretokenizers` knows
how each model cuts words), `plain_twin` is the tokenizer that people's text goes through, `token_text` the way back, also
piece by piece. `extending` makes a vocabulary longer, with the merges that `merges` learns.
"""

from nabot.tokenizer.fitting import check_fits
from nabot.tokenizer.tokenizer import Tokenizer, load_tokenizer

__all__ = ["Tokenizer", "check_fits", "load_tokenizer"]
