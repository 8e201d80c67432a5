"""Meta's folder against a forward in Meta's own way: complex rotary numbers over neighbouring pairs, nothing permuted."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from nabot.errors import CheckpointError
from nabot.models.loading import load_decoder
from nabot.models.meta_folder import convert_meta, half_split

VOCAB, WIDTH, INNER, LAYERS, HEADS = 50, 32, 48, 2, 4
PARAMS: dict[str, Any] = {
    "dim": WIDTH, "n_layers": LAYERS, "n_heads": HEADS, "norm_eps": 1e-5, "vocab_size": -1, "multiple_of": 16,
}  # fmt: skip
BY_INPUTS = ("wo.weight", "w2.weight")
TOKENS_BT = torch.tensor([[3, 17, 44, 9, 0, 21, 8, 30, 2], [1, 1, 2, 3, 5, 8, 13, 21, 34]])


def weights(kv_heads: int = HEADS) -> dict[str, Tensor]:
    """A whole model under Meta's names."""
    rng = torch.Generator().manual_seed(0)
    kv = kv_heads * WIDTH // HEADS
    shapes = {
        "attention.wq": (WIDTH, WIDTH), "attention.wk": (kv, WIDTH), "attention.wv": (kv, WIDTH),
        "attention.wo": (WIDTH, WIDTH), "feed_forward.w1": (INNER, WIDTH), "feed_forward.w2": (WIDTH, INNER),
        "feed_forward.w3": (INNER, WIDTH), "attention_norm": (WIDTH,), "ffn_norm": (WIDTH,),
    }  # fmt: skip
    named = {f"layers.{n}.{name}.weight": shape for n in range(LAYERS) for name, shape in shapes.items()}
    named |= {"tok_embeddings.weight": (VOCAB, WIDTH), "norm.weight": (WIDTH,), "output.weight": (VOCAB, WIDTH)}
    made = {name: torch.randn(shape, generator=rng) * 0.2 + (len(shape) == 1) for name, shape in named.items()}
    return made | {"rope.freqs": torch.ones(4)}


