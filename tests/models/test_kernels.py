"""What is compiled for tuning: that it is used where it can be, gives what torch's operators give, and fails quietly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from nabot.models import kernels, ops
from nabot.models.attention import attention
from nabot.models.batch import TokenBatch


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn.to(dtype).requires_grad_()


@pytest.mark.skipif(sys.platform != "linux", reason="torch's threads can be had where they are GNU's: on Linux")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_they_are_used_where_gradients_are_wanted(dtype: torch.dtype) -> None:
    x = random(3, 8, dtype=dtype)
    assert kernels.kernels_for(x) is not None
    with torch.no_grad():
        assert kernels.kernels_for(x) is None
    assert kernels.kernels_for(x.half()) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_layer_is_that_of_torchs_operators(dtype: torch.dtype, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        ours, gradient = layer(dtype)
        assert all(torch.equal(a, b) for a, b in zip((ours, gradient), layer(dtype), strict=True))  # bit for bit
    finally:
        torch.set_num_threads(before)
    monkeypatch.setattr(kernels, "_compiled", lambda dtype: None)
    theirs, expected = layer(dtype)
    tolerance = 1e-5 if dtype == torch.float32 else 0.06
    assert_close(ours, theirs, atol=tolerance, rtol=tolerance)
    assert_close(gradient, expected, atol=tolerance, rtol=tolerance)


@pytest.mark.skipif(sys.platform != "linux", reason="torch's threads can be had where they are GNU's: on Linux")
def test_what_is_compiled_now_computes_the_very_bits_of_what_a_later_program_finds_on_the_disk(tmp_path: Path) -> None:
    program = "import test_kernels as t; print([x.numpy().tobytes().hex() for x in t.layer(t.torch.float32)])"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", program]
    first = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    assert list(tmp_path.rglob("*.nbi"))
    assert subprocess.run(command, env=environment, capture_output=True, check=True).stdout == first


def layer(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Norm, rotation, attention of documents that share their first tokens, gate: what it gives, and its gradient."""
    lengths, shared = [70, 1, 33, 40], 6
    x = random(shared + sum(lengths), 6 * 16, dtype=dtype)
    batch = TokenBatch.of_documents(lengths, shared=shared)
    with torch.no_grad():
        weight = random(6 * 16, seed=1, dtype=dtype)
        table = ops.rope_table(batch.positions_N, torch.tensor([1.0, 0.5, 0.25, 0.1, 0.01, 0.05, 0.02, 0.3]), dtype)
    qkv = ops.rms_norm(x, weight, 1e-5).unflatten(1, (6, 16))
    qk, v = qkv.split([5, 1], 1)
    q, k = ops.rotate(qk, table).split([4, 1], 1)
    out = ops.swiglu(attention(q, k, v, batch, 0).flatten(1))
    (gradient,) = torch.autograd.grad((out * random(*out.shape, seed=2, dtype=dtype)).sum(), x)
    return out.detach(), gradient


def test_without_them_torch_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels._compiled.cache_clear()
    monkeypatch.delattr("nabot.models.compiled.tuning", raising=False)
    monkeypatch.setitem(sys.modules, "nabot.models.compiled.tuning", None)  # importing it fails
    try:
        assert kernels.kernels_for(random(1)) is None
        layer(torch.float32)
    finally:
        kernels._compiled.cache_clear()


def test_heads_that_do_not_share_keys_evenly_are_refused() -> None:
    q, kv = random(4, 6, 8), random(4, 4, 8)
    compiled = kernels.kernels_for(q)
    if compiled is None:
        pytest.skip("nothing is compiled here")
    with pytest.raises(AssertionError):
        compiled.attend(q, kv, kv, ((0, 4, 0),), ())
