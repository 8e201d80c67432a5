"""A person's own files: used where they are, or what is wrong with them."""

import json

import pytest

from nabot.errors import CheckpointError, ConfigError
from nabot.sources import Model, installed, remove, resolve


def test_a_gguf_file_is_used_where_it_is(tiny_gguf, tmp_path, monkeypatch):
    path = tiny_gguf(licence="apache-2.0")
    monkeypatch.chdir(tmp_path)
    assert resolve("tiny.gguf") == Model(str(path), path, "Apache-2.0")
    assert installed() == []


def test_a_folder_with_a_layout_is_used_where_it_is(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    (tmp_path / "extra.gguf").write_bytes(b"")
    assert resolve(str(tmp_path)) == Model(str(tmp_path), tmp_path, "MIT")


def test_a_folder_with_one_gguf_is_that_file(tiny_gguf):
    path = tiny_gguf("folder/tiny.gguf")
    assert resolve(str(path.parent)).path == path


def test_a_folder_with_several_ggufs_lists_them(tiny_gguf):
    one, two = tiny_gguf("folder/one.gguf"), tiny_gguf("folder/two.gguf")
    with pytest.raises(CheckpointError) as caught:
        resolve(str(one.parent))
    assert str(caught.value).splitlines()[1:] == [f"  {one}", f"  {two}"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], r"not a model folder: nothing in it; expected config.json and \*.safetensors"),
        (["config.json", "notes.txt"], r"not a model folder: config.json, notes.txt in it"),
        (["config.json", "pytorch_model.bin"], r"its weights are pickles .*can run code"),
        (["bot.toml", "manifest.json"], "this is a bot, not a base model"),
        (["adapter_config.json", "adapter_model.safetensors"], "this is an adapter, not a whole model"),
    ],
)
def test_a_folder_that_is_something_else_is_named(files, message, tmp_path):
    for name in files:
        (tmp_path / name).write_text("{}")
    with pytest.raises(CheckpointError, match=message):
        resolve(str(tmp_path))


def test_a_missing_shard_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "one.safetensors").write_bytes(b"")
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"weights are missing: two.safetensors"):
        resolve(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "message"),
    [("model.safetensors", "Name its folder: "), ("model.bin", "not a model; expected a .gguf file")],
)
def test_a_file_that_is_no_gguf_is_explained(name, message, tmp_path):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(CheckpointError, match=message):
        resolve(str(tmp_path / name))


def test_a_persons_own_file_is_never_removed(tiny_gguf):
    path = tiny_gguf()
    with pytest.raises(ConfigError, match="this is your own file"):
        remove(str(path))
    assert path.exists()
