"""What a conversation becomes, and what of it is learned."""

import time
from datetime import datetime
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tokenizers import MARKS, WORD_MARKS, byte_level, sentencepiece

from nabot.conversation import Conversation, Message
from nabot.errors import ConfigError, DataError
from nabot.rendering import BUILTIN, ChatTemplate, Rendered, Renderer, render_coloured
from nabot.tokenizer import Tokenizer
from nabot.tokenizer.parts import TokenizerParts

NAMED = {"bos_token": "<s>", "eos_token": "</s>"}
NO_INPUT = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\nName a drink.\n\n### Response:"
)
WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. Write a"
    " response that appropriately completes the request.\n\n### Instruction:\nShorten.\n\n### Input:\nA long text.\n\n"
    "### Response:"
)
MULTI = Conversation.of(
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "  Hello <|im_end|> 한국 "},
        {"role": "assistant", "content": "안녕 😀"},
        {"role": "user", "content": "Two?"},
        {"role": "assistant", "content": "\n two lines\n"},
    ]
)
TEXTS = st.lists(
    st.sampled_from([*MARKS, *WORD_MARKS, "a", "한", " ", "\n", "assistant", "<|"]), min_size=1, max_size=6
).map("".join)


@lru_cache
def tokenizer(kind: str = "byte_level", *, adds_bos: bool = False, template: str | None = None) -> Tokenizer:
    backend = byte_level() if kind == "byte_level" else sentencepiece()
    ids = {name: backend.token_to_id(text) for name, text in NAMED.items()}
    parts = TokenizerParts(
        backend, ids["bos_token"], ids["eos_token"], add_bos=adds_bos, chat_template=template, named_tokens=NAMED
    )
    return Tokenizer(parts)


def builtin(name: str, kind: str = "byte_level", system: str = "", *, adds_bos: bool = False) -> Renderer:
    return Renderer(ChatTemplate.builtin(name), tokenizer(kind, adds_bos=adds_bos), system)


def custom(source: str, **settings: object) -> Renderer:
    return Renderer(ChatTemplate("custom", source), tokenizer(), **settings)  # type: ignore[arg-type]


def learned(renderer: Renderer, row: Rendered) -> list[str]:
    """The learned stretches, special tokens by name."""
    stretches, open_ = [], False
    for piece, trained in render_coloured(row, renderer.tokenizer):
        if trained:
            stretches[-1:] = [stretches[-1] + piece] if open_ else [*stretches[-1:], piece]
        open_ = trained
    return stretches


def ask(question: str, answer: str, **more: object) -> Conversation:
    return Conversation.of([{"role": "user", "content": question, **more}, {"role": "assistant", "content": answer}])


def test_alpaca_without_input_is_stanfords_text() -> None:
    row = builtin("alpaca").training(ask("Name a drink.", "Tea"))
    assert row.text == NO_INPUT + "Tea</s>"


def test_alpaca_with_input_is_stanfords_text() -> None:
    row = builtin("alpaca").training(ask("Shorten.", "Text.", context="A long text."))
    assert row.text == WITH_INPUT + "Text.</s>"


def test_alpaca_lora_is_stanfords_text_with_a_line_break_before_the_answer() -> None:
    renderer = builtin("alpaca-lora")
    assert renderer.training(ask("Name a drink.", "Tea")).text == NO_INPUT + "\nTea</s>"
    with_input = renderer.training(ask("Shorten.", "Text.", context="A long text."))
    assert with_input.text == WITH_INPUT + "\nText.</s>"
    assert learned(renderer, with_input) == ["Text.</s>"]


def test_koalpaca_is_the_text_of_its_polyglot_models() -> None:
    renderer = builtin("koalpaca")
    assert renderer.training(ask("차는?", "녹차")).text == "### 질문: 차는?\n\n### 답변: 녹차</s>"
    row = renderer.training(ask("차는?", "녹차", context="녹차만 있다."))
    assert row.text == "### 질문: 차는?\n\n### 맥락: 녹차만 있다.\n\n### 답변: 녹차</s>"
    assert learned(renderer, row) == [" 녹차</s>"]


