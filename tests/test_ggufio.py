"""Opening GGUF files: what `gguf` writes is read, and a broken file gives a CheckpointError and nothing else."""

import random
import struct
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from nabot.errors import CheckpointError
from nabot.ggufheader import MAX_ARRAY_DEPTH
from nabot.ggufio import TENSOR_TYPES, open_gguf

U32, ARRAY = gguf.GGUFValueType.UINT32, gguf.GGUFValueType.ARRAY
Q4_1 = gguf.GGMLQuantizationType.Q4_1
MATRIX = np.arange(6 * 64, dtype=np.float32).reshape(6, 64)
EVERY_KIND_OF_VALUE: dict[str, tuple[str, Any]] = {
    "a.uint8": ("add_uint8", 255),
    "a.int8": ("add_int8", -128),
    "a.uint16": ("add_uint16", 65535),
    "a.int16": ("add_int16", -32768),
    "a.uint32": ("add_uint32", 2**32 - 1),
    "a.int32": ("add_int32", -(2**31)),
    "a.uint64": ("add_uint64", 2**64 - 1),
    "a.int64": ("add_int64", -(2**63)),
    "a.float32": ("add_float32", 0.25),
    "a.float64": ("add_float64", 0.1),
    "a.bool": ("add_bool", True),
    "a.string": ("add_string", "달카페 ☕"),
    "an.array.of.strings": ("add_array", ["가", "", "나비"]),
    "an.array.of.numbers": ("add_array", [1, -2, 3]),
    "an.array.of.floats": ("add_array", [0.5, -1.5]),
    "an.array.of.bools": ("add_array", [True, False]),
}


def write_small(path: Path, alignment: int | None = None) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    if alignment:
        writer.add_custom_alignment(alignment)
    for key, (method, value) in EVERY_KIND_OF_VALUE.items():
        getattr(writer, method)(key, value)
    writer.add_tensor("matrix", MATRIX)
    writer.add_tensor("vector", np.ones(3, np.float16))
    writer.add_tensor("packed", gguf.quants.quantize(MATRIX, Q4_1), raw_dtype=Q4_1)
    for step in ("header", "kv_data", "tensors"):
        getattr(writer, f"write_{step}_to_file")()
    writer.close()
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_small(tmp_path / "small.gguf")


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def entry(key: str, kind: int, value: bytes) -> bytes:
    return string(key) + struct.pack("<I", kind) + value


def described(name: str, dimensions: list[int], kind: int = 0, offset: int = 0) -> bytes:
    return string(name) + struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *dimensions, kind, offset)


def file_of(path: Path, entries: list[bytes], tensors: list[bytes], data: bytes = b"", version: int = 3) -> Path:
    content = struct.pack("<4sIQQ", b"GGUF", version, len(tensors), len(entries)) + b"".join(entries + tensors)
    path.write_bytes(content + bytes(-len(content) % 32) + data)
    return path


