"""The decoder's logits against transformers' LlamaForCausalLM, built in memory and read from files."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import VARIANTS, older_dialect, random_tokens, raw_config, tiny_decoder, tiny_hf
from torch import Tensor
from torch.testing import assert_close

from nabot.errors import CheckpointError
from nabot.models.batch import TokenBatch
from nabot.models.config import DecoderConfig
from nabot.models.decoder import Decoder
from nabot.models.huggingface import config_from
from nabot.models.loading import load_decoder, read_decoder_config

TOKENS_BT = random_tokens(3, 90)  # longer than the trained length of the llama3 variant
KINDS = {
    "F32": gguf.GGMLQuantizationType.F32,
    "F16": gguf.GGMLQuantizationType.F16,
    "Q8_0": gguf.GGMLQuantizationType.Q8_0,
}


@torch.no_grad()
def assert_same_logits(ours: Decoder, theirs: Any, tolerance: float = 1e-5) -> None:
    assert_close(ours(TOKENS_BT), theirs(TOKENS_BT).logits, atol=tolerance, rtol=tolerance)


# ---- in memory


@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_match_transformers(variant: str) -> None:
    assert_same_logits(tiny_decoder(variant), tiny_hf(variant))


@pytest.mark.parametrize("variant", ["gqa", "rope_llama3"])
@torch.no_grad()
def test_packed_documents_match_transformers_one_by_one(variant: str) -> None:
    ours, theirs = tiny_decoder(variant), tiny_hf(variant)
    lengths = [1, 90, 17, 16, 33, 1]
    documents = [random_tokens(1, n, seed=n) for n in lengths]
    batch = TokenBatch.of_documents(lengths)
    logits_NV = ours.head(ours.hidden(ours.embed(torch.cat(documents, 1).flatten()), batch))
    assert_close(logits_NV, torch.cat([theirs(d).logits[0] for d in documents]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_both_dialects_of_config_say_the_same(variant: str) -> None:
    new = raw_config(variant)
    old = older_dialect(new)
    if variant == "wide_heads":
        old["head_dim"] = new["head_dim"]
    assert config_from(old, Path()) == config_from(new, Path())


@pytest.mark.parametrize("variant", VARIANTS)
def test_configs_written_by_transformers_are_read(variant: str, tmp_path: Path) -> None:
    tiny_hf(variant).config.save_pretrained(tmp_path)
    assert "rope_parameters" in json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert read_decoder_config(tmp_path) == config_from(raw_config(variant), Path())


def test_number_of_parameters_is_that_of_transformers() -> None:
    for variant in ("mha", "gqa", "tied", "wide_heads"):
        counted = config_from(raw_config(variant), Path()).num_parameters
        assert counted == sum(p.numel() for p in tiny_hf(variant).parameters())


# ---- through safetensors


@pytest.mark.parametrize("shard_size", ["1GB", "60KB"])
@pytest.mark.parametrize("variant", ["gqa", "tied", "both_biases", "wide_heads", "rope_linear", "rope_llama3"])
def test_saved_folders_give_the_same_logits(variant: str, shard_size: str, tmp_path: Path) -> None:
    theirs = tiny_hf(variant)
    theirs.save_pretrained(tmp_path, max_shard_size=shard_size)
    assert (len(list(tmp_path.glob("*.safetensors"))) > 1) == (shard_size == "60KB")
    assert_same_logits(load_decoder(tmp_path), theirs)


def test_weights_in_bfloat16_are_read_exactly_into_float32(tmp_path: Path) -> None:
    from transformers import LlamaForCausalLM

    tiny_hf("gqa").bfloat16().save_pretrained(tmp_path)
    theirs = LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert_same_logits(load_decoder(tmp_path, dtype=torch.float32), theirs)


def test_a_tied_folder_may_store_its_head_and_old_buffers(tmp_path: Path) -> None:
    theirs = tiny_hf("tied")
    theirs.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["lm_head.weight"] = torch.zeros(97, 64)
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.zeros(8)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert_same_logits(load_decoder(tmp_path), theirs)


def test_other_safetensors_beside_the_model_are_left_alone(tmp_path: Path) -> None:
    theirs = tiny_hf("gqa")
    theirs.save_pretrained(tmp_path)
    save_file({"layers.0.wq.weight": torch.zeros(2, 2)}, tmp_path / "consolidated.safetensors")
    assert_same_logits(load_decoder(tmp_path), theirs)


# ---- through GGUF


def write_gguf(path: Path, variant: str, kind: str, **metadata: Any) -> Any:
    """The variant as llama.cpp's converter writes it; returns the transformers model with the weights as rounded."""
    model = tiny_hf(variant)
    raw, weights = raw_config(variant), model.state_dict()
    if raw["tie_word_embeddings"]:
        weights.pop("lm_head.weight")
    rounded = {name: tensor.clone() for name, tensor in weights.items()}
    writer = gguf.GGUFWriter(path, "llama")
    _write_numbers(writer, raw)
    for key, value in metadata.items():
        writer.add_key_value(key.replace("__", "."), *value)
    if raw["rope_parameters"]["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", _llama3_divisors(raw))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, raw["num_hidden_layers"])
    for name, tensor in weights.items():
        stem, ending = name.rsplit(".", 1)
        target = f"{names.get_name(stem)}.{ending}"
        quantised = KINDS[kind] if tensor.ndim == 2 else KINDS["F32"]  # norms and biases stay as they are
        heads = {"q_proj": raw["num_attention_heads"], "k_proj": raw["num_key_value_heads"]}.get(stem.split(".")[-1])
        array = tensor.numpy() if heads is None else _permuted(tensor.numpy(), heads)
        data = gguf.quants.quantize(array, quantised)
        writer.add_tensor(target, data, raw_dtype=quantised)
        back = gguf.quants.dequantize(data, quantised).reshape(array.shape)
        rounded[name] = torch.from_numpy(back if heads is None else _permuted(back, heads, undo=True))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    if raw["tie_word_embeddings"]:
        rounded["lm_head.weight"] = rounded["model.embed_tokens.weight"]
    model.load_state_dict(rounded)
    return model


