"""The settings of a tuning run. In: nothing, out: frozen records whose fields are the flat keys of `--set`."""

import math
from dataclasses import dataclass
from typing import Literal

from nabot.models.recompute import Recompute
from nabot.train.schedule import Schedule

_STEPS_FOR_FACTS = 350
_RATES = {"lora": 2e-3, "network": 3e-3, "full": 2e-4, "freeze": 2e-4}  # at width 576
_RATES_IN_UNITS = {"prefix": 3e-2, "prompt": 3e-1}  # of the spread of what they begin as, at any width
WHOLE_RATE = 1 / 40  # of an embedding or head beside LoRA, as a share of LoRA's (`save_whole`): what they stand at 2e-3
NEW_ROWS_RATE = 1 / 2  # of the rows of tokens that were added, which learn alone: they begin far from where they belong


@dataclass(frozen=True)
class TrainConfig:
    """How a run learns; lengths in tokens, sizes in conversations, rates a step."""

    learning_rate: float | None = None  # None: what suits the width, see `rate_for`
    lora_plus: float = 1.0  # rate of LoRA's B as a multiple of A's (Hayou et al. 2024, arXiv 2402.12354, which take 16)
    schedule: Schedule = "cosine"
    warmup_ratio: float = 0.03  # Alpaca's
    batch_size: int = 8  # conversations a step
    row_tokens: int = 2048  # most tokens in one pass; a step that needs more takes several and adds their gradients
    max_length: int = 1024  # longest conversation; older turns go first, the last answer never
    epochs: float | None = None  # None: what suits the number of rows, see `epochs_for`
    minutes: float | None = None  # instead of epochs: as many steps as fit
    weight_decay: float = 0.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    max_norm: float = 1.0  # gradients longer than this are scaled down to it; 0 leaves them
    seed: int = 0
    rehearsal_ratio: float = 0.25  # everyday questions beside each batch, as a share of it: little is forgotten
    rehearsal_weight: float = 6.0  # how much a token of theirs counts against one of the person's
    held_out: int | None = None  # conversations kept apart to measure the loss on; None: 5 %, at most 64
    eval_every: int = 0  # steps between held-out losses; 0: once an epoch
    save_every: int = 50  # steps between checkpoints; 0: once an epoch
    probe_every: int = 0  # steps between probe answers; 0: once an epoch
    keep: Literal["last", "best"] = "last"  # best: by held-out loss
    dtype: Literal["auto", "float32", "bfloat16", "float64"] = "auto"
    device: str = "auto"
    base_bits: Literal["dense", "file", "nf4", "int8"] = "dense"  # how frozen linears are held: `models/packed.py`
    threads: int = 0  # 0: as many as torch takes
    # Less memory for more time; docs/speed.md says how much of each.
    checkpoint: Recompute = "none"  # what of each block is computed again in the backward pass: `models/recompute.py`
    optimizer_in_backward: bool = False  # each weight moves as soon as its gradient is there: `train/in_backward.py`
    offload_activations: bool = False  # what the backward pass needs waits outside the card: `train/offload.py`

    def epochs_for(self, rows: int) -> float:
        """How often each of so many conversations is learned: if it is not set, 3 times, as in Alpaca.

        A small file is learned more often, up to 8 times, so that there are 350 steps: facts need them, measured at 500
        rows.
        """
        if self.epochs is not None:
            return self.epochs
        return min(8.0, max(3.0, round(_STEPS_FOR_FACTS * self.batch_size / rows, 1)))

    def looks_at(self, rows: int) -> int:
        """Conversations that a run over so many takes, each as often as it comes."""
        return math.ceil(self.epochs_for(rows) * rows)

    def steps_for(self, rows: int) -> int:
        """Steps that they take."""
        return math.ceil(self.looks_at(rows) / self.batch_size)

    def rehearsed_before(self, step: int) -> int:
        """How many everyday questions stand beside the batches of all steps before this one."""
        return int(step * self.rehearsal_ratio * self.batch_size)

    def rate_for(self, width: int, kind: str = "lora") -> float:
        """The peak rate for a model with hidden states this wide: if none is set, 2e-3 for LoRA at 576, 4e-4 at 4,096.

        All are measured at 576 (docs/log.md); wide models want less, but for virtual tokens, whose rates count in the
        spread of what they begin as. Source of the exponent: Schulman et al. 2025, "LoRA Without Regret", fitted for
        LLaMA.
        """
        return self.learning_rate or _RATES_IN_UNITS.get(kind) or _RATES[kind] * (576 / width) ** 0.78
