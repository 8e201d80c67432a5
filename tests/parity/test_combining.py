"""Several LoRAs made one, against PEFT's add_weighted_adapter."""

from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from tiny_models import longer, random_tokens, tiny_decoder, tiny_hf, with_lora
from torch.testing import assert_close

from nabot.adapters import LoraConfig, combine, load_adapter, save_adapter
from nabot.adapters.combining import How
from nabot.errors import CheckpointError, ConfigError

TOKENS_BT = random_tokens(2, 40)
EQUAL = [LoraConfig(rank=4, alpha=8), LoraConfig(rank=4, alpha=3), LoraConfig(rank=4, alpha=6, layers="0")]
UNEQUAL = [
    LoraConfig(rank=4, alpha=8, targets="q_proj,up_proj"),
    LoraConfig(rank=2, alpha=2, targets="up_proj,k_proj"),
    LoraConfig(rank=7, alpha=3, targets="k_proj,down_proj"),
]
WEIGHTS = [0.7, -0.4, 1.3]


def written(configs: list[LoraConfig], folder: Path) -> list[Path]:
    """Learned adapters on the base "gqa"."""
    folders = [folder / str(number) for number in range(len(configs))]
    for seed, (config, path) in enumerate(zip(configs, folders, strict=True)):
        save_adapter(with_lora(tiny_decoder("gqa"), config, seed), path, "base")
    return folders


@torch.no_grad()
def their_logits(folders: list[Path], how: How, rank: int | None = None) -> torch.Tensor:
    names = [f"a{number}" for number in range(len(folders))]
    model: Any = peft.PeftModel.from_pretrained(tiny_hf("gqa"), folders[0], names[0])
    for name, folder in zip(names[1:], folders[1:], strict=True):
        model.load_adapter(folder, name)
    kind = {"concat": "cat"}.get(how, how)
    model.add_weighted_adapter(names, WEIGHTS[: len(names)], "one", combination_type=kind, svd_rank=rank)
    model.set_adapter("one")
    return model.eval()(TOKENS_BT).logits


@torch.no_grad()
def our_logits(folder: Path) -> torch.Tensor:
    decoder = tiny_decoder("gqa")
    load_adapter(decoder, folder)
    return decoder(TOKENS_BT)


@pytest.mark.parametrize(
    ("how", "configs", "rank"),
    [
        ("linear", EQUAL, None),
        ("linear", EQUAL[:1], None),
        ("concat", EQUAL, None),
        ("concat", UNEQUAL, None),
        ("svd", EQUAL, None),
        ("svd", UNEQUAL, 3),
    ],
)
def test_it_computes_what_peft_computes(how: How, configs: list[LoraConfig], rank: int | None, tmp_path: Path) -> None:
    folders = written(configs, tmp_path)
    combine(folders, WEIGHTS[: len(folders)], tmp_path / "one", how, rank)
    logits = our_logits(tmp_path / "one")
    assert (logits - our_logits(folders[0])).abs().max() > 0.05
    assert_close(logits, their_logits(folders, how, rank), atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("how", ["concat", "svd"])
def test_peft_loads_what_was_combined(how: How, tmp_path: Path) -> None:
    combine(written(UNEQUAL, tmp_path), WEIGHTS, tmp_path / "one", how)
    theirs = peft.PeftModel.from_pretrained(tiny_hf("gqa"), tmp_path / "one").eval()
    with torch.no_grad():
        assert_close(our_logits(tmp_path / "one"), theirs(TOKENS_BT).logits, atol=1e-5, rtol=1e-5)


def test_svd_of_a_rank_that_has_room_for_all_is_the_sum(tmp_path: Path) -> None:
    folders = written(UNEQUAL, tmp_path)
    combine(folders, WEIGHTS, tmp_path / "svd", "svd", 40)  # keys are 32 wide
    combine(folders, WEIGHTS, tmp_path / "concat", "concat")
    assert_close(our_logits(tmp_path / "svd"), our_logits(tmp_path / "concat"), atol=2e-5, rtol=2e-5)


def test_adapters_scaled_by_the_root_of_their_rank_are_added_as_they_work(tmp_path: Path) -> None:
    folders = written([LoraConfig(rank=4, alpha=4, rslora=True)], tmp_path)
    combine(folders, [1.0], tmp_path / "one", "concat")
    assert_close(our_logits(tmp_path / "one"), our_logits(folders[0]), atol=1e-5, rtol=1e-5)


# ---- what is refused


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"weights": [1.0]}, "2 adapters"),
        ({"weights": [1.0, float("nan")]}, "finite"),
        ({"how": "cat"}, "concat"),
        ({"how": "linear"}, r"up_proj has the ranks 2, 4"),
        ({"how": "concat", "rank": 4}, "svd alone"),
        ({"rank": 0}, "above 0"),
    ],
)
def test_what_does_not_go_together_is_explained(arguments: dict[str, Any], told: str, tmp_path: Path) -> None:
    folders = written(UNEQUAL[:2], tmp_path)
    with pytest.raises(ConfigError, match=told):
        combine(folders, **{"weights": [1.0, 1.0], "out": tmp_path / "one", "how": "svd", "rank": None} | arguments)
    assert not (tmp_path / "one").exists()


def test_adapters_of_other_models_are_named_by_their_module(tmp_path: Path) -> None:
    save_adapter(with_lora(tiny_decoder("mha")), tmp_path / "mha", "base")
    with pytest.raises(ConfigError, match=r"k_proj has other shapes"):
        combine([*written(EQUAL[:1], tmp_path), tmp_path / "mha"], [1, 1], tmp_path / "one", "concat")


def test_new_rows_are_refused(tmp_path: Path) -> None:
    decoder = with_lora(longer(tiny_decoder("gqa")), LoraConfig(rank=4, save_whole="lm_head"))
    save_adapter(decoder, tmp_path / "rows", "base")
    with pytest.raises(CheckpointError, match="trainable_token_indices"):
        combine([tmp_path / "rows"], [1.0], tmp_path / "one", "svd")


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (LoraConfig(rank=4, dora=True), "use_dora"),
        (LoraConfig(rank=4, bias="all"), "bias"),
        (LoraConfig(rank=4, save_whole="lm_head"), "modules_to_save"),
    ],
)
def test_more_than_a_plain_lora_is_refused(config: LoraConfig, field: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=field):
        combine(written([config], tmp_path), [1.0], tmp_path / "one", "svd")