def test_koalpaca_for_llama_says_everything_twice() -> None:
    renderer = builtin("koalpaca-llama")
    row = renderer.training(ask("차는?", "녹차"))
    assert row.text == (
        "Below is an instruction that describes a task.\n아래는 작업을 설명하는 명령어입니다.\n\n"
        "Write a response that appropriately completes the request.\n"
        "명령어에 따른 요청을 적절히 완료하는 응답을 작성하세요.\n\n"
        "### Instruction(명령어):\n차는?\n\n### Response(응답):녹차</s>"
    )
    row = renderer.training(ask("줄여라.", "짧다.", context="긴 글."))
    assert row.text == (
        "Below is an instruction that describes a task, paired with an input that provides further context.\n"
        "아래는 작업을 설명하는 명령어와 추가적 맥락을 제공하는 입력이 짝을 이루는 예제입니다.\n\n"
        "Write a response that appropriately completes the request.\n요청을 적절히 완료하는 응답을 작성하세요.\n\n"
        "### Instruction(명령어):\n줄여라.\n\n### Input(입력):\n긴 글.\n\n### Response(응답):짧다.</s>"
    )


def test_alpaca_puts_a_system_prompt_in_front_and_repeats_the_block() -> None:
    conversation = Conversation((*ask("Name a drink.", "Tea").messages, *ask("And?", "Milk", context="Cold.").messages))
    row = builtin("alpaca", system="You are Dal.").training(conversation)
    later = "\n\n### Instruction:\nAnd?\n\n### Input:\nCold.\n\n### Response:Milk</s>"
    assert row.text == "You are Dal.\n\n" + NO_INPUT + "Tea</s>" + later


def test_llama2_writes_its_published_format_without_a_space_before_the_answer() -> None:
    conversation = Conversation((*ask("Hi", "Hello").messages, *ask("Tea?", "Yes").messages))
    row = builtin("llama2", "sentencepiece", "Be kind.", adds_bos=True).training(conversation)
    first = "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nHi [/INST]Hello</s>"
    assert row.text == first + "<s>[INST] Tea? [/INST]Yes</s>"


def test_gemma_is_as_google_published_it() -> None:
    rows = ("system", "짧게."), ("user", "안녕?"), ("assistant", "네."), ("user", "차?"), ("assistant", "네")
    row = builtin("gemma", adds_bos=True).training(Conversation(tuple(Message(*turn) for turn in rows)))
    # https://ai.google.dev/gemma/docs/core/prompt-structure: a system prompt has no role; it stands before a question
    assert row.text == (
        "<s><start_of_turn>user\n짧게.\n\n안녕?<end_of_turn>\n<start_of_turn>model\n네.<end_of_turn>\n"
        "<start_of_turn>user\n차?<end_of_turn>\n<start_of_turn>model\n네<end_of_turn>\n"
    )


@pytest.mark.parametrize(
    ("marks", "name", "end"),
    [
        (("<start_of_turn>", "<end_of_turn>"), "gemma", "<end_of_turn>"),
        (("<|im_start|>", "<|im_end|>"), "chatml", "<|im_end|>"),
        (("<|im_end|>", "<end_of_turn>"), "alpaca", "</s>"),
        ((), "alpaca", "</s>"),
    ],
)
def test_a_base_gets_the_template_whose_marks_it_has_as_tokens(marks: tuple[str, ...], name: str, end: str) -> None:
    backend = sentencepiece(marks=("<s>", "</s>", *marks))
    parts = TokenizerParts(
        backend, backend.token_to_id("<s>"), backend.token_to_id("</s>"), add_bos=True, named_tokens=NAMED
    )
    renderer = Renderer(ChatTemplate.named("", Tokenizer(parts)), Tokenizer(parts))
    assert renderer.template.name == name
    assert learned(renderer, renderer.training(ask("a", "b"))) == ["b" + end]


def test_a_models_own_template_goes_before_its_marks() -> None:
    assert ChatTemplate.named("", tokenizer(template="{{ messages[0].content }}")).name == "model"