def error_of(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        open_gguf(path)
    message = str(caught.value)
    assert str(path) in message
    assert 1 <= len(message.splitlines()) <= 4
    return message


def test_the_table_of_types_is_that_of_ggml() -> None:
    theirs = {kind.value: (kind.name, *gguf.GGML_QUANT_SIZES[kind]) for kind in gguf.GGML_QUANT_SIZES}
    assert theirs == TENSOR_TYPES


def test_every_kind_of_value_is_read(small: Path) -> None:
    metadata = open_gguf(small).metadata
    for key, (_, value) in EVERY_KIND_OF_VALUE.items():
        assert metadata[key] == value
        assert type(metadata[key]) is type(value)
    assert metadata["general.architecture"] == "llama"


@pytest.mark.parametrize("alignment", [None, 8, 64, 1024])
def test_tensors_have_the_shapes_and_bytes_that_gguf_reads(tmp_path: Path, alignment: int | None) -> None:
    path = write_small(tmp_path / "aligned.gguf", alignment)
    ours = open_gguf(path)
    theirs = gguf.GGUFReader(path).tensors
    assert [tensor.name for tensor in theirs] == list(ours.tensors)
    for tensor in theirs:
        mine = ours.tensors[tensor.name]
        assert mine.shape == tuple(reversed(tensor.shape.tolist()))
        assert (mine.kind, mine.offset, mine.num_bytes) == (tensor.tensor_type.name, tensor.data_offset, tensor.n_bytes)
        assert ours.bytes_of(tensor.name).tobytes() == tensor.data.tobytes()


def test_bytes_are_a_read_only_view(small: Path) -> None:
    view = open_gguf(small).bytes_of("matrix")
    assert not view.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1


def test_an_unknown_tensor_is_an_explained_error(small: Path) -> None:
    with pytest.raises(CheckpointError, match="no tensor 'nonsense'"):
        open_gguf(small).bytes_of("nonsense")


def test_nested_arrays_are_read(tmp_path: Path) -> None:
    inner = struct.pack("<IQ2I", U32, 2, 7, 8)
    nested = struct.pack("<IQ", ARRAY, 2) + inner + struct.pack("<IQ", U32, 0)
    path = file_of(tmp_path / "nested.gguf", [entry("k", ARRAY, nested)], [])
    assert open_gguf(path).metadata == {"k": [[7, 8], []]}


def test_version_2_is_read(tmp_path: Path) -> None:
    path = file_of(tmp_path / "v2.gguf", [], [described("t", [2])], bytes(8), version=2)
    assert open_gguf(path).tensors["t"].shape == (2,)


def test_a_large_vocabulary_opens_quickly(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "vocabulary.gguf", "llama")
    writer.add_token_list([f"token{number}" for number in range(49_152)])
    writer.add_token_merges([f"tok {number}" for number in range(49_000)])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        metadata = open_gguf(tmp_path / "vocabulary.gguf").metadata
        seconds.append(time.perf_counter() - start)
    assert metadata["tokenizer.ggml.tokens"][49_151] == "token49151"
    assert min(seconds) < 0.15


def test_neither_torch_nor_gguf_is_imported() -> None:
    code = "import sys, nabot.ggufio; print(sorted({'torch', 'gguf'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_file_an_empty_one_and_a_folder_are_explained(tmp_path: Path) -> None:
    (tmp_path / "empty.gguf").touch()
    assert "empty" in error_of(tmp_path / "empty.gguf")
    error_of(tmp_path / "missing.gguf")
    error_of(tmp_path)


def test_another_format_is_refused_with_what_was_seen(tmp_path: Path) -> None:
    (tmp_path / "page.gguf").write_bytes(b"<!DOCTYPE html><html>")
    message = error_of(tmp_path / "page.gguf")
    assert "not a GGUF file" in message
    assert "<!DOCTYPE html>" in message


def test_big_endian_and_unknown_versions_are_refused(tmp_path: Path) -> None:
    (tmp_path / "big.gguf").write_bytes(b"GGUF" + struct.pack(">IQQ", 3, 0, 0))
    assert "big-endian" in error_of(tmp_path / "big.gguf")
    assert "version 1" in error_of(file_of(tmp_path / "old.gguf", [], [], version=1))


def test_a_cut_header_says_to_download_again(small: Path) -> None:
    small.write_bytes(small.read_bytes()[:200])
    message = error_of(small)
    assert "ends inside its own header: it has 200 bytes" in message
    assert "download it again" in message


def test_a_cut_file_names_the_tensor_and_the_bytes(small: Path) -> None:
    whole = small.read_bytes()
    tensor = open_gguf(small).tensors["packed"]
    small.write_bytes(whole[: tensor.offset + 100])
    message = error_of(small)
    assert f"'packed' should have {tensor.num_bytes:,} bytes, and 100 are there" in message
    assert "download it again" in message


FAULTS = {
    "unknown tensor type": ([], [described("t", [4], kind=31)], "number 31"),
    "two tensors of one name": ([], [described("t", [4]), described("t", [4], offset=32)], "tensor 't' occurs twice"),
    "two keys of one name": ([entry("k", 7, b"\1")] * 2, [], "key 'k' occurs twice"),
    "tensors over each other": ([], [described("t", [8]), described("u", [8], offset=4)], "'u' lies over"),
    "half a block": ([], [described("t", [48, 2], kind=3)], "whole blocks of 32"),
    "an axis of nothing": ([], [described("t", [0])], "shape (0,)"),
    "too many axes": ([], [described("t", [1] * 5)], "claims 5 axes"),
    "unknown value type": ([entry("k", 13, b"\0" * 8)], [], "value of type 13"),
    "not UTF-8": ([entry("k", 8, struct.pack("<Q", 2) + b"\xff\xfe")], [], "not UTF-8"),
    "alignment of 0": ([entry("general.alignment", 4, bytes(4))], [], "general.alignment is 0"),
    "alignment of 24": ([entry("general.alignment", 4, struct.pack("<I", 24))], [], "general.alignment is 24"),
    "alignment in words": ([entry("general.alignment", 8, string("32"))], [], "general.alignment is '32'"),
    "a name without end": ([struct.pack("<Q", 2**20) + bytes(2**20)], [], "claims 1048576 bytes"),
    "arrays without end": ([entry("k", 9, struct.pack("<IQ", ARRAY, 1) * (MAX_ARRAY_DEPTH + 1))], [], "nested"),
    "a string beyond the file": ([entry("k", 8, struct.pack("<Q", 2**63))], [], "ends inside its own header"),
    "an array beyond the file": ([entry("k", 9, struct.pack("<IQ", U32, 2**62))], [], "ends inside its own header"),
    "strings beyond the file": ([entry("k", 9, struct.pack("<IQ", 8, 2**60))], [], "ends inside its own header"),
    "an endless tensor": ([], [described("t", [2**63, 2**63])], "should have"),
    "an offset beyond the file": ([], [described("t", [4], offset=2**63)], "and 0 are there"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_file_is_explained(tmp_path: Path, fault: str) -> None:
    entries, tensors, expected = FAULTS[fault]
    assert expected in error_of(file_of(tmp_path / "damaged.gguf", entries, tensors, bytes(64)))


@pytest.mark.parametrize("counts", [(2**64 - 1, 0), (0, 2**64 - 1), (2**40, 2**40)])
def test_absurd_counts_are_refused_before_anything_is_allocated(tmp_path: Path, counts: tuple[int, int]) -> None:
    (tmp_path / "absurd.gguf").write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, *counts) + bytes(100))
    assert "ends inside its own header" in error_of(tmp_path / "absurd.gguf")


def test_no_damage_gives_anything_but_a_checkpoint_error(small: Path) -> None:
    """Cuts, flipped bytes and lengths that were overwritten, at random places of the header."""
    whole = small.read_bytes()
    header_bytes = open_gguf(small).tensors["matrix"].offset
    chance = random.Random(0)
    path = small.with_name("fuzzed.gguf")
    tracemalloc.start()
    for round_number in range(1500):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(4, header_bytes)
            content[place : place + 1] = chance.randbytes(1)
        if round_number % 3 == 1:
            content = content[: chance.randrange(len(content))]
        if round_number % 3 == 2:
            place = chance.randrange(8, header_bytes)
            content[place : place + 8] = struct.pack("<Q", chance.choice([2**16, 2**31, 2**48, 2**64 - 1]))
        path.write_bytes(content)
        try:
            opened = open_gguf(path)
            for name in opened.tensors:
                opened.bytes_of(name)
        except CheckpointError as error:
            assert str(path) in str(error)  # noqa: PT017 - most rounds raise, some do not
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