def _write_numbers(writer: gguf.GGUFWriter, raw: dict[str, Any]) -> None:
    writer.add_context_length(raw["max_position_embeddings"])
    writer.add_embedding_length(raw["hidden_size"])
    writer.add_block_count(raw["num_hidden_layers"])
    writer.add_feed_forward_length(raw["intermediate_size"])
    writer.add_head_count(raw["num_attention_heads"])
    writer.add_head_count_kv(raw["num_key_value_heads"])
    writer.add_rope_dimension_count(raw["head_dim"])
    if raw["head_dim"] * raw["num_attention_heads"] != raw["hidden_size"]:
        writer.add_key_length(raw["head_dim"])
        writer.add_value_length(raw["head_dim"])
    writer.add_layer_norm_rms_eps(raw["rms_norm_eps"])
    rope = raw["rope_parameters"]
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])


def _permuted(rows: np.ndarray, heads: int, *, undo: bool = False) -> np.ndarray:
    """`LlamaModel.permute` of llama.cpp's convert_hf_to_gguf.py, and its inverse."""
    halves = (heads, -1, 2, *rows.shape[1:]) if undo else (heads, 2, -1, *rows.shape[1:])
    return np.ascontiguousarray(rows.reshape(halves).swapaxes(1, 2).reshape(rows.shape))


