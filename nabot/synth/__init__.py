"""What a teacher writes becomes rows to learn. Completions → tasks → those that are fit and new.

`parsing` reads completions as self-instruct and Alpaca do, `filters` says why a task is left out, `novelty` whether it is nearly
there already, by the measure in `rouge`; `seeds` has the tasks that a teacher is shown. `modes` say what to ask (to the seam in
`asking`), `teacher` is an endpoint far away, `loop` carries questions and answers between them, `judging` decides, `journal` and
`budget` see to it that nothing is paid for twice or too dearly. Nothing here needs torch.
"""

from nabot.synth.filters import reject_instruction, reject_task
from nabot.synth.novelty import Near, Nearest, Pool
from nabot.synth.parsing import (
    is_classification,
    parse_alpaca,
    parse_instances,
    parse_instructions,
    parse_labelled_instances,
    usable_instances,
)
from nabot.synth.seeds import Seed, own_seeds, read_seeds
from nabot.synth.tasks import Reason, Rejected, Task

__all__ = [
    "Near",
    "Nearest",
    "Pool",
    "Reason",
    "Rejected",
    "Seed",
    "Task",
    "is_classification",
    "own_seeds",
    "parse_alpaca",
    "parse_instances",
    "parse_instructions",
    "parse_labelled_instances",
    "read_seeds",
    "reject_instruction",
    "reject_task",
    "usable_instances",
]
