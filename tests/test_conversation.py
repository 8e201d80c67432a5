"""What becomes of text on its way into a conversation."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tokenizers import byte_level

from nabot.conversation import Conversation, nfc
from nabot.rendering import ChatTemplate, Renderer
from nabot.tokenizer import Tokenizer
from nabot.tokenizer.parts import TokenizerParts


@given(st.text())
def test_a_question_and_its_system_prompt_are_composed(text: str) -> None:
    asked = Conversation.ask(unicodedata.normalize("NFD", text), system=unicodedata.normalize("NFD", text))
    assert {message.content for message in asked.messages} <= {unicodedata.normalize("NFC", text)}


@pytest.mark.parametrize("text", ["ㅋㅋㅋ ㅠㅠ", "ＡＢＣ １２３", "ﾊﾝｶｸ", "①", "½"])
def test_full_width_forms_and_compatibility_jamo_stay(text: str) -> None:
    assert nfc(text) == text


def test_a_bots_system_prompt_is_composed() -> None:
    tokenizer = Tokenizer(TokenizerParts(byte_level()))
    renderer = Renderer(ChatTemplate.builtin("alpaca"), tokenizer, system=unicodedata.normalize("NFD", "달카페"))
    assert renderer.system == "달카페"
