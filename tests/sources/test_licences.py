"""Where a licence stands, and what it allows."""

import pytest

from nabot.sources import commercial_use, licence_of, registry


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("Apache-2.0", True), ("apache-2.0", True), ("mit", True), ("bsd-3-clause", True), ("cc-by-4.0", True),
        ("cc-by-nc-4.0", False), ("CC-BY-NC-SA-4.0", False), ("apple-research", False), ("other-non-commercial", False),
        ("llama3.2", None), ("gemma", None), ("unknown", None), ("", None), ("openrail", None), ("mnc-llama", None),
    ],
)  # fmt: skip
def test_commercial_use(licence, allowed):
    assert commercial_use(licence) is allowed


@pytest.mark.parametrize(
    ("readme", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\n", "Apache-2.0"),
        ("\ufeff---\r\nlanguage: en\r\nlicense: 'mit'\r\n---\r\n# Model", "MIT"),
        ("---\nlicense:\n- cc-by-nc-4.0\n- mit\n---\n", "cc-by-nc-4.0"),
        ("---\nlicense: other\nlicense_name: qwen-research\n---\n", "qwen-research"),
        ("---\nlicense: other\n---\n", "unknown"),
        ("---\ntags: [x]\n---\nlicense: mit\n", "unknown"),
        ("# no front matter\nlicense: mit\n", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_front_matter_of_a_model_card(readme, licence, tmp_path):
    (tmp_path / "README.md").write_bytes(readme.encode())
    assert licence_of(tmp_path) == licence


def test_a_folder_without_a_card_is_unknown(tmp_path):
    assert licence_of(tmp_path) == "unknown"


def test_a_gguf_says_its_own(tiny_gguf, tmp_path):
    assert licence_of(tiny_gguf("a.gguf", licence="llama3.1")) == "llama3.1"
    assert licence_of(tiny_gguf("b.gguf")) == "unknown"
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    assert licence_of(tmp_path / "broken.gguf") == "unknown"


def test_short_names_have_a_licence_with_an_answer_or_terms_to_accept():
    assert all(short.terms or commercial_use(short.licence) is not None for short in registry())