def forward(model: dict[str, Tensor], tokens_BT: Tensor, kv_heads: int = HEADS, theta: float = 10_000.0) -> Tensor:
    """Logits as meta-llama's model.py computes them: a pair of neighbours is one complex number, turned by position."""
    length, head_width = tokens_BT.shape[1], WIDTH // HEADS

    def norm(x: Tensor, name: str) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + PARAMS["norm_eps"]) * model[f"{name}.weight"]

    speeds = theta ** (-torch.arange(0, head_width, 2) / head_width)
    turns = torch.polar(torch.ones(length, head_width // 2), torch.outer(torch.arange(length), speeds))

    def turned(x_BTHE: Tensor) -> Tensor:
        pairs = torch.view_as_complex(x_BTHE.unflatten(-1, (-1, 2)).contiguous())
        return torch.view_as_real(pairs * turns[:, None]).flatten(-2)

    def layer(x: Tensor, at: str) -> Tensor:
        y = norm(x, f"{at}.attention_norm")
        q, k, v = (F.linear(y, model[f"{at}.attention.w{n}.weight"]).unflatten(-1, (-1, head_width)) for n in "qkv")
        k, v = (t.repeat_interleave(HEADS // kv_heads, 2) for t in (turned(k), v))
        scores = torch.einsum("bthe,bshe->bhts", turned(q), k) / head_width**0.5
        scores = scores.masked_fill(torch.ones(length, length).triu(1).bool(), -torch.inf)
        mixed = torch.einsum("bhts,bshe->bthe", scores.softmax(-1), v).flatten(-2)
        x = x + F.linear(mixed, model[f"{at}.attention.wo.weight"])
        y = norm(x, f"{at}.ffn_norm")
        gate, up = (F.linear(y, model[f"{at}.feed_forward.w{n}.weight"]) for n in (1, 3))
        return x + F.linear(F.silu(gate) * up, model[f"{at}.feed_forward.w2.weight"])

    x = model["tok_embeddings.weight"][tokens_BT]
    for n in range(LAYERS):
        x = layer(x, f"layers.{n}")
    return F.linear(norm(x, "norm"), model.get("output.weight", model["tok_embeddings.weight"]))


def write(folder: Path, model: dict[str, Tensor], *, files: int = 1, by_words: bool = False, **params: Any) -> Path:
    """As Meta cuts it for several cards."""
    folder.mkdir()
    (folder / "params.json").write_text(json.dumps(PARAMS | params), encoding="utf-8")

    def cut(name: str, tensor: Tensor) -> tuple[Tensor, ...]:
        if tensor.dim() == 1:
            return (tensor,) * files
        by_width = name.endswith(BY_INPUTS) or (name == "tok_embeddings.weight" and not by_words)
        return tensor.chunk(files, 1 if by_width else 0)

    pieces = {name: cut(name, tensor) for name, tensor in model.items()}
    for n in range(files):
        torch.save({name: piece[n].clone() for name, piece in pieces.items()}, folder / f"consolidated.{n:02}.pth")
    return folder


def converted(folder: Path) -> Path:
    out = folder.with_name("converted")
    out.mkdir()
    convert_meta(folder, out, lambda done, total: None)
    return out


@pytest.mark.parametrize("files", [1, 2])
@pytest.mark.parametrize("by_words", [False, True])
@pytest.mark.parametrize(("kv_heads", "theta"), [(4, 10_000.0), (2, 500_000.0)])
def test_logits_are_those_of_metas_own_way(
    files: int, by_words: bool, kv_heads: int, theta: float, tmp_path: Path
) -> None:
    model = weights(kv_heads)
    folder = write(tmp_path / "7B", model, files=files, by_words=by_words, n_kv_heads=kv_heads, rope_theta=theta)
    with torch.no_grad():
        ours = load_decoder(converted(folder))(TOKENS_BT)
    assert_close(ours, forward(model, TOKENS_BT, kv_heads, theta), atol=1e-5, rtol=1e-5)


def test_without_a_head_the_embedding_is_the_head(tmp_path: Path) -> None:
    model = weights()
    del model["output.weight"]
    with torch.no_grad():
        ours = load_decoder(converted(write(tmp_path / "1B", model)))(TOKENS_BT)
    assert_close(ours, forward(model, TOKENS_BT), atol=1e-5, rtol=1e-5)


def test_transformers_reads_what_was_written(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = weights()
    theirs = AutoModelForCausalLM.from_pretrained(converted(write(tmp_path / "7B", model, files=2))).eval()
    with torch.no_grad():
        assert_close(theirs(TOKENS_BT).logits, forward(model, TOKENS_BT), atol=1e-5, rtol=1e-5)


def test_stretched_frequencies_are_said_in_the_config(tmp_path: Path) -> None:
    out = converted(
        write(tmp_path / "3.1", weights(), rope_theta=500_000.0, use_scaled_rope=True, rope_scaling_factor=8)
    )
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert config["rope_scaling"]["factor"] == 8
    assert config["max_position_embeddings"] == 131_072


class Evil:
    def __reduce__(self) -> Any:
        return print, ("it ran",)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "7B", weights())
    torch.save({"tok_embeddings.weight": Evil()}, folder / "consolidated.00.pth")
    with pytest.raises(CheckpointError, match=r"consolidated\.00\.pth: .*tensors alone"):
        converted(folder)
    assert "it ran" not in capsys.readouterr().out


@pytest.mark.parametrize("damage", [lambda raw: raw[:5000], lambda raw: b"", lambda raw: b"hello"])
def test_a_damaged_pickle_is_named(damage: Any, tmp_path: Path) -> None:
    folder = write(tmp_path / "7B", weights())
    path = folder / "consolidated.00.pth"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=r"consolidated\.00\.pth"):
        converted(folder)


def test_a_missing_shard_is_seen(tmp_path: Path) -> None:
    folder = write(tmp_path / "13B", weights(), files=2)
    (folder / "consolidated.01.pth").unlink()
    with pytest.raises(CheckpointError, match=r"has shape \[16, 32\], expected 32 × 32; .* 1 file"):
        converted(folder)


def test_another_number_of_layers_is_seen(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"layers\.2\.attention\.wk\.weight is missing"):
        converted(write(tmp_path / "7B", weights(), n_layers=3))


def test_a_tensor_of_another_architecture_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"extra\.weight is there"):
        converted(write(tmp_path / "7C", weights() | {"extra.weight": torch.ones(1)}))


@pytest.mark.parametrize(
    ("params", "message"),
    [({"moe_args": {}}, "moe_args"), ({"dim": "wide"}, "params.json"), ({"dim": None}, "params.json")],
)
def test_a_field_that_is_not_honoured_is_refused(params: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        converted(write(tmp_path / "7B", weights(), **params))


@given(st.integers(1, 5), st.integers(1, 8))
def test_in_each_head_even_rows_come_first(heads: int, half: int) -> None:
    rows = torch.arange(heads * 2 * half)[:, None]
    for n, head in enumerate(half_split(rows, 2 * half).squeeze(1).split(2 * half)):
        first = n * 2 * half
        assert head.tolist() == [*range(first, first + 2 * half, 2), *range(first + 1, first + 2 * half, 2)]
