"""Where a run stands, on disk: weights that learn, optimizer, random numbers, position. In and out: a folder.

A checkpoint is a folder that appears in one step. All of it is keyed by parameter name, so that it does not depend on
the order in which an optimizer holds its parameters.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_type_hints

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nabot.adapters.peft_files import read_tensors
from nabot.artifacts import new_folder, read_json, remove_leftovers, write_json
from nabot.errors import CheckpointError
from nabot.text import say

_KEPT = 2  # the newest and, should the disk lose it, the one before
Learned = Mapping[str, nn.Parameter]  # what the optimizer moves, by name: the masters of weights that have some


@dataclass
class RunState:
    """Everything else that a resumed run needs to know; seconds and tokens add up over all its sessions."""

    step: int = 0
    cursor: int = 0  # conversations taken over all epochs
    total_steps: int = 0  # 0: not chosen yet (`minutes`)
    tokens: int = 0
    trained_tokens: int = 0
    seconds: float = 0.0  # within steps
    wall_seconds: float = 0.0
    seconds_left: float | None = None  # about so many until the end; None: too early to tell
    first_loss: float | None = None
    last_loss: float | None = None
    held_out_loss: float | None = None
    best_loss: float | None = None
    best_step: int | None = None
    measured_step: int | None = None  # of the newest held-out loss
    probed_step: int | None = None  # of the newest probe answers


def save_checkpoint(folder: Path, learned: Learned, optimizer: torch.optim.Optimizer, state: RunState) -> None:
    """Writes `folder`/step-000123 and drops all but the two newest. Raises CapacityError if the disk is full."""
    with new_folder(_name(folder, state.step)) as aside:
        save_file({name: p.detach().cpu().contiguous() for name, p in learned.items()}, aside / "weights.safetensors")
        save_file(_optimizer_tensors(optimizer, learned), aside / "optimizer.safetensors")
        save_file(_random_states(), aside / "rng.safetensors")
        write_json(aside / "state.json", asdict(state))
    for old in checkpoints(folder)[:-_KEPT]:
        remove_folder(old)


def load_newest(
    folder: Path, learned: Learned, optimizer: torch.optim.Optimizer, note: Callable[[str], None]
) -> RunState | None:
    """Sets all as the newest checkpoint has it, or, with a note, the one before if that is damaged; None: there is none.

    Raises CheckpointError naming what is damaged first if no checkpoint is whole.
    """
    newest_first = checkpoints(folder)[::-1]
    damage: CheckpointError | None = None
    for path in newest_first:
        try:
            state = load_checkpoint(path, learned, optimizer)
        except CheckpointError as error:
            damage = damage or error
            continue
        if damage:
            note(say("train.older_checkpoint", path=newest_first[0], step=state.step))
        return state
    if damage:
        raise damage
    return None


def load_checkpoint(path: Path, learned: Learned, optimizer: torch.optim.Optimizer) -> RunState:
    """Sets weights, optimizer and random numbers as they were, and returns the rest.

    Raises CheckpointError, and leaves all as it is, if a file is damaged.
    """
    state = _read_state(path / "state.json")
    weights, saved, random = (_read_tensors(path / f"{name}.safetensors") for name in ("weights", "optimizer", "rng"))
    set_tensors(learned, weights, path)
    for name, parameter in learned.items():
        moments = {key.rsplit("/", 1)[1]: t for key, t in saved.items() if key.rsplit("/", 1)[0] == name}
        if moments:
            keeps_steps_on_cpu = not optimizer.defaults.get("fused")
            optimizer.state[parameter] = {
                key: t if key == "step" and keeps_steps_on_cpu else t.to(parameter.device) for key, t in moments.items()
            }
    for device, numbers in random.items():
        if device == "cpu":
            torch.set_rng_state(numbers)
        elif torch.cuda.is_available():
            torch.cuda.set_rng_state(numbers, device)
    return state


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return read_tensors(path)
    except CheckpointError as error:
        raise CheckpointError(say("train.damaged_checkpoint", path=path, reason=error.__cause__)) from error


def _read_state(path: Path) -> RunState:
    kinds = get_type_hints(RunState)
    try:
        state = RunState(**{**dict.fromkeys(kinds), **read_json(path)})
        for key, kind in kinds.items():
            if not isinstance(getattr(state, key), kind):
                raise TypeError(say("train.bad_state", key=key, value=getattr(state, key)))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(say("train.damaged_checkpoint", path=path, reason=error)) from error
    return state


def _random_states() -> dict[str, Tensor]:
    """Where the random numbers of each device stand; dropout draws them where the weights are."""
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return {"cpu": torch.get_rng_state(), **{f"cuda:{i}": state for i, state in enumerate(gpus)}}


def checkpoints(folder: Path) -> list[Path]:
    """The whole ones in `folder`, oldest first; what a killed writer left is cleared away."""
    if not folder.exists():
        return []
    remove_leftovers(folder)
    return sorted(p for p in folder.glob("step-*") if (p / "state.json").exists())


def set_tensors(places: Learned, tensors: dict[str, Tensor], origin: Path) -> None:
    """Copies by name. Raises CheckpointError if the two sides do not have the same names and shapes."""
    for name in sorted(places.keys() ^ tensors.keys()):
        raise CheckpointError(say("train.checkpoint_differs", path=origin, name=name))
    for name, place in places.items():
        if place.shape != tensors[name].shape:
            raise CheckpointError(say("train.checkpoint_differs", path=origin, name=name))
        place.data.copy_(tensors[name])


def remove_folder(path: Path) -> None:
    """Deletes a checkpoint so that no half of one is ever found: state.json, its sign of life, goes first."""
    (path / "state.json").unlink(missing_ok=True)
    for file in path.iterdir():
        file.unlink()
    path.rmdir()


def _optimizer_tensors(optimizer: torch.optim.Optimizer, learned: Learned) -> dict[str, Tensor]:
    return {
        f"{name}/{key}": torch.as_tensor(value).cpu().contiguous()
        for name, parameter in learned.items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _name(folder: Path, step: int) -> Path:
    return folder / f"step-{step:06d}"