def _llama3_divisors(raw: dict[str, Any]) -> np.ndarray:
    """`generate_extra_tensors` of the same script."""
    rope = raw["rope_parameters"]
    old_context = rope["original_max_position_embeddings"]
    low_wavelength, high_wavelength = old_context / rope["low_freq_factor"], old_context / rope["high_freq_factor"]
    divisors = []
    for i in range(0, raw["head_dim"], 2):
        wavelength = 2 * np.pi * rope["rope_theta"] ** (i / raw["head_dim"])
        if wavelength < high_wavelength:
            divisors.append(1.0)
        elif wavelength > low_wavelength:
            divisors.append(rope["factor"])
        else:
            smooth = old_context / wavelength - rope["low_freq_factor"]
            smooth /= rope["high_freq_factor"] - rope["low_freq_factor"]
            divisors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    assert len(set(divisors)) > 3, f"all three bands should occur: {divisors}"
    return np.array(divisors, dtype=np.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("variant", ["mha", "gqa", "mqa", "tied", "wide_heads", "other_theta", "rope_linear"])
def test_gguf_files_give_the_same_logits(variant: str, kind: str, tmp_path: Path) -> None:
    theirs = write_gguf(tmp_path / "model.gguf", variant, kind)
    assert_same_logits(load_decoder(tmp_path / "model.gguf"), theirs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("variant", ["attention_bias", "mlp_bias", "both_biases"])
def test_biases_in_gguf_files_are_read(variant: str, kind: str, tmp_path: Path) -> None:
    theirs = write_gguf(tmp_path / "model.gguf", variant, kind)
    assert_same_logits(load_decoder(tmp_path / "model.gguf"), theirs)


def test_llama3_scaling_comes_from_the_rope_freqs_tensor(tmp_path: Path) -> None:
    theirs = write_gguf(tmp_path / "model.gguf", "rope_llama3", "F32")
    assert len(set(read_decoder_config(tmp_path / "model.gguf").rope.divisors)) > 3
    # the file holds float32 divisors, so the angles differ in their last bits
    assert_same_logits(load_decoder(tmp_path / "model.gguf"), theirs, tolerance=3e-5)


def test_linear_scaling_without_its_type_or_under_its_old_key_is_read(tmp_path: Path) -> None:
    number = gguf.GGUFValueType.FLOAT32
    for key in ("llama__rope__scaling__factor", "llama__rope__scale_linear"):
        write_gguf(tmp_path / "model.gguf", "mha", "F32", **{key: (4.0, number)})
        assert_same_logits(load_decoder(tmp_path / "model.gguf"), tiny_hf("rope_linear"))


def test_float64_is_read_as_float32_was_written(tmp_path: Path) -> None:
    write_gguf(tmp_path / "model.gguf", "gqa", "F32")
    ours = dict(load_decoder(tmp_path / "model.gguf", dtype=torch.float64).slots())
    assert all(torch.equal(ours[n], p.double()) for n, p in tiny_decoder("gqa").slots())


# ---- what is refused


def saved(folder: Path, variant: str = "gqa", **changes: Any) -> dict[str, Tensor]:
    """A folder with config.json (with changes) and one safetensors file; returns its tensors."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(raw_config(variant, **changes)), encoding="utf-8")
    tensors = {name: tensor.contiguous() for name, tensor in tiny_decoder(variant).slots()}
    save_file(tensors, folder / "model.safetensors")
    return tensors


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    tensors = saved(tmp_path)
    tensors.pop("model.layers.1.mlp.up_proj.weight")
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.layers\.1\.mlp\.up_proj\.weight is missing"):
        load_decoder(tmp_path)


def test_a_missing_head_of_an_untied_model_is_named(tmp_path: Path) -> None:
    tensors = saved(tmp_path)
    tensors.pop("lm_head.weight")
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"lm_head\.weight is missing"):
        load_decoder(tmp_path)


@pytest.mark.parametrize("name", ["model.layers.2.mlp.up_proj.weight", "model.layers.0.self_attn.q_norm.weight"])
def test_an_extra_tensor_is_named(name: str, tmp_path: Path) -> None:
    tensors = saved(tmp_path) | {name: torch.zeros(16)}
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=name):
        load_decoder(tmp_path)


def test_a_misshapen_tensor_is_named_with_both_shapes(tmp_path: Path) -> None:
    tensors = saved(tmp_path)
    tensors["model.layers.0.self_attn.k_proj.weight"] = torch.zeros(64, 64)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"k_proj\.weight has shape \[64, 64\], expected \[32, 64\]"):
        load_decoder(tmp_path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model_type": "mixtral"}, "mixtral"),
        ({"rope_parameters": {"rope_type": "longrope", "rope_theta": 1e4}}, "of kind 'longrope'"),
        ({"rope_parameters": None, "rope_scaling": {"type": "su", "factor": 2.0}}, "of kind 'su'"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
    ],
)
def test_what_would_be_computed_wrongly_is_refused_by_name(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    saved(tmp_path, **changes)
    with pytest.raises(CheckpointError, match=told):
        load_decoder(tmp_path)


def test_a_config_without_a_field_names_it(tmp_path: Path) -> None:
    saved(tmp_path)
    raw = raw_config("gqa")
    raw.pop("intermediate_size")
    (tmp_path / "config.json").write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(CheckpointError, match="intermediate_size"):
        load_decoder(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '"llama"', "{"])
def test_a_broken_config_is_explained(text: str, tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_decoder(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": []}'])
def test_a_broken_index_is_explained(text: str, tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"index\.json"):
        load_decoder(tmp_path)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    tiny_hf("gqa").save_pretrained(tmp_path, max_shard_size="60KB")
    shard = sorted(tmp_path.glob("*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(CheckpointError, match=shard.name):
        load_decoder(tmp_path)


@pytest.mark.parametrize("cut", [1, 1000, 4])
def test_truncated_safetensors_are_refused(cut: int, tmp_path: Path) -> None:
    saved(tmp_path)
    path = tmp_path / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[:4] if cut == 4 else data[:-cut])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: damaged or cut off"):
        load_decoder(tmp_path)


def test_a_header_whose_sizes_do_not_match_the_file_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes() + b"\0" * 64)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_decoder(tmp_path)


NUMBER, WORD = gguf.GGUFValueType.UINT32, gguf.GGUFValueType.STRING


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({"llama__expert_count": (8, NUMBER)}, "expert_count"),
        ({"llama__rope__scaling__type": ("longrope", WORD)}, "longrope"),
        ({"llama__attention__value_length": (8, NUMBER)}, "value_length"),
    ],
)
def test_what_a_gguf_would_compute_wrongly_is_refused(metadata: dict[str, Any], told: str, tmp_path: Path) -> None:
    write_gguf(tmp_path / "model.gguf", "gqa", "F32", **metadata)
    with pytest.raises(CheckpointError, match=told):
        load_decoder(tmp_path / "model.gguf")


def test_yarn_is_refused_also_beside_rope_freqs(tmp_path: Path) -> None:
    write_gguf(tmp_path / "model.gguf", "rope_llama3", "F32", llama__rope__scaling__type=("yarn", WORD))
    with pytest.raises(CheckpointError, match="yarn"):
        load_decoder(tmp_path / "model.gguf")


def bare_gguf(path: Path, config: DecoderConfig, tensors: dict[str, np.ndarray], leave_out: str = "") -> Path:
    """A GGUF file with these tensors and the numbers of `config`, but one."""
    numbers = {
        "llama.context_length": config.max_positions,
        "llama.embedding_length": config.width,
        "llama.block_count": config.num_layers,
        "llama.feed_forward_length": config.mlp_width,
        "llama.attention.head_count": config.num_heads,
        "llama.attention.head_count_kv": config.num_kv_heads,
    }
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in numbers.items():
        if key != leave_out:
            writer.add_uint32(key, value)
    if leave_out != "llama.attention.layer_norm_rms_epsilon":
        writer.add_float32("llama.attention.layer_norm_rms_epsilon", config.norm_eps)
    for name, array in tensors.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("field", ["llama.block_count", "llama.attention.layer_norm_rms_epsilon"])
def test_a_gguf_without_a_number_names_it(field: str, tmp_path: Path) -> None:
    config = config_from(raw_config("gqa"), Path())
    tensors = {"token_embd.weight": np.zeros((97, 64), np.float32)}
    with pytest.raises(CheckpointError, match=field):
        load_decoder(bare_gguf(tmp_path / "model.gguf", config, tensors, leave_out=field))


@pytest.mark.parametrize(
    ("name", "shape", "told"),
    [
        ("strange", (32,), "strange"),
        ("blk.0.attn_rot_embd.weight", (32,), "attn_rot_embd"),
        ("blk.0.attn_q.weight", (60, 64), r"q_proj\.weight has shape \[60, 64\], expected \[64, 64\]"),
        ("blk.0.attn_k.weight", (64, 64), r"k_proj\.weight has shape \[64, 64\], expected \[32, 64\]"),
        ("rope_freqs.weight", (4,), r"rope_freqs\.weight has shape \[4\], expected \[8\]"),
        ("token_embd.weight", (97, 32), r"embed_tokens\.weight has shape"),
        ("output_norm.weight", (64,), r"embed_tokens\.weight is missing"),
    ],
)
def test_a_gguf_tensor_that_does_not_fit_is_named(name: str, shape: tuple[int, ...], told: str, tmp_path: Path) -> None:
    config = config_from(raw_config("gqa"), Path())
    path = bare_gguf(tmp_path / "model.gguf", config, {name: np.zeros(shape, np.float32)})
    with pytest.raises(CheckpointError, match=told):
        load_decoder(path)