def test_a_model_without_bos_gets_none_from_built_in_templates() -> None:
    conversation = ask("Hi", "Hello")
    for name in ("alpaca", "llama2", "llama3"):
        assert "<s>" not in builtin(name).training(conversation).text
        assert builtin(name, adds_bos=True).training(conversation).text.startswith("<s>")


@pytest.mark.parametrize("kind", ["byte_level", "sentencepiece"])
@pytest.mark.parametrize("name", BUILTIN)
def test_answers_and_their_end_tokens_are_learned_and_nothing_else(name: str, kind: str) -> None:
    renderer = builtin(name, kind)
    end = {"chatml": "<|im_end|>", "gemma": "<end_of_turn>", "llama3": "<|eot_id|>"}.get(name, "</s>")
    row = renderer.training(MULTI)
    space = " " if name == "koalpaca" else ""  # which its models were trained to write
    assert learned(renderer, row) == [f"{space}안녕 😀{end}", f"{space}\n two lines\n{end}"]
    assert len(row.ids) == len(row.trained)
    assert renderer.tokenizer.added_tokens[end] in renderer.stop_ids


@pytest.mark.parametrize("kind", ["byte_level", "sentencepiece"])
@pytest.mark.parametrize("name", BUILTIN)
def test_a_prompt_is_what_training_has_before_the_answer(name: str, kind: str) -> None:
    renderer = builtin(name, kind, adds_bos=True)
    row = renderer.training(MULTI)
    for turn in (2, 4):
        prompt = renderer.prompt(Conversation(MULTI.messages[:turn]))
        assert row.ids[: len(prompt)] == prompt
        assert row.trained[len(prompt)]
        assert not row.trained[len(prompt) - 1]


@pytest.mark.parametrize("kind", ["byte_level", "sentencepiece"])
@pytest.mark.parametrize("name", BUILTIN)
@given(answer=TEXTS)
@settings(max_examples=25, deadline=None)
def test_an_answer_that_has_begun_is_gone_on_with_as_it_was_learned(name: str, kind: str, answer: str) -> None:
    renderer = builtin(name, kind)
    question = MULTI.messages[:2]
    begun = renderer.prompt(Conversation((*question, Message("assistant", answer))))
    asked = renderer.prompt(Conversation(question))
    assert begun[: len(asked)] == asked
    row = renderer.training(Conversation((*question, Message("assistant", answer))))
    if name not in ("llama2", "mistral"):  # their templates trim answers
        assert row.ids[: len(begun)] == begun
    assert not set(begun[len(asked) :]) & set(renderer.tokenizer.added_tokens.values())


@pytest.mark.parametrize("kind", ["byte_level", "sentencepiece"])
@pytest.mark.parametrize("name", BUILTIN)
@given(texts=st.lists(TEXTS, min_size=4, max_size=4))
@settings(max_examples=25, deadline=None)
def test_nobody_can_type_a_special_token(name: str, kind: str, texts: list[str]) -> None:
    renderer, marks = builtin(name, kind), set(tokenizer(kind).added_tokens.values())
    roles = ("system", "user", "assistant", "user", "assistant")

    def marks_of(contents: tuple[str, ...]) -> list[int]:
        rows = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]
        return [token_id for token_id in renderer.training(Conversation.of(rows)).ids if token_id in marks]

    assert marks_of((*texts, "a")) == marks_of(("b", "b", "b", "b", "b"))


def test_turns_with_train_false_are_not_learned() -> None:
    first, second = ask("a", "b").messages, ask("c", "d").messages
    renderer = builtin("chatml")
    row = renderer.training(Conversation((first[0], Message("assistant", "b", train=False), *second)))
    assert learned(renderer, row) == ["d<|im_end|>"]


def test_the_bots_system_prompt_gives_way_to_the_conversations_own() -> None:
    renderer = builtin("chatml", system="default")
    assert renderer.training(MULTI).text.startswith("<|im_start|>system\nBe brief.<|im_end|>")
    assert renderer.training(ask("a", "b")).text.startswith("<|im_start|>system\ndefault<|im_end|>")


