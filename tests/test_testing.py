"""The public fake behaves as a `TextModel` does."""

from hypothesis import given
from hypothesis import strategies as st

from nabot.conversation import Conversation
from nabot.testing import Echo
from nabot.textmodel import Completion, Sampling, TextModel


def test_echo_gives_the_answer_it_was_given_and_repeats_what_it_does_not_know():
    model: TextModel = Echo({"cat?": "Admiral, the cat."})
    prompts = [Conversation.ask("cat?"), Conversation.ask("and you?", system="Be kind.")]
    assert list(model.generate(prompts, Sampling())) == [
        Completion("Admiral, the cat.", 3, 1, "stop"),
        Completion("and you?", 2, 4, "stop"),
    ]
    assert model.asked == prompts


def test_echo_ends_at_the_token_limit():
    (completion,) = Echo({"q": "one two three"}).generate([Conversation.ask("q")], Sampling(max_new_tokens=2))
    assert completion == Completion("one two", 2, 1, "length")


def test_echo_ends_before_a_stop_string():
    (completion,) = Echo({"q": "one two three"}).generate([Conversation.ask("q")], Sampling(stop=("three", "two")))
    assert (completion.text, completion.finish) == ("one ", "stop")


@given(st.text())
def test_the_stream_of_echo_adds_up_to_its_answer(text):
    model, prompt = Echo({"q": text}), Conversation.ask("q")
    (completion,) = model.generate([prompt], Sampling(max_new_tokens=10**6))
    assert "".join(model.stream(prompt, Sampling(max_new_tokens=10**6))) == completion.text == text


def test_the_stream_of_echo_returns_how_it_ended():
    def ending(limit):
        finish = yield from Echo().stream(Conversation.ask("one two"), Sampling(max_new_tokens=limit))
        yield finish

    assert [list(ending(limit)) for limit in (2, 1)] == [["one", " two", "stop"], ["one", "length"]]


def test_echo_finds_every_word_equally_likely():
    assert Echo().loglikelihood([("a", " b c"), ("a", "")]) == [-2.0, 0.0]
