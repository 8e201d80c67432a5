"""Ids of whole conversations against transformers' `apply_chat_template`, with the same tokenizer on both sides."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_tokenizers import byte_level, sentencepiece
from token_strings import CODE_TEXT, COMBINED, DIGITS, EMOJI, ENGLISH, KOREAN, PUNCTUATION
from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from nabot.conversation import Conversation
from nabot.rendering import ChatTemplate, Renderer
from nabot.tokenizer import load_tokenizer

CHATML_BLOCKS = """{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.role == 'assistant' %}
{%- generation %}{{ message.content }}<|im_end|>{%- endgeneration %}
{{- '\\n' }}
{%- else %}{{- message.content | trim }}<|im_end|>
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""
LLAMA3_DATED = """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}{%- set messages = messages[1:] %}
{%- else %}{%- set system_message = "" %}{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Today Date: " + strftime_now("%d %b %Y") + "\\n\\n" + system_message + "<|eot_id|>" }}
{%- for message in messages %}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"""
ZEPHYR = """{% for message in messages %}
{% if message['role'] == 'user' %}{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}{{ '<|system|>\\n' + message['content'] + eos_token }}
{% else %}{{ '<|assistant|>\\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}{% endfor %}"""


def conversations(count: int, seed: int) -> Iterator[Conversation]:
    """One to six turns, some with a system prompt, white space inside texts, and around those of users."""
    rng = random.Random(seed)
    for _ in range(count):
        rows = [{"role": "system", "content": text(rng)}] if rng.random() < 0.3 else []
        for _ in range(rng.randint(1, 6)):
            around = rng.choice(["", "", "", " ", "\n", "  "])
            rows.append({"role": "user", "content": around + text(rng) + around})
            rows.append({"role": "assistant", "content": text(rng).strip() or "."})
        yield Conversation.of(rows)


def text(rng: random.Random) -> str:
    kinds = [ENGLISH, KOREAN, ENGLISH, KOREAN, EMOJI, COMBINED, DIGITS, PUNCTUATION, [CODE_TEXT]]
    words = [rng.choice(rng.choice(kinds)) for _ in range(rng.randint(1, 15))]
    return "".join(word + rng.choice([" ", " ", " ", "", "\n", "\n\n", "\t"]) for word in words) + rng.choice(ENGLISH)


def folder(path: Path, backend: Backend, template: str, **config: str) -> Path:
    backend.save(str(path / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": template, **config}
    (path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return path


def assert_same(path: Path, count: int, *, mask: bool = False) -> None:
    theirs, tokenizer = AutoTokenizer.from_pretrained(path), load_tokenizer(path)
    renderer = Renderer(ChatTemplate.own(tokenizer), tokenizer)
    for conversation in conversations(count, seed=21):
        rows = conversation.as_dict()["messages"]
        ours = renderer.training(conversation)
        expected = _apply(theirs, rows, mask=mask)
        assert list(ours.ids) == expected["input_ids"]
        if mask:
            assert list(map(int, ours.trained)) == expected["assistant_masks"]
        if len(rows) > 4:  # each call of the other side takes milliseconds
            continue
        question = Conversation(conversation.messages[:-1])
        prompt = _apply(theirs, rows[:-1], add_generation_prompt=True)["input_ids"]
        assert list(renderer.prompt(question)) == prompt == expected["input_ids"][: len(prompt)]


def _apply(
    theirs: PreTrainedTokenizerBase,
    rows: list[dict[str, str]],
    *,
    mask: bool = False,
    add_generation_prompt: bool = False,
) -> dict[str, list[int]]:
    return theirs.apply_chat_template(
        rows,
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=mask,
        add_generation_prompt=add_generation_prompt,
    )


def test_the_real_models_own_template(smollm2_gguf: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(smollm2_gguf)
    names = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
    assert tokenizer.chat_template is not None
    assert_same(folder(tmp_path, tokenizer.backend, tokenizer.chat_template, **names), 1000)


def test_generation_blocks_give_the_same_mask(tmp_path: Path) -> None:
    assert_same(folder(tmp_path, byte_level(), CHATML_BLOCKS, eos_token="<|im_end|>"), 300, mask=True)


def test_a_template_with_dates_and_trim(tmp_path: Path) -> None:
    assert_same(folder(tmp_path, byte_level("llama3"), LLAMA3_DATED, bos_token="<s>", eos_token="<|eot_id|>"), 300)


@pytest.mark.parametrize("style", ["prepend", "first", "always"])
@pytest.mark.parametrize("template", ["chatml", "zephyr"])
def test_sentencepiece_vocabularies(style: str, template: str, tmp_path: Path) -> None:
    source = ZEPHYR if template == "zephyr" else ChatTemplate.builtin("chatml").source
    assert_same(folder(tmp_path, sentencepiece(style), source, bos_token="<s>", eos_token="</s>"), 150)


@pytest.mark.parametrize("name", ["chatml", "llama3"])
def test_builtin_templates(name: str, tmp_path: Path) -> None:
    source = ChatTemplate.builtin(name).source
    assert_same(folder(tmp_path, byte_level("llama3"), source, bos_token="<s>", eos_token="</s>"), 200)


WORDS = "message.content | trim"
QUESTION = f"{{% if message.role == 'user' %}}<v0><v1>{{{{ {WORDS} }}}}<v2>{{% else %}}{{{{ {WORDS} }}}}{{% endif %}}"
IN_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ words }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
IN_FRONT = "{% for message in messages %}{{ words }}</s>{% endfor %}"  # the text begins with a question


@pytest.mark.parametrize("kind", ["byte_level", "prepend", "first", "always"])
@pytest.mark.parametrize("template", [IN_CHATML, IN_FRONT], ids=["chatml", "in_front"])
def test_ids_around_questions_are_as_special_tokens_that_the_template_writes(
    template: str, kind: str, tmp_path: Path
) -> None:
    plain = byte_level() if kind == "byte_level" else sentencepiece(kind)
    marked = Backend.from_str(plain.to_str())
    marked.add_special_tokens([AddedToken(f"<v{n}>", normalized=False) for n in range(3)])
    v0, v1, v2 = range(plain.get_vocab_size(), marked.get_vocab_size())
    names = {"bos_token": "<s>", "eos_token": "</s>"}
    folders = tmp_path / "plain", tmp_path / "marked"
    for path in folders:
        path.mkdir()
    theirs = AutoTokenizer.from_pretrained(
        folder(folders[1], marked, template.replace("{{ words }}", QUESTION), **names)
    )
    tokenizer = load_tokenizer(folder(folders[0], plain, template.replace("words", WORDS), **names))
    renderer = Renderer(ChatTemplate.own(tokenizer), tokenizer).around_questions([v0, v1], [v2])
    for conversation in conversations(100, seed=5):
        rows = conversation.as_dict()["messages"]
        assert list(renderer.training(conversation).ids) == _apply(theirs, rows)["input_ids"]
        expected = _apply(theirs, rows[:-1], add_generation_prompt=True)["input_ids"]
        assert list(renderer.prompt(Conversation(conversation.messages[:-1]))) == expected
