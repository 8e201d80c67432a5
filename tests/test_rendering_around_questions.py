"""Ids right before and right behind the words of every user turn, and nothing else changed."""

from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tokenizers import MARKS, byte_level, sentencepiece

from nabot.conversation import Conversation, Message
from nabot.rendering import BUILTIN, ChatTemplate, Renderer
from nabot.tokenizer import Tokenizer
from nabot.tokenizer.parts import TokenizerParts

FIRST = 5000  # above every vocabulary here
BEFORE, BEHIND = range(FIRST, FIRST + 3), range(FIRST + 3, FIRST + 7)
ALL = [*BEFORE, *BEHIND]
TEXTS = st.lists(st.sampled_from([*MARKS, "질문", "한", "a", "Two?", " ", "\n", "\u00a0", "😀", "<|"]), max_size=6).map(
    "".join
)


@lru_cache
def renderer(name: str, kind: str = "byte_level") -> Renderer:
    backend = byte_level() if kind == "byte_level" else sentencepiece()
    bos, eos = backend.token_to_id("<s>"), backend.token_to_id("</s>")
    named = {"bos_token": "<s>", "eos_token": "</s>"}
    parts = TokenizerParts(backend, bos, eos, add_bos=True, named_tokens=named)
    return Renderer(ChatTemplate.builtin(name), Tokenizer(parts), "Be brief.")


def around(plain: Renderer) -> Renderer:
    return plain.around_questions(BEFORE, BEHIND)


def conversation(questions: list[str], **more: str) -> Conversation:
    turns = [turn for q in questions for turn in (Message("user", q, **more), Message("assistant", "안녕 <s> b"))]  # type: ignore[arg-type]
    return Conversation(tuple(turns))


def without(ids: tuple[int, ...]) -> list[int]:
    return [n for n in ids if n < FIRST]


def as_bytes(tokenizer: Tokenizer, ids: list[int]) -> bytes:
    names = {n: text for text, n in tokenizer.added_tokens.items()}
    return b"".join(names[n].encode() if n in names else tokenizer.token_bytes(n) for n in ids)


@pytest.mark.parametrize("name", BUILTIN)
@given(questions=st.lists(TEXTS, min_size=1, max_size=3))
@settings(max_examples=40, deadline=None)
def test_they_are_all_that_changes(name: str, questions: list[str]) -> None:
    plain, asked = renderer(name), conversation(questions)
    row, bare, tokenizer = around(plain).training(asked), plain.training(asked), plain.tokenizer
    worded = [q.strip() for q in questions if q.strip()]
    assert [n for n in row.ids if n >= FIRST] == ALL * len(worded)
    assert as_bytes(tokenizer, without(row.ids)) == as_bytes(tokenizer, list(bare.ids))
    assert row.text == bare.text
    learned, before = ([n for n, t in zip(r.ids, r.trained, strict=True) if t] for r in (row, bare))
    assert learned == before
    place = 0
    for words in worded:
        start = row.ids.index(BEFORE[-1], place) + 1
        place = row.ids.index(BEHIND[0], start)
        assert as_bytes(tokenizer, list(row.ids[start:place])).decode() == words
        assert row.ids[start - len(BEFORE) : start] == tuple(BEFORE)
        assert row.ids[place : place + len(BEHIND)] == tuple(BEHIND)


@pytest.mark.parametrize("kind", ["byte_level", "sentencepiece"])
@pytest.mark.parametrize("name", BUILTIN)
@given(questions=st.lists(TEXTS, min_size=1, max_size=3))
@settings(max_examples=15, deadline=None)
def test_a_prompt_is_what_training_has_before_the_answer(name: str, kind: str, questions: list[str]) -> None:
    ours, asked = around(renderer(name, kind)), conversation(questions)
    row = ours.training(asked)
    prompt = ours.prompt(Conversation(asked.messages[:-1]))
    assert row.ids[: len(prompt)] == prompt
    assert row.trained[len(prompt)]
    assert not any(t for n, t in zip(row.ids, row.trained, strict=True) if n >= FIRST)


def test_a_turn_without_words_gets_none() -> None:
    ours = around(renderer("chatml"))
    assert all(n < FIRST for n in ours.training(conversation([" \n"])).ids)
    assert ours.training(conversation([""])) == renderer("chatml").training(conversation([""]))


def test_a_context_that_joins_the_question_stands_between_them() -> None:
    plain = renderer("chatml")
    ids = around(plain).training(conversation(["Shorten."], context="A long text.")).ids
    between = ids[ids.index(BEFORE[-1]) + 1 : ids.index(BEHIND[0])]
    assert plain.tokenizer.decode(between) == "Shorten.\n\nA long text."


def test_where_nothing_stands_between_turns_they_keep_their_order_and_are_not_learned() -> None:
    template = ChatTemplate("custom", "{% for m in messages %}{{ m.content }}{% endfor %}</s>")
    ours = around(Renderer(template, renderer("chatml").tokenizer))
    turns = (Message("user", "a"), Message("user", "b"), Message("assistant", "c"))
    row = ours.training(Conversation(turns))
    end = ours.tokenizer.added_tokens["</s>"]
    a, b, c = (ours.tokenizer.encode_piece(text, continues=True) for text in "abc")
    assert list(row.ids) == [*BEFORE, *a, *BEHIND, *BEFORE, *b, *BEHIND, *c, end]
    assert row.trained == (*[False] * (len(row.ids) - 2), True, True)


def test_fitting_counts_them() -> None:
    ours, asked = around(renderer("chatml")), conversation(["one", "two"])
    whole, last = ours.training(asked), ours.training(Conversation(asked.messages[2:]))
    assert ours.fitted(asked, len(whole.ids)) == whole
    assert ours.fitted(asked, len(whole.ids) - 1) == last
    assert ours.fitted(asked, len(last.ids) - 1) is None
    question = Conversation(asked.messages[:-1])
    assert ours.shortened(question, len(ours.prompt(question)))[1] == 0
    assert ours.shortened(question, len(ours.prompt(question)) - 1)[1] == 1


def test_none_of_them_is_the_plain_renderer_again() -> None:
    plain = renderer("chatml")
    assert plain.around_questions([], []) is plain
    asked = conversation(["a"])
    assert around(plain).around_questions([], []).training(asked) == plain.training(asked)
