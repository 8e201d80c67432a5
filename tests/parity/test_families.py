"""Every family against transformers: from either kind of file, packed, answering from a cache, and learning."""

import json
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from tiny_families import LONGEST, VARIANTS, VOCAB, save_tiny, tiny_theirs, write_tiny_gguf
from tiny_models import with_adapter
from torch import Tensor
from torch.func import functional_call
from torch.testing import assert_close

from nabot.adapters import LoraConfig, VirtualConfig, WholeConfig, attach, lora_groups
from nabot.engine.cache import SlotCache
from nabot.errors import CheckpointError
from nabot.export.gguf_adapter import write_gguf_adapter
from nabot.models.batch import TokenBatch
from nabot.models.decoder import Decoder
from nabot.models.families.known import FAMILIES
from nabot.models.loading import load_decoder, read_decoder_config
from nabot.train.step import trainable

# GGUF cannot say Mistral's and Qwen2's window, that Gemma 2 has no caps, nor MPT's scale of scores; llama.cpp's OLMo 2 has
# no biases.
NOT_IN_GGUF = ("mistral", "qwen2_window", "gemma2_no_caps", "olmo2_bias", "mpt_six_heads")
IN_GGUF = [v for v in VARIANTS if v not in NOT_IN_GGUF]


def random_ids(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, VOCAB, shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def decoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Decoder]:
    """By variant, from saved folders."""
    return {variant: load_decoder(save_tiny(variant, tmp_path_factory.mktemp(variant))) for variant in VARIANTS}


def assert_close_enough(ours: Tensor, theirs: Tensor, tolerance: float = 1e-5) -> None:
    assert_close(ours, theirs, atol=tolerance, rtol=tolerance)


def test_every_family_has_a_variant() -> None:
    tested = {model_type for model_type, _ in VARIANTS.values()} | {"gemma3"}  # which has a test of its own
    assert {family.model_type for family in FAMILIES} <= tested


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_logits_of_saved_folders_match_transformers(variant: str, decoders: dict[str, Decoder]) -> None:
    tokens_BT = random_ids(2, LONGEST)
    assert_close_enough(decoders[variant](tokens_BT), tiny_theirs(variant)(tokens_BT).logits)


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_packed_documents_match_transformers_one_by_one(variant: str, decoders: dict[str, Decoder]) -> None:
    ours, lengths = decoders[variant], [1, LONGEST, 17, 16, 33, 1]
    documents = [random_ids(1, length, seed=length) for length in lengths]
    batch = TokenBatch.of_documents(lengths)
    logits_NV = ours.head(ours.hidden(ours.embed(torch.cat(documents, 1).flatten()), batch))
    assert_close_enough(logits_NV, torch.cat([tiny_theirs(variant)(d).logits[0] for d in documents]))


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_documents_behind_a_shared_beginning_match_transformers(variant: str, decoders: dict[str, Decoder]) -> None:
    ours, lengths, shared = decoders[variant], [3, 40, 12], 15
    beginning, *documents = (random_ids(1, length, seed=length) for length in (shared, *lengths))
    batch = TokenBatch.of_documents(lengths, shared=shared)
    run = torch.cat([beginning, *documents], 1).flatten()
    logits_NV = ours.head(ours.hidden(ours.embed(run), batch))[shared:]
    theirs = [tiny_theirs(variant)(torch.cat([beginning, d], 1)).logits[0, shared:] for d in documents]
    assert_close_enough(logits_NV, torch.cat(theirs))


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_answers_from_a_cache_match_transformers(variant: str, decoders: dict[str, Decoder]) -> None:
    """Two documents of different lengths: a prompt each, more of it, then one token after the other."""
    ours, prompts, more, answered = decoders[variant], (40, 9), 5, 30
    documents = [random_ids(1, prompt + more + answered, seed=prompt) for prompt in prompts]
    cache = SlotCache(ours.config, dtype=torch.float32, device=torch.device("cpu"))
    cache.reserve(2, 100)
    found: list[list[Tensor]] = [[], []]
    at = [0, 0]
    for lengths in (prompts, (more, more), *[(1, 1)] * answered):
        pieces = [d[0, a : a + n] for d, a, n in zip(documents, at, lengths, strict=True)]
        batch = TokenBatch.of_documents(lengths, starts=at, store=cache.writer([0, 1], lengths))
        logits_NV = ours.head(ours.hidden(ours.embed(torch.cat(pieces)), batch))
        for slot, part in enumerate(logits_NV.split(list(lengths))):
            found[slot].append(part)
            cache.tokens[slot] += pieces[slot].tolist()
            at[slot] += lengths[slot]
    for logits, document in zip(found, documents, strict=True):
        assert_close_enough(torch.cat(logits), tiny_theirs(variant)(document).logits[0])


