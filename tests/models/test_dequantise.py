"""Dequantising equals the `gguf` package, bit by bit, for every type that it knows."""

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from torch import Tensor

from nabot.errors import CheckpointError
from nabot.ggufio import TENSOR_TYPES, open_gguf
from nabot.models import dequantise as module
from nabot.models.dequantise import KNOWN_KINDS, dequantise

SIZES = {kind: (block_size, block_bytes) for kind, block_size, block_bytes in TENSOR_TYPES.values()}
INTEGERS_AND_F64 = ("F64", "I8", "I16", "I32", "I64")  # not in gguf.quants: they are not quantised


def reference(data: np.ndarray, kind: str) -> np.ndarray:
    with np.errstate(all="ignore"):  # random bytes hold scales that are infinite or no number
        return gguf.quants.dequantize(data, gguf.GGMLQuantizationType[kind])


def random_blocks(kind: str, num_rows: int, blocks_per_row: int) -> np.ndarray:
    """uint8 [num_rows, bytes of a row]: every byte is random, so scales are of all sizes, and some are no number."""
    rng = np.random.default_rng(sum(map(ord, kind)))
    return rng.integers(0, 256, (num_rows, blocks_per_row * SIZES[kind][1]), dtype=np.uint8)


def assert_same_bits(ours: Tensor, theirs: np.ndarray) -> None:
    mine = ours.numpy()
    assert mine.shape == theirs.shape
    both_nan = np.isnan(mine) & np.isnan(theirs)
    assert (both_nan | (mine.view(np.uint32) == theirs.view(np.uint32))).all()


def test_every_type_that_gguf_dequantises_is_known() -> None:
    theirs = {"F32", "F16"}
    for kind in gguf.GGMLQuantizationType:
        try:
            reference(random_blocks(kind.name, 1, 8), kind.name)
            theirs.add(kind.name)
        except NotImplementedError:
            pass
    assert len(theirs) == 26
    assert set(KNOWN_KINDS) == theirs | set(INTEGERS_AND_F64)


@pytest.mark.parametrize("kind", [kind for kind in KNOWN_KINDS if kind not in INTEGERS_AND_F64])
def test_equal_to_gguf_bit_by_bit(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK_WEIGHTS", 1024)  # several chunks and a rest
    data = random_blocks(kind, num_rows=37, blocks_per_row=8)
    theirs = reference(data, kind)
    ours = dequantise(torch.from_numpy(data.reshape(-1)), kind, theirs.shape, torch.float32)
    assert np.isfinite(theirs).mean() > 0.8
    assert_same_bits(ours, theirs)


@pytest.mark.parametrize("kind", ["F32", "BF16", "Q4_1", "Q6_K", "IQ2_XS"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_another_dtype_is_float32_rounded_once(kind: str, dtype: torch.dtype) -> None:
    data = torch.from_numpy(random_blocks(kind, 1, 64).reshape(-1))
    shape = (SIZES[kind][0] * 64,)
    expected = dequantise(data, kind, shape, torch.float32).to(dtype)
    torch.testing.assert_close(dequantise(data, kind, shape, dtype), expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("kind", INTEGERS_AND_F64)
def test_plain_numbers_are_read(kind: str) -> None:
    dtype = {"F64": np.float64, "I8": np.int8, "I16": np.int16, "I32": np.int32, "I64": np.int64}[kind]
    numbers = np.array([[0, 1, -2], [3, 100, -128]], dtype)
    ours = dequantise(torch.from_numpy(numbers.reshape(-1).view(np.uint8).copy()), kind, (2, 3), torch.float32)
    assert ours.tolist() == numbers.tolist()


def test_the_result_does_not_share_memory_with_the_file() -> None:
    data = torch.zeros(16, dtype=torch.uint8)
    weights = dequantise(data, "F32", (4,), torch.float32)
    data.fill_(255)
    assert weights.tolist() == [0, 0, 0, 0]


def test_bytes_may_begin_anywhere_in_memory() -> None:
    for kind in ("F32", "Q4_1", "Q8_0", "MXFP4"):
        block_size = SIZES[kind][0]
        data = torch.from_numpy(random_blocks(kind, 1, 8).reshape(-1))
        shifted = torch.cat((torch.zeros(3, dtype=torch.uint8), data))[3:]
        ours = dequantise(shifted, kind, (8 * block_size,), torch.float32)
        assert_same_bits(ours, dequantise(data, kind, (8 * block_size,), torch.float32).numpy())


def test_an_unsupported_type_names_the_known_ones() -> None:
    with pytest.raises(CheckpointError, match=r"Q8_K.*known are.*Q4_K") as caught:
        dequantise(torch.zeros(292, dtype=torch.uint8), "Q8_K", (256,), torch.float32)
    assert all(kind in str(caught.value) for kind in KNOWN_KINDS)


@pytest.mark.parametrize(("num_bytes", "shape"), [(19, (32,)), (40, (32,)), (20, (31,)), (0, (32,))])
def test_bytes_that_do_not_fit_the_shape_are_refused(num_bytes: int, shape: tuple[int, ...]) -> None:
    with pytest.raises(CheckpointError, match=f"{num_bytes} were given"):
        dequantise(torch.zeros(num_bytes, dtype=torch.uint8), "Q4_1", shape, torch.float32)


def test_every_tensor_of_the_real_file_is_equal(smollm2_gguf: Path) -> None:
    file = open_gguf(smollm2_gguf)
    assert len(file.tensors) == 272
    for name, tensor in file.tensors.items():
        data = file.bytes_of(name)
        rows = data.reshape(*tensor.shape[:-1], -1)
        theirs = reference(rows, tensor.kind)
        ours = dequantise(torch.from_numpy(data.copy()), tensor.kind, tensor.shape, torch.float32)
        assert_same_bits(ours, theirs)
