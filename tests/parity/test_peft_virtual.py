"""Virtual tokens equal PEFT's: logits, gradients and files, both ways."""

from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from tiny_models import VOCAB, random_tokens, tiny_decoder, tiny_hf
from torch import Tensor
from torch.testing import assert_close

from nabot.adapters import VirtualConfig, adapter_tensors, attach, load_adapter, save_adapter, virtual_tokens
from nabot.adapters.virtual import Encoded, restore_virtual
from nabot.models.decoder import Decoder
from nabot.models.loading import load_decoder

TOKENS_BT = random_tokens(3, 11)
P = 5
METHODS = ("prompt", "ptuning", "prefix")
THEIRS: dict[str, Any] = {
    "prompt": peft.PromptTuningConfig,
    "ptuning": peft.PromptEncoderConfig,
    "prefix": peft.PrefixTuningConfig,
}


def theirs_on(model: Any, method: str, seed: int = 0, **more: Any) -> Any:
    """PEFT's virtual tokens with rows of a sensible size."""
    torch.manual_seed(seed)
    return peft.get_peft_model(model, THEIRS[method](task_type="CAUSAL_LM", num_virtual_tokens=P, **more)).eval()


def ours_with(table: Tensor, method: str, variant: str = "gqa") -> Decoder:
    decoder = tiny_decoder(variant)
    restore_virtual(decoder, method, table, "front")  # type: ignore[arg-type]
    return decoder


def their_logits(model: Any, tokens_BT: Tensor) -> Tensor:
    """Without those of virtual tokens, which PEFT puts in front for prompt and P-tuning."""
    logits: Tensor = model(tokens_BT).logits
    return logits[:, -tokens_BT.shape[1] :]


@pytest.mark.parametrize("variant", ["mha", "gqa", "tied", "rope_llama3"])
@pytest.mark.parametrize("method", METHODS)
def test_equal_rows_give_equal_logits(method: str, variant: str, tmp_path: Path) -> None:
    theirs = theirs_on(tiny_hf(variant), method)
    theirs.save_pretrained(tmp_path)
    ours = tiny_decoder(variant)
    load_adapter(ours, tmp_path)
    with torch.no_grad():
        assert_close(ours(TOKENS_BT), their_logits(theirs, TOKENS_BT), atol=1e-5, rtol=1e-5)
        assert (ours(TOKENS_BT) - tiny_decoder(variant)(TOKENS_BT)).abs().max() > 0.01


@pytest.mark.parametrize("method", METHODS)
def test_peft_loads_what_nabot_saved(method: str, tmp_path: Path) -> None:
    rows = torch.randn(P, 2 * 2 * 2 * 16 if method == "prefix" else 64)
    ours = ours_with(rows, method)
    save_adapter(ours, tmp_path / "adapter", "base")
    theirs = peft.PeftModel.from_pretrained(tiny_hf("gqa"), tmp_path / "adapter").eval()
    with torch.no_grad():
        assert_close(ours(TOKENS_BT), their_logits(theirs, TOKENS_BT), atol=1e-5, rtol=1e-5)
    assert adapter_tensors(ours).keys() == {"prompt_embeddings"}