def test_a_context_goes_behind_a_blank_line_where_the_template_has_no_place_for_it() -> None:
    row = builtin("chatml").training(ask("Shorten.", "Text.", context="A long text."))
    assert "user\nShorten.\n\nA long text.<|im_end|>" in row.text


def test_chatml_is_refused_where_its_marks_are_plain_text() -> None:
    backend = sentencepiece(marks=("<s>", "</s>"))
    eos = backend.token_to_id("</s>")
    plain = Tokenizer(TokenizerParts(backend, None, eos, named_tokens={"eos_token": "</s>"}))
    renderer = Renderer(ChatTemplate.builtin("chatml"), plain)
    with pytest.raises(ConfigError, match=r"'chatml'.*never stop") as error:
        renderer.training(ask("a", "b"))
    assert "fit this model: alpaca, alpaca-lora, koalpaca, koalpaca-llama, llama2." in str(error.value)
    assert renderer.stop_ids == {eos}


def test_generation_blocks_say_what_is_learned() -> None:
    renderer = custom(
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
        "Thinking.{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}<|im_end|>"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    assert learned(renderer, renderer.training(ask("a", "b"))) == ["b<|im_end|>"]


def test_an_end_token_outside_the_generation_block_is_learned_too() -> None:
    renderer = custom(
        "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}"
        "{% generation %}{{ m.content }}{% endgeneration %}</s>{% else %}{{ m.content }}{% endif %}{% endfor %}"
    )
    assert learned(renderer, renderer.training(ask("a", "b"))) == ["b</s>"]


def test_a_template_without_generation_prompt_still_begins_the_answer_for_the_model() -> None:
    renderer = custom("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}")
    row, prompt = renderer.training(ask("a", "b")), renderer.prompt(Conversation.ask("a"))
    assert learned(renderer, row) == ["b<|im_end|>"]
    assert row.ids[: len(prompt)] == prompt
    assert row.trained[len(prompt)]


def test_what_a_template_writes_behind_the_generation_prompt_is_part_of_the_answer() -> None:
    renderer = custom(
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}<think>\n\n</think>\n\n"
        "{% endif %}{{ m.content }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    row = renderer.training(ask("a", "b"))
    assert learned(renderer, row) == ["<think>\n\n</think>\n\nb<|im_end|>"]
    assert renderer.tokenizer.added_tokens["<think>"] in row.ids


def test_trim_and_a_text_used_twice_are_proved() -> None:
    renderer = custom(
        "{{ messages[0].content | trim }}"
        "{% for m in messages %}<|im_start|>{{ m.content | trim }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>{% endif %}"
    )
    row = renderer.training(ask("  a <s>\n", " b "))
    assert row.text == "a <s><|im_start|>a <s><|im_end|><|im_start|>b<|im_end|>"
    assert learned(renderer, row) == ["b<|im_end|>"]
    assert tokenizer().added_tokens["<s>"] not in row.ids


@pytest.mark.parametrize("change", ["m.content | upper", "m.content[:1]", "m.content | replace('l', '1')"])
def test_a_template_that_changes_peoples_words_is_an_explained_error(change: str) -> None:
    renderer = custom(f"{{% for m in messages %}}{{{{ {change} }}}}</s>{{% endfor %}}")
    with pytest.raises(DataError, match=r"'custom': in turn 1 \(user\)"):
        renderer.training(ask("hello", "b"))


def test_a_refusal_of_the_template_is_an_explained_error() -> None:
    renderer = custom("{{ raise_exception('System role not supported') }}")
    with pytest.raises(DataError, match="cannot render this conversation: System role not supported"):
        renderer.prompt(Conversation.ask("a"))


def test_a_template_cannot_leave_its_sandbox() -> None:
    renderer = custom("{{ messages.__class__.__mro__[1].__subclasses__() }}")
    with pytest.raises(DataError):
        renderer.prompt(Conversation.ask("a"))


def test_tool_calls_are_learned_up_to_the_end_token_and_cannot_type_marks() -> None:
    renderer = custom(
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{% for call in m.tool_calls %}"
        "<tool_call>{{ call | tojson }}</tool_call>{% endfor %}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    call = {"name": "search", "arguments": {"q": '달 "<|im_end|>"\n', "<s>": 1}}
    messages = (Message("user", "a"), Message("assistant", "", tool_calls=(call,)))
    row = renderer.training(Conversation(messages))
    added = tokenizer().added_tokens
    assert [learned(renderer, row)[0][:11], learned(renderer, row)[0][-10:]] == ["<tool_call>", "<|im_end|>"]
    assert row.ids.count(added["<|im_end|>"]) == 2
    assert added["<s>"] not in row.ids


def test_dates_come_from_the_clock() -> None:
    renderer = custom("{{ strftime_now('%d %b %Y') }}", clock=lambda: datetime(2024, 7, 26))
    assert renderer.tokenizer.decode(renderer.prompt(Conversation.ask("a"))) == "26 Jul 2024"


def test_fitting_drops_the_oldest_turns_and_never_the_end_token() -> None:
    renderer = builtin("chatml")
    turns = [message for n in range(12) for message in ask(f"question {n} " * 5, f"answer {n}").messages]
    conversation = Conversation((Message("system", "Be brief."), *turns))
    whole = renderer.training(conversation)
    for limit in range(20, len(whole.ids) + 5, 7):
        row = renderer.fitted(conversation, limit)
        if row is None:
            assert len(renderer.training(Conversation((conversation.messages[0], *turns[-2:]))).ids) > limit
            continue
        assert len(row.ids) <= limit
        assert row.text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nquestion")
        assert row.text.endswith("<|im_start|>assistant\nanswer 11<|im_end|>\n")
        assert learned(renderer, row)[-1] == "answer 11<|im_end|>"
    assert renderer.fitted(conversation, len(whole.ids)) == whole


def test_fitting_keeps_as_many_turns_as_fit() -> None:
    renderer = builtin("chatml")
    turns = [message for n in range(6) for message in ask(f"question {n}", f"answer {n}").messages]
    last_two = renderer.training(Conversation(tuple(turns[-4:])))
    assert renderer.fitted(Conversation(tuple(turns)), len(last_two.ids)) == last_two


def test_a_fitted_prompt_says_how_many_turns_it_dropped() -> None:
    renderer = builtin("chatml")
    turns = [message for n in range(4) for message in ask(f"question {n}", f"answer {n}").messages]
    conversation = Conversation((*turns, Message("user", "last")))
    assert renderer.fitted_prompt(conversation, 10_000) == (renderer.prompt(conversation), 0)
    shorter = renderer.prompt(Conversation(conversation.messages[6:]))
    assert renderer.fitted_prompt(conversation, len(shorter)) == (shorter, 3)
    with pytest.raises(DataError, match="the last turn alone has"):
        renderer.fitted_prompt(conversation, 3)


def test_coloured_pieces_are_whole_characters_that_make_up_the_text() -> None:
    renderer = builtin("chatml")
    row = renderer.training(ask("🜁 한글", "뷁 🜂"))
    pieces = render_coloured(row, renderer.tokenizer)
    assert "".join(piece for piece, _ in pieces) == row.text
    assert "\ufffd" not in row.text


def test_rendering_is_quick() -> None:
    renderer = builtin("chatml")
    rows = [
        ask(f"What is number {n} on the card of Dal Café, please?", f"It is tea number {n * 7}.") for n in range(600)
    ]
    renderer.training(rows[0])
    start = time.process_time()
    for row in rows:
        renderer.training(row)
    assert len(rows) / (time.process_time() - start) > 500  # about 2,000 on one core that does nothing else


def test_an_unknown_template_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="nearest: chatml"):
        ChatTemplate.named("chat-ml", tokenizer())


def test_a_model_without_a_template_says_which_there_are() -> None:
    with pytest.raises(
        ConfigError, match="alpaca, alpaca-lora, chatml, gemma, koalpaca, koalpaca-llama, llama2, llama3"
    ):
        ChatTemplate.named("model", tokenizer())
