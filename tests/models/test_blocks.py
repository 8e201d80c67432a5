"""Linears that stay in a file's blocks, or in 8 bits: against the dense decoder, the gguf package, and a real text."""

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from test_quantised import HELD_OUT, TOKENS, read, written
from tiny_model import write_tiny_model
from tiny_models import gradients, random_examples, tiny_decoder, with_adapter
from torch import Tensor
from torch.testing import assert_close

from nabot.adapters import AdapterConfig, LoraConfig, VirtualConfig, fuse, lora_groups
from nabot.errors import CheckpointError, ConfigError
from nabot.models import packed
from nabot.models.blocks import Blocks, eight_bits
from nabot.models.decoder import Decoder
from nabot.models.linear import linear_groups
from nabot.models.loading import few_bits, load_decoder
from nabot.models.packed import PackedGroup
from nabot.models.quantised import QuantisedGroup, quantise
from nabot.tokenizer import load_tokenizer
from nabot.train.batches import collate
from nabot.train.loss import answer_loss

Kind = gguf.GGMLQuantizationType
WIDTH, MLP, HEADS, KV_HEADS, VOCAB = 256, 512, 4, 2, 97
# As a file of mixed types has them: the members of a group differ.
LINEARS = {
    "attn_q": ((WIDTH, WIDTH), Kind.Q4_K),
    "attn_k": ((WIDTH // 2, WIDTH), Kind.Q4_0),
    "attn_v": ((WIDTH // 2, WIDTH), Kind.Q6_K),
    "attn_output": ((WIDTH, WIDTH), Kind.Q8_0),
    "ffn_gate": ((MLP, WIDTH), Kind.Q4_1),
    "ffn_up": ((MLP, WIDTH), Kind.F16),
    "ffn_down": ((WIDTH, MLP), Kind.Q5_0),
}
SCALES = {Kind.Q4_K: slice(0, 4), Kind.Q6_K: slice(208, 210)}  # where a block has its float16


def weights_of(rng: np.random.Generator, shape: tuple[int, int], kind: Kind) -> np.ndarray:
    """Random weights in the blocks of `kind`, some 0.05 in size."""
    if kind not in SCALES:
        return gguf.quants.quantize(rng.normal(scale=0.05, size=shape).astype(np.float32), kind)
    size, num_bytes = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (shape[0] * shape[1] // size, num_bytes), dtype=np.uint8)
    blocks[:, SCALES[kind]] = np.full((SCALES[kind].stop - SCALES[kind].start) // 2, 1e-4, np.float16).view(np.uint8)
    return blocks.reshape(shape[0], -1)


def write_mixed(path: Path, *, tied: bool = False, biases: bool = False) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(2)
    writer.add_feed_forward_length(MLP)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    rng = np.random.default_rng(0)

    def add(name: str, shape: tuple[int, ...], kind: Kind = Kind.F32) -> None:
        if len(shape) == 1:
            writer.add_tensor(name, rng.normal(1, 0.2, shape).astype(np.float32))
        else:
            writer.add_tensor(name, weights_of(rng, shape, kind), raw_dtype=kind)

    add("token_embd.weight", (VOCAB, WIDTH), Kind.Q8_0)
    add("output_norm.weight", (WIDTH,))
    if not tied:
        add("output.weight", (VOCAB, WIDTH), Kind.Q6_K)
    for n in range(2):
        add(f"blk.{n}.attn_norm.weight", (WIDTH,))
        add(f"blk.{n}.ffn_norm.weight", (WIDTH,))
        for name, (shape, kind) in LINEARS.items():
            add(f"blk.{n}.{name}.weight", shape, kind)
            if biases and name in ("attn_q", "attn_k", "attn_v", "attn_output"):
                add(f"blk.{n}.{name}.bias", shape[:1])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mixed(tmp_path_factory.mktemp("models") / "mixed.gguf")


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "_PART_WEIGHTS", 2 * 64 * WIDTH)  # several of them, and a rest


def as_dense(decoder: Decoder, path: Path, dtype: torch.dtype = torch.float64) -> Decoder:
    """A dense decoder that holds the very numbers that a packed one unpacks."""
    dense = load_decoder(path, dtype=dtype)
    weights = dict(decoder.slots())
    for name, slot in dense.slots():
        slot.copy_(weights[name])
    return dense


def learned(decoder: Decoder, adapter: AdapterConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss at each place, and the gradients, with the adapter on."""
    with_adapter(decoder, adapter)
    losses = answer_loss(decoder, collate(random_examples([9, 30, 17])))
    losses.sum().backward()
    return losses.detach(), gradients(decoder)


# ---- the blocks of a file


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_files_blocks_hold_the_numbers_of_the_dense_loader_bit_for_bit(mixed: Path, dtype: torch.dtype) -> None:
    dense, ours = (dict(load_decoder(mixed, dtype=dtype, base_bits=bits).slots()) for bits in ("dense", "file"))
    assert dense.keys() == ours.keys()
    assert all(torch.equal(dense[name], ours[name]) for name in dense)


def test_a_files_blocks_take_no_more_memory_than_in_the_file(mixed: Path) -> None:
    groups = [group for _, _, group in linear_groups(load_decoder(mixed, base_bits="file"))]
    found = sum(buffer.numel() for group in groups for buffer in group.buffers())
    reader = gguf.GGUFReader(mixed)
    expected = sum(t.n_bytes for t in reader.tensors if len(t.shape) == 2 and t.name != "token_embd.weight")
    assert all(isinstance(group, PackedGroup) and not list(group.parameters()) for group in groups)
    assert found == expected


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("biases", [False, True])
def test_logits_are_those_of_the_dense_decoder(tied: bool, biases: bool, tmp_path: Path) -> None:
    path = write_mixed(tmp_path / "model.gguf", tied=tied, biases=biases)
    dense, ours = (load_decoder(path, dtype=torch.float64, base_bits=bits) for bits in ("dense", "file"))
    assert_close(read(ours, TOKENS), read(dense, TOKENS), atol=1e-10, rtol=1e-10)


ADAPTERS = {
    "lora": LoraConfig(rank=4, alpha=8),
    "lora_on_some": LoraConfig(rank=4, alpha=8, targets="v_proj,down_proj"),
    "prefix": VirtualConfig(method="prefix", virtual_tokens=3),
    "prompt": VirtualConfig(method="prompt", virtual_tokens=3),
}


@pytest.mark.parametrize("bits", ["file", "nf4", "int8"])
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_adapter_learns_what_it_learns_on_dense_weights_of_the_same_values(
    adapter: str, bits: str, mixed: Path
) -> None:
    ours = load_decoder(mixed, dtype=torch.float64, base_bits=bits)
    dense = as_dense(ours, mixed)
    losses, grads = learned(ours, ADAPTERS[adapter])
    expected_losses, expected = learned(dense, ADAPTERS[adapter])
    assert_close(losses, expected_losses, atol=1e-10, rtol=1e-10)
    assert grads.keys() == expected.keys()
    assert max(float(grad.abs().max()) for grad in grads.values()) > 1e-4
    for name, grad in grads.items():
        assert_close(grad, expected[name], atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize("has_units", [False, True])
def test_products_in_bfloat16_are_near_the_exact_ones(
    has_units: bool, mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "_has_units", lambda: has_units)
    ours = load_decoder(mixed, dtype=torch.bfloat16, base_bits="file")
    for _, _, group in linear_groups(ours):
        dy = torch.randn(5, sum(group.members.values())).bfloat16()
        x = torch.randn(5, group.in_features).bfloat16()
        for found, exact in (
            (group.back(dy), dy.double() @ group.weight.double()),
            (group.product(x), x.double() @ group.weight.double().t()),
        ):
            assert found.dtype == torch.bfloat16
            assert_close(found.double(), exact, atol=2**-7 * float(exact.abs().max()), rtol=0)


@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_nothing_unpacked_is_kept_for_the_backward_pass(adapter: str, mixed: Path) -> None:
    decoder = load_decoder(mixed, base_bits="file")
    if adapter == "lora":
        with_adapter(decoder, ADAPTERS["lora"])
    x, kept = torch.randn(3, WIDTH, requires_grad=True), list[Tensor]()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        decoder.layers[0].mlp.gate_up(x, None)
    assert all(tensor.numel() < WIDTH * MLP / 4 for tensor in kept)
    assert (kept == []) == (adapter == "none")


# ---- 8 bits from any model


def test_eight_bits_are_the_blocks_that_gguf_makes() -> None:
    weight = np.random.default_rng(0).normal(size=(50, 96)).astype(np.float32)
    weight[3, :32] = 0
    theirs = gguf.quants.quantize(weight, Kind.Q8_0)
    assert torch.equal(eight_bits(torch.from_numpy(weight)).data, torch.from_numpy(theirs))


def test_rows_that_are_no_whole_groups_are_refused_with_a_way_out() -> None:
    with pytest.raises(ConfigError, match=r"48 wide .* base_bits=nf4"):
        eight_bits(torch.zeros(4, 48))


@pytest.mark.parametrize("bits", ["int8", "nf4"])
def test_folders_are_packed_too(bits: str, tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    dense, ours = (dict(load_decoder(folder, base_bits=b).slots()) for b in ("dense", bits))
    assert dense.keys() == ours.keys()
    for name, weight in dense.items():
        assert float((ours[name] - weight).norm()) <= {"int8": 0.01, "nf4": 0.12}[bits] * float(weight.norm())


# ---- what is refused


def test_an_unknown_form_is_named_with_the_known_ones(mixed: Path) -> None:
    with pytest.raises(ConfigError, match="base_bits is 'int3', expected: dense, file, nf4, int8"):
        load_decoder(mixed, base_bits="int3")


def test_a_folder_has_no_blocks_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="base_bits=nf4"):
        load_decoder(write_tiny_model(tmp_path / "tiny"), base_bits="file")


def test_blocks_of_a_type_that_cannot_be_unpacked_are_refused_when_they_are_loaded() -> None:
    with pytest.raises(CheckpointError, match="Q8_K"):
        Blocks("Q8_K", torch.zeros(1, 292, dtype=torch.uint8), 256)


def test_packed_weights_are_not_written_to(mixed: Path) -> None:
    group = load_decoder(mixed, base_bits="file").layers[1].attention.out
    with pytest.raises(ConfigError, match=r"layers\.1\.self_attn\.o_proj\.weight.*base_bits=dense"):
        group.overwrite("o_proj", torch.zeros(WIDTH, WIDTH))


def test_a_missing_tensor_is_named_where_linears_are_packed(tmp_path: Path) -> None:
    path = write_mixed(tmp_path / "model.gguf")
    data = path.read_bytes().replace(b"blk.1.ffn_up.weight", b"blk.1.ffn_op.weight")
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"blk\.1\.ffn_op\.weight"):
        load_decoder(path, base_bits="file")


# ---- answering


def test_answers_are_written_with_the_kernels_for_a_few_rows(mixed: Path) -> None:
    dense, ours = (load_decoder(mixed, base_bits=bits) for bits in ("dense", "file"))
    expected = written(dense, TOKENS)
    quantise(ours).prepare()
    groups = [group for _, _, group in linear_groups(ours)]
    assert all(isinstance(group, QuantisedGroup) and isinstance(group, PackedGroup) for group in groups)
    assert_close(read(ours, TOKENS), read(dense, TOKENS), atol=1e-4, rtol=1e-4)
    assert_close(written(ours, TOKENS), expected, atol=0.05 * float(expected.abs().max()), rtol=0)


def test_few_bits_are_those_of_the_file_where_it_has_few(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = torch.device("cpu")
    assert few_bits(mixed, cpu) == "file"
    assert few_bits(mixed, torch.device("cuda")) == "nf4"  # blocks are computed on the processor
    assert few_bits(tmp_path, cpu) == "nf4"  # a folder
    for name, (shape, _) in LINEARS.items():
        monkeypatch.setitem(LINEARS, name, (shape, Kind.F16))
    assert few_bits(write_mixed(tmp_path / "wide.gguf"), cpu) == "nf4"


# ---- on the real model


def nats(decoder: Decoder, tokens: list[int]) -> float:
    """Mean −ln p of a text."""
    logits = read(decoder, tokens)[:-1]
    return float(torch.nn.functional.cross_entropy(logits, torch.tensor(tokens[1:])))


@pytest.mark.parametrize(("bits", "within"), [("file", 1e-4), ("int8", 0.01), ("nf4", 0.15)])
def test_the_real_model_loses_little(
    bits: str, within: float, smollm2_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # parts of the usual size
    tokens = load_tokenizer(smollm2_gguf).encode(HELD_OUT)
    dense, ours = (nats(load_decoder(smollm2_gguf, base_bits=b), tokens) for b in ("dense", bits))
    print(f"{bits}: {dense:.4f} → {ours:.4f} nats a token")
    assert abs(ours - dense) <= within


def test_untouched_linears_stay_dense_by_default(mixed: Path) -> None:
    assert not any(isinstance(g, PackedGroup) for _, _, g in linear_groups(load_decoder(mixed)))
    assert not any(isinstance(g, PackedGroup) for _, _, g in linear_groups(tiny_decoder()))


def test_fusing_into_a_form_that_is_only_read_says_so(tmp_path: Path) -> None:
    decoder = with_adapter(load_decoder(write_mixed(tmp_path / "mixed.gguf"), base_bits="file"), LoraConfig())
    with pytest.raises(ConfigError, match=r"q_proj\.weight.*does not write it"):  # Q4_K
        fuse(decoder)
    assert any(lora_groups(decoder))


def test_fusing_into_a_form_that_is_written_says_what_rounding_loses(tmp_path: Path) -> None:
    decoder = with_adapter(
        load_decoder(write_mixed(tmp_path / "mixed.gguf"), base_bits="file"), LoraConfig(targets="k_proj")
    )
    with pytest.raises(ConfigError, match=r"k_proj\.weight.*\d+% of what was learned"):  # Q4_0
        fuse(decoder)