@pytest.mark.parametrize("more", [{}, {"prefix_projection": True, "encoder_hidden_size": 24}], ids=["rows", "mlp"])
def test_a_prefix_by_way_of_a_network_is_loaded_as_its_rows(more: dict[str, Any], tmp_path: Path) -> None:
    theirs = theirs_on(tiny_hf("gqa"), "prefix", **more)
    theirs.save_pretrained(tmp_path)
    ours = tiny_decoder("gqa")
    load_adapter(ours, tmp_path)
    with torch.no_grad():
        assert_close(ours(TOKENS_BT), their_logits(theirs, TOKENS_BT), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("method", ["prompt", "prefix"])
def test_gradients_equal_autograds_on_pefts_module(method: str) -> None:
    theirs = theirs_on(tiny_hf("gqa"), method).train()
    learned = theirs.prompt_encoder["default"].embedding.weight
    ours = ours_with(learned.detach().clone(), method)
    weights_BTV = torch.randn(3, 11, VOCAB)
    (their_logits(theirs, TOKENS_BT) * weights_BTV).sum().backward()
    (ours(TOKENS_BT) * weights_BTV).sum().backward()
    found = virtual_tokens(ours)
    assert found is not None
    unit = found.rows.get_buffer("unit")  # what is learned counts in these
    assert_close(found.rows.added.get_parameter("rows").grad, learned.grad * unit, atol=1e-4, rtol=1e-4)
    assert bool(unit[1:].all())


@pytest.mark.parametrize("kind", ["LSTM", "MLP"])
def test_the_network_of_ptuning_is_pefts(kind: str) -> None:
    theirs = theirs_on(
        tiny_hf("gqa"), "ptuning", encoder_reparameterization_type=kind, encoder_hidden_size=24, encoder_num_layers=2
    ).train()
    encoder = theirs.prompt_encoder["default"]
    ours = tiny_decoder("gqa")
    config = VirtualConfig(
        method="ptuning",
        virtual_tokens=P,
        start="random",
        encoder=kind.lower(),
        encoder_width=24,  # type: ignore[arg-type]
    )
    attach(ours, config)
    found = virtual_tokens(ours)
    assert found is not None
    written = found.rows.added
    assert isinstance(written, Encoded)
    found.rows.get_buffer("start").zero_()
    found.rows.get_buffer("unit").fill_(1)
    written.inputs.data.copy_(encoder.embedding.weight)
    own, others = dict(written.network.named_parameters()), dict(encoder.named_parameters())
    pairs = dict(zip(own, (name for name in others if not name.startswith("embedding")), strict=True))
    for mine, yours in pairs.items():
        own[mine].data.copy_(others[yours])
    weights_BTV = torch.randn(3, 11, VOCAB)
    logits = their_logits(theirs, TOKENS_BT)
    assert_close(ours(TOKENS_BT), logits, atol=1e-5, rtol=1e-5)
    (logits * weights_BTV).sum().backward()
    (ours(TOKENS_BT) * weights_BTV).sum().backward()
    assert_close(written.inputs.grad, encoder.embedding.weight.grad, atol=1e-4, rtol=1e-3)
    for mine, yours in pairs.items():
        assert_close(own[mine].grad, others[yours].grad, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("variant", ["gqa", "tied", "rope_llama3"])
def test_tokens_around_questions_are_rows_that_transformers_adds_to_its_vocabulary(variant: str) -> None:
    ours, theirs = tiny_decoder(variant), tiny_hf(variant)
    attach(ours, VirtualConfig(method="ptuning", virtual_tokens=P, encoder_width=12, places="question"), [3, 1, 4])
    found = virtual_tokens(ours)
    assert found is not None
    theirs.resize_token_embeddings(VOCAB + P)
    longer = theirs.get_input_embeddings().weight
    longer.data[VOCAB:] = found.table().detach()
    tokens_BT = TOKENS_BT.clone()
    tokens_BT[:2, 2:4], tokens_BT[:2, 7:10] = torch.arange(VOCAB, VOCAB + 2), torch.arange(VOCAB + 2, VOCAB + P)
    logits, expected = ours(tokens_BT), theirs(tokens_BT).logits[..., :VOCAB]
    assert_close(logits, expected, atol=1e-5, rtol=1e-5)
    weights_BTV = torch.randn(logits.shape)
    (expected * weights_BTV).sum().backward()
    learning = list(found.rows.parameters())
    exact = torch.autograd.grad(found.table(), learning, longer.grad[VOCAB:], allow_unused=True)
    for grad, other in zip(torch.autograd.grad((logits * weights_BTV).sum(), learning), exact, strict=True):
        assert_close(grad, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_the_real_model_gives_the_same_logits(
    method: str, smollm2_gguf: Path, smollm2_by_transformers: Any, tmp_path: Path
) -> None:
    theirs = theirs_on(smollm2_by_transformers, method)
    theirs.save_pretrained(tmp_path, save_embedding_layers=False)
    with torch.no_grad():
        logits = their_logits(theirs, TOKENS_BT)
        plain = theirs.get_base_model()(TOKENS_BT).logits
    ours = load_decoder(smollm2_gguf)
    load_adapter(ours, tmp_path)
    with torch.no_grad():
        assert (logits - plain).abs().max() > 1
        assert_close(ours(TOKENS_BT), logits, atol=1e-3, rtol=0)