@pytest.mark.parametrize("variant", IN_GGUF)
@torch.no_grad()
def test_logits_of_gguf_files_match_transformers(variant: str, tmp_path: Path) -> None:
    ours, tokens_BT = load_decoder(write_tiny_gguf(variant, tmp_path / "model.gguf")), random_ids(2, LONGEST)
    assert_close_enough(ours(tokens_BT), tiny_theirs(variant)(tokens_BT).logits, tolerance=2e-5)  # divisors are float32


# ---- learning


@pytest.mark.parametrize(
    "variant",
    ["mistral", "qwen2", "qwen3", "phi3_window", "olmo2", "exaone4", "gemma2", "gemma3", "neox", "mpt_six_heads"],
)
def test_gradients_of_lora_match_autograd_through_transformers(variant: str, tmp_path: Path) -> None:
    ours = load_decoder(save_tiny(variant, tmp_path))
    attach(ours, LoraConfig(rank=2, alpha=4, targets="all-linear"))
    rng = torch.Generator().manual_seed(0)
    for group in lora_groups(ours):
        for _, _, b in group.tensors():
            b.copy_(torch.randn(b.shape, generator=rng) * 0.1)
    lengths = [5, 60, 33]
    documents = [random_ids(1, length, seed=length) for length in lengths]
    batch = TokenBatch.of_documents(lengths)
    ours.train()
    logits_NV = ours.head(ours.hidden(ours.embed(torch.cat(documents, 1).flatten()), batch))
    logits_NV.logsumexp(-1).square().sum().backward()

    expected = theirs_of_lora(variant, ours, documents)
    for group in lora_groups(ours):
        for slot in group.slots:
            grad_a, grad_b = expected[f"{group.path}.{slot.name}"]
            assert group.lora_a.grad is not None
            assert_relative(group.lora_a.grad[slot.rank], grad_a)
            assert_relative(group.lora_b[slot.name].grad, grad_b)


def assert_relative(ours: Tensor | None, theirs: Tensor) -> None:
    assert ours is not None
    assert_close(ours / theirs.abs().max(), theirs / theirs.abs().max(), atol=1e-5, rtol=0)


