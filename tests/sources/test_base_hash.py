"""The same weights are the same base; other weights are another."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from nabot.errors import CheckpointError
from nabot.sources import base_hash

WEIGHTS = {name: np.arange(6, dtype=np.float32).reshape(2, 3) + i for i, name in enumerate(["b", "a", "c"])}


def folder_with(folder: Path, shards: dict[str, list[str]], **metadata: str) -> Path:
    folder.mkdir()
    for name, tensors in shards.items():
        save_file({tensor: WEIGHTS[tensor] for tensor in tensors}, folder / name, metadata=metadata or None)
    if len(shards) > 1:
        weight_map = {tensor: name for name, tensors in shards.items() for tensor in tensors}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def raw_folder(folder: Path, header: object, data: bytes) -> Path:
    folder.mkdir()
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    return folder


def test_sharding_names_and_metadata_do_not_matter(tmp_path):
    whole = folder_with(tmp_path / "whole", {"model.safetensors": ["a", "b", "c"]})
    sharded = folder_with(tmp_path / "sharded", {"y.safetensors": ["c", "a"], "x.safetensors": ["b"]}, format="pt")
    assert base_hash(whole) == base_hash(sharded)


def test_files_that_the_index_does_not_name_do_not_count(tmp_path):
    sharded = folder_with(tmp_path / "sharded", {"x.safetensors": ["a", "b"], "y.safetensors": ["c"]})
    before = base_hash(sharded)
    save_file({"a": WEIGHTS["b"]}, sharded / "consolidated.safetensors")
    assert base_hash(sharded) == before


def test_a_gguf_is_known_by_its_tensors_alone(tiny_gguf):
    same = [tiny_gguf("one.gguf"), tiny_gguf("two.gguf", licence="mit")]
    assert len({base_hash(path) for path in same}) == 1
    assert base_hash(tiny_gguf("other.gguf", seed=1)) != base_hash(same[0])


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
        {"dtype": "I32", "shape": [4], "data_offsets": [0, 16]},
    ],
)
def test_shape_and_type_count_as_well_as_bytes(entry, tmp_path):
    plain = raw_folder(tmp_path / "plain", {"w": {"dtype": "F32", "shape": [4, 1], "data_offsets": [0, 16]}}, bytes(16))
    assert base_hash(raw_folder(tmp_path / "other", {"w": entry}, bytes(16))) != base_hash(plain)


def test_it_is_cached_until_the_file_changes(tiny_gguf, monkeypatch):
    path = tiny_gguf()
    first = base_hash(path)
    with monkeypatch.context() as patched:
        patched.setattr("nabot.sources.basehash.open_gguf", lambda _: pytest.fail("hashed again"))
        assert base_hash(path) == first
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert base_hash(path) != first


def test_a_damaged_cache_is_ignored(tiny_gguf, home):
    path = tiny_gguf()
    first = base_hash(path)
    for cached in (home / "models" / ".hashes").iterdir():
        cached.write_bytes(b"{")
    assert base_hash(path) == first


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        ({"w": ENTRY}, bytes(4), "the file has 73 bytes; its header describes 77"),
        ({"w": ENTRY}, bytes(12), "the file has 81 bytes; its header describes 77"),
        ({"w": {**ENTRY, "data_offsets": [4, 12]}}, bytes(12), "tensor w begins at byte"),
        ({"v": ENTRY, "w": ENTRY}, bytes(8), "tensor w begins at byte"),
        ({"w": {**ENTRY, "data_offsets": [8, 0]}}, bytes(8), "tensor w begins at byte"),
        ({"w": {"dtype": "F32"}}, bytes(8), "its header cannot be read"),
        (b"[1]", b"", "its header cannot be read"),
        (b"\xff\xfe", b"", "its header cannot be read"),
    ],
)
def test_a_header_that_does_not_fit_its_file_is_damage(header, data, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        base_hash(raw_folder(tmp_path / "damaged", header, data))


@pytest.mark.parametrize("content", [b"", b"\x01", struct.pack("<Q", 2**63) + b"{}"])
def test_a_file_without_a_header_is_damage(content, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="its header is said to be"):
        base_hash(tmp_path)


def test_a_tensor_in_two_shards_is_damage(tmp_path):
    folder = folder_with(tmp_path / "m", {"x.safetensors": ["a", "b"]})
    save_file({"a": WEIGHTS["a"]}, folder / "y.safetensors")
    with pytest.raises(CheckpointError, match="tensor a is there twice"):
        base_hash(folder)


def test_a_missing_file_is_named(tmp_path):
    folder = folder_with(tmp_path / "m", {"x.safetensors": ["a", "b"], "y.safetensors": ["c"]})
    (folder / "y.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"y\.safetensors: cannot be read"):
        base_hash(folder)


def test_the_pinned_model_is_the_base_that_bots_were_made_with(smollm2_gguf):
    assert base_hash(smollm2_gguf) == "b8a39cd9a2b0fd2a3c68c66629215db7c53c79e231df9c20e33a001c74fe1946"