def theirs_of_lora(variant: str, ours: Decoder, documents: list[Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Gradients of A and B, by module, through W + 2 · B A."""
    theirs = tiny_theirs(variant)
    pairs = {
        name: (a.clone().requires_grad_(), b.clone().requires_grad_())
        for group in lora_groups(ours)
        for name, a, b in group.tensors()
    }
    base = theirs.state_dict()
    weights = {f"{name}.weight": base[f"{name}.weight"] + 2 * b @ a for name, (a, b) in pairs.items()}
    loss = torch.zeros(())
    for document in documents:
        logits = functional_call(theirs, weights, (document,), {"use_cache": False}).logits
        loss = loss + logits.logsumexp(-1).square().sum()
    grads = torch.autograd.grad(loss, [tensor for pair in pairs.values() for tensor in pair])
    return dict(zip(pairs, zip(grads[::2], grads[1::2], strict=True), strict=True))


METHODS = {
    "prefix": VirtualConfig(method="prefix", virtual_tokens=5),
    "prompt": VirtualConfig(method="prompt", virtual_tokens=5),
    "ptuning": VirtualConfig(method="ptuning", virtual_tokens=5, start="random"),
    "freeze": WholeConfig(top_layers=2),
    "full": WholeConfig(),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("variant", ["mistral", "phi3_window", "olmo2", "exaone4", "gemma2", "gemma3", "neox", "mpt"])
def test_what_every_method_learns_answers_alike_with_and_without_a_cache(
    variant: str, method: str, tmp_path: Path
) -> None:
    plain = load_decoder(save_tiny(variant, tmp_path), dtype=torch.float64)
    ours, ids = with_adapter(plain, METHODS[method]), random_ids(1, 40)
    ours(ids).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in trainable(ours).values())
    with torch.no_grad():
        whole_NV, store = ours(ids)[0], _cache_with_beginning(ours)
        found = []
        for at in range(ids.shape[1]):
            batch = TokenBatch.of_documents([1], starts=store.starts([0]), store=store.writer([0], [1]))
            found.append(ours.head(ours.hidden(ours.embed(ids[0, at : at + 1]), batch)))
            store.tokens[0].append(int(ids[0, at]))
    assert_close_enough(torch.cat(found), whole_NV, tolerance=1e-10)


def _cache_with_beginning(decoder: Decoder) -> SlotCache:
    beginning: Any = ()
    if decoder.beginning is not None:
        beginning = decoder.beginning.keys_and_values() or decoder.keys_and_values(decoder.beginning.embeddings())
    cache = SlotCache(decoder.config, dtype=torch.float64, device=torch.device("cpu"), beginning=beginning)
    cache.reserve(1, 50)
    return cache


@torch.no_grad()
def test_virtual_tokens_inside_a_gemma_are_what_its_first_layer_reads(tmp_path: Path) -> None:
    ours = load_decoder(save_tiny("gemma3", tmp_path))
    attach(ours, VirtualConfig(method="prompt", virtual_tokens=4, places="question"), [5, 7, 11, 13])
    assert_close(ours.embed(torch.tensor([VOCAB, VOCAB + 3])), ours.embed(torch.tensor([5, 13])))


@pytest.mark.parametrize("variant", ["mistral", "qwen3", "phi3", "exaone4", "gemma3", "neox", "mpt"])
def test_gguf_adapters_lie_over_the_weights_of_the_gguf_file(variant: str, tmp_path: Path) -> None:
    """What llama.cpp computes, W + 2 · B A in the order of the file, is what the adapter does here."""
    base = gguf.GGUFReader(write_tiny_gguf(variant, tmp_path / "base.gguf"))
    ours = with_adapter(load_decoder(tmp_path / "base.gguf"), LoraConfig(rank=2, alpha=4))
    write_gguf_adapter(ours, tmp_path / "lora.gguf")
    laid = {t.name: torch.tensor(t.data) for t in gguf.GGUFReader(tmp_path / "lora.gguf").tensors}
    learned = {name: (a, b) for group in lora_groups(ours) for name, a, b in group.tensors()}
    assert len(laid) == 2 * len(learned)
    writer = GgufForTests(base)
    for name in {name.rsplit(".", 1)[0] for name in laid}:
        writer.add(name, 2 * laid[f"{name}.lora_b"] @ laid[f"{name}.lora_a"])
    fused = load_decoder(writer.write(tmp_path / "fused.gguf"))
    tokens_BT = random_ids(1, 20)
    with torch.no_grad():
        assert_close(fused(tokens_BT), ours(tokens_BT), atol=2e-5, rtol=2e-5)


class GgufForTests:
    """A GGUF file again, with something added to some of its weights."""

    def __init__(self, base: gguf.GGUFReader) -> None:
        self._base = base
        self._tensors = {t.name: torch.tensor(t.data) for t in base.tensors}

    def add(self, name: str, change: Tensor) -> None:
        self._tensors[name] = self._tensors[name] + change

    def write(self, path: Path, **more: float | bool) -> Path:
        """`more`: numbers and truths that the architecture says of itself, "." in their names as "__"."""
        writer = gguf.GGUFWriter(path, self._base.fields["general.architecture"].contents())
        for key, field in self._base.fields.items():
            if key != "general.architecture" and not key.startswith("GGUF."):
                sub_type = field.types[-1] if len(field.types) > 1 else None
                writer.add_key_value(key, field.contents(), field.types[0], sub_type)
        for key, value in more.items():
            kind = gguf.GGUFValueType.BOOL if isinstance(value, bool) else gguf.GGUFValueType.FLOAT32
            writer.add_key_value(f"{writer.arch}.{key.replace('__', '.')}", value, kind)
        for name, tensor in self._tensors.items():
            writer.add_tensor(name, tensor.numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path


# ---- files of one model in several forms


def test_a_gemma_that_sees_pictures_is_read_as_text(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    plain = save_tiny("gemma3", tmp_path / "plain")
    config = json.loads((plain / "config.json").read_text(encoding="utf-8"))
    tensors = load_file(plain / "model.safetensors")
    tokens_BT = random_ids(2, 30)
    expected = load_decoder(plain)(tokens_BT)
    for start in ("language_model.model.", "model.language_model."):
        folder = tmp_path / start
        folder.mkdir()
        renamed = {name.replace("model.", start, 1): tensor for name, tensor in tensors.items()}
        save_file(renamed | {"vision_tower.patch.weight": torch.zeros(2)}, folder / "model.safetensors")
        (folder / "config.json").write_text(
            json.dumps({"model_type": "gemma3", "text_config": config}), encoding="utf-8"
        )
        assert torch.equal(load_decoder(folder)(tokens_BT), expected)


def changed(variant: str, folder: Path, **changes: Any) -> Path:
    """A folder with config.json alone; a change to None takes the field away."""
    raw = {**tiny_theirs(variant).config.to_dict(), **changes}
    kept = {key: value for key, value in raw.items() if not (key in changes and value is None)}
    (folder / "config.json").write_text(json.dumps(kept), encoding="utf-8")
    return folder


def test_gemma_3_says_the_same_in_the_older_dialect(tmp_path: Path) -> None:
    new = read_decoder_config(changed("gemma3_scaled", tmp_path))
    old = changed(
        "gemma3_scaled",
        tmp_path,
        rope_parameters=None,
        layer_types=None,
        rope_scaling={"rope_type": "linear", "factor": 8.0},
        rope_theta=1e6,
        rope_local_base_freq=500.0,
        sliding_window_pattern=6,
    )
    assert read_decoder_config(old) == new


def test_exaone_4_says_the_same_by_its_pattern(tmp_path: Path) -> None:
    expected = read_decoder_config(changed("exaone4", tmp_path))
    for pattern in ("LLLG", 4):
        said = changed("exaone4", tmp_path, layer_types=None, sliding_window_pattern=pattern)
        assert read_decoder_config(said) == expected


def test_gpt_neox_says_the_same_in_the_older_dialect(tmp_path: Path) -> None:
    expected = read_decoder_config(changed("neox", tmp_path))
    old = changed("neox", tmp_path, rope_parameters=None, rotary_pct=0.5, rotary_emb_base=10_000)
    assert read_decoder_config(old) == expected


@torch.no_grad()
def test_a_gpt_neox_file_may_carry_masks_and_another_name_of_the_head(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder, tokens_BT = save_tiny("neox", tmp_path), random_ids(2, 30)
    tensors = load_file(folder / "model.safetensors")
    tensors["embed_out.weight"] = tensors.pop("lm_head.weight" if "lm_head.weight" in tensors else "embed_out.weight")
    tensors["gpt_neox.layers.0.attention.bias"] = torch.ones(1, 1, 256, 256).tril()
    tensors["gpt_neox.layers.0.attention.masked_bias"] = torch.tensor(-1e9)
    tensors["gpt_neox.layers.0.attention.rotary_emb.inv_freq"] = torch.ones(4)
    save_file(tensors, folder / "model.safetensors")
    assert_close_enough(load_decoder(folder)(tokens_BT), tiny_theirs("neox")(tokens_BT).logits)


@torch.no_grad()
def test_a_prefix_before_alibi_takes_positions_as_in_transformers(tmp_path: Path) -> None:
    from transformers import DynamicCache

    ours, ids = load_decoder(save_tiny("mpt_six_heads", tmp_path)), random_ids(1, 20)
    attach(ours, VirtualConfig(method="prefix", virtual_tokens=5, start="random"))
    assert ours.beginning is not None
    cache = DynamicCache(config=tiny_theirs("mpt_six_heads").config)
    for layer, pair in enumerate(ours.beginning.keys_and_values()):
        keys, values = (x.transpose(0, 1).unsqueeze(0) for x in pair)
        cache.update(keys, values, layer)
    assert_close_enough(ours(ids), tiny_theirs("mpt_six_heads")(ids, past_key_values=cache).logits)


def test_a_yarn_without_its_factor_stretches_to_all_positions(tmp_path: Path) -> None:
    said = dict(tiny_theirs("llama_yarn").config.rope_parameters)
    expected = read_decoder_config(changed("llama_yarn", tmp_path, rope_parameters={**said, "factor": 256 / 64}))
    folder = changed("llama_yarn", tmp_path, rope_parameters={**said, "factor": None})
    assert read_decoder_config(folder) == expected


def test_the_factor_of_a_longrope_is_used_as_transformers_uses_it(tmp_path: Path) -> None:
    from transformers import AutoConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    said = dict(tiny_theirs("phi3_longrope").config.rope_parameters)
    folder = changed("phi3_longrope", tmp_path, rope_parameters={**said, "factor": 16.0})
    _, theirs = ROPE_INIT_FUNCTIONS["longrope"](AutoConfig.from_pretrained(folder), None)
    rope = read_decoder_config(folder).rope
    assert rope is not None
    assert rope.attention_factor == pytest.approx(theirs)


@pytest.mark.parametrize("variant", ["mistral", "qwen2", "qwen3", "phi3", "olmo2", "exaone4", "gemma2", "gemma3"])
def test_what_config_json_leaves_out_is_as_transformers_has_it(variant: str, tmp_path: Path) -> None:
    from transformers import AutoConfig

    folder = changed(variant, tmp_path, rms_norm_eps=None, sliding_window=None, tie_word_embeddings=None)
    theirs, ours = AutoConfig.from_pretrained(folder), read_decoder_config(folder)
    assert ours.norm_eps == theirs.rms_norm_eps
    assert ours.tie_embeddings == theirs.tie_word_embeddings
    assert (ours.local.window if ours.local else None) == getattr(theirs, "sliding_window", None)


def test_the_head_of_a_gemma_that_sees_pictures_is_tied_as_the_whole_model_says(tmp_path: Path) -> None:
    inner = json.loads((changed("gemma3", tmp_path) / "config.json").read_text(encoding="utf-8"))
    for said, expected in (({}, True), ({"tie_word_embeddings": False}, False)):
        whole = {"model_type": "gemma3", "text_config": inner, **said}
        (tmp_path / "config.json").write_text(json.dumps(whole), encoding="utf-8")
        assert read_decoder_config(tmp_path).tie_embeddings is expected


def test_a_gguf_file_of_gemma_2_that_tells_no_window_has_that_of_the_paper(tmp_path: Path) -> None:
    base = gguf.GGUFReader(write_tiny_gguf("gemma2", tmp_path / "base.gguf"))
    del base.fields["gemma2.attention.sliding_window"]
    local = read_decoder_config(GgufForTests(base).write(tmp_path / "early.gguf")).local
    assert local is not None
    assert (local.window, local.layers) == (4096, (True, False, True, False))


def test_what_llama_cpp_lengthens_turned_heads_by_is_honoured_for_every_kind(tmp_path: Path) -> None:
    base = gguf.GGUFReader(write_tiny_gguf("mistral", tmp_path / "base.gguf"))
    rope = read_decoder_config(GgufForTests(base).write(tmp_path / "longer.gguf", rope__scaling__attn_factor=1.25)).rope
    assert rope is not None
    assert rope.attention_factor == 1.25


# ---- what is refused


def test_a_gguf_file_whose_tokens_see_what_follows_is_refused(tmp_path: Path) -> None:
    base = gguf.GGUFReader(write_tiny_gguf("mistral", tmp_path / "base.gguf"))
    with pytest.raises(CheckpointError, match=r"llama\.attention\.causal is False"):
        read_decoder_config(GgufForTests(base).write(tmp_path / "both.gguf", attention__causal=False))


def test_an_unknown_architecture_is_told_with_the_nearest_first(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"'qwen3_moe'.*: qwen3, qwen2, "):
        read_decoder_config(changed("qwen3", tmp_path, model_type="qwen3_moe"))


def test_an_architecture_without_its_type_is_known_by_its_class(tmp_path: Path) -> None:
    expected = read_decoder_config(changed("qwen3", tmp_path))
    folder = changed("qwen3", tmp_path, model_type=None, architectures=["Qwen3ForCausalLM"])
    assert read_decoder_config(folder) == expected


@pytest.mark.parametrize(
    ("variant", "changes", "told"),
    [
        ("mistral", {"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ("gemma2", {"hidden_activation": "relu"}, "hidden_activation is 'relu'"),
        ("gemma3", {"use_bidirectional_attention": True}, "use_bidirectional_attention is True"),
        ("qwen3", {"layer_types": ["full_attention"] * 3 + ["linear_attention"]}, "layer_types is 'linear_attention'"),
        ("exaone4", {"layer_types": ["full_attention"] * 3}, "layer_types is 3"),
        ("phi3", {"partial_rotary_factor": 0.75}, "partial_rotary_factor is 0.75"),
        (
            "phi3",
            {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.75}},
            "partial_rotary_factor is 0.75",
        ),
        (
            "phi3_longrope",
            {"rope_parameters": {"rope_type": "longrope", "short_factor": [1.0] * 6, "long_factor": [1.0] * 6}},
            "short_factor is 6",
        ),
        ("qwen2", {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope_scaling is .*'yarn'"),
        ("qwen2", {"rope_parameters": {"full_attention": {"rope_theta": 5.0}}}, "rope_parameters is 'full_attention'"),
        ("qwen2", {"rope_parameters": {"rope_type": "linear"}}, "field factor is missing"),
        ("llama_yarn", {"rope_parameters": {"rope_type": "llama3", "factor": 8.0}}, "field low_freq_factor is missing"),
        (
            "llama_yarn",
            {"rope_parameters": {"rope_type": "yarn", "factor": 2.0, "truncate": False}},
            "truncate is False",
        ),
        ("olmo2", {"rope_parameters": {"rope_type": "proportional"}}, "of kind 'proportional'"),
        ("neox", {"hidden_act": "gelu_fast"}, "hidden_act is 'gelu_fast'"),
        ("mpt", {"no_bias": False}, "no_bias is False"),
        ("mpt", {"logit_scale": "inv_sqrt_d_model"}, "logit_scale is 'inv_sqrt_d_model'"),
        ("mpt", {"norm_type": "rmsnorm"}, "norm_type is 'rmsnorm'"),
        ("mpt", {"attn_config": {"qk_ln": True}}, "attn_config.qk_ln is True"),
        ("mpt", {"attn_config": {"prefix_lm": True}}, "attn_config.prefix_lm is True"),
        ("mpt", {"attn_config": {"alibi": False}}, "attn_config.alibi is False"),
        ("mpt", {"attn_config": {"sliding_window_size": 7}}, "attn_config.sliding_window_size is 7"),
        (
            "mpt",
            {"attn_config": {"attn_type": "multiquery_attention"}},
            "attn_config.attn_type is 'multiquery_attention'",
        ),
        ("mpt", {"attn_config": {"kv_n_heads": 2}}, "attn_config.kv_n_heads is 2"),
    ],
)
def test_a_field_that_cannot_be_honoured_is_refused(variant: str, changes: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=told):
        read_decoder_config(changed(variant, tmp_path, **changes))


def test_an_mpt_in_gguf_whose_scores_do_not_fall_with_distance_is_refused(tmp_path: Path) -> None:
    path = write_tiny_gguf("mpt", tmp_path / "model.gguf")
    field = gguf.GGUFReader(path, "r+").get_field("mpt.attention.max_alibi_bias")
    assert field is not None
    field.parts[field.data[0]][0] = 0
    with pytest.raises(CheckpointError, match=r"mpt\.attention\.max_alibi_bias is 0\.0"):
        read_decoder_config(path)
