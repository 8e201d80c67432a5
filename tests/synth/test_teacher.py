"""An endpoint that answers, and one that does not: what is sent, what is tried again, what ends a run."""

import contextlib
import email.utils
import json
import threading
import time

import pytest
from chat_server import Reply, fails, in_turn, says, serving
from hypothesis import given
from hypothesis import strategies as st

from nabot.conversation import Conversation, Message
from nabot.errors import ConfigError, UpstreamError
from nabot.synth.reply import Again, completion_of, estimated_tokens, seconds_asked_for, told
from nabot.synth.teacher import LONGEST_WAIT_S, Endpoint, address_of, key_from
from nabot.textmodel import Completion, Sampling

ASK = Conversation.ask("Tea?")
SAMPLING = Sampling(max_new_tokens=7, temperature=0.5, top_p=0.9, seed=3, stop=("###",))


def endpoint(server, **settings):
    return Endpoint(server.url, "m", **{"first_wait_s": 0.01, "timeout_s": 5.0, **settings})


def answer(server, **settings):
    with endpoint(server, **settings) as teacher:
        return next(teacher.generate([ASK], SAMPLING))


def failure(server, **settings):
    with pytest.raises(UpstreamError) as caught:
        answer(server, **settings)
    assert len(str(caught.value).splitlines()) <= 4
    return str(caught.value)


# ---- what is sent, and read


def test_a_request_has_model_messages_limit_and_sampling():
    with serving(in_turn(says("Yes, please."))) as server:
        assert answer(server, key="sk-1") == Completion("Yes, please.", 2, 10, "stop")
    assert server.keys == ["Bearer sk-1"]
    assert server.bodies == [
        {
            "path": "/v1/chat/completions", "model": "m", "messages": [{"role": "user", "content": "Tea?"}],
            "max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "seed": 3, "stop": ["###"],
        }
    ]  # fmt: skip


def test_a_context_follows_its_question():
    with serving(in_turn(says("ok"))) as server, endpoint(server) as teacher:
        list(teacher.generate([Conversation((Message("user", "Add.", "1 and 2"),))], SAMPLING))
    assert server.bodies[0]["messages"][0]["content"] == "Add.\n\n1 and 2"


def test_without_a_key_none_is_sent():
    with serving(in_turn(says("ok"))) as server:
        answer(server)
    assert server.keys == [None]


@pytest.mark.parametrize(
    ("theirs", "ours"), [("stop", "stop"), ("length", "length"), ("content_filter", "abort"), (None, "stop")]
)
def test_why_an_answer_ended(theirs, ours):
    with serving(in_turn(says("ok", finish=theirs))) as server:
        assert answer(server).finish == ours


def test_usage_that_is_not_reported_is_estimated_and_told_once():
    notes = []
    with serving(in_turn(says("four letters" * 2, usage=None))) as server, endpoint(server, note=notes.append) as t:
        found = list(t.generate([ASK, ASK], SAMPLING))
    assert [(c.num_tokens, c.num_prompt_tokens) for c in found] == [(6, 1)] * 2
    assert len(notes) == 1
    assert "estimated" in notes[0]


def test_an_estimate_counts_a_quarter_of_ascii_and_all_other_letters():
    assert [estimated_tokens(text) for text in ("", "abcd", "abcde", "안녕", "안녕abcd")] == [0, 1, 2, 2, 3]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": None}, ""),  # all tokens went into thoughts
        ({"content": None, "refusal": "No."}, "No."),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab"),
        ({"content": "\ud83d half"}, "\ufffd half"),
    ],
)
def test_contents_of_other_shapes_are_read(message, text):
    body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
    assert completion_of(body, ASK)[0].text == text


@given(st.binary(max_size=60))
def test_any_other_body_is_tried_again(body):
    with pytest.raises(Again):
        completion_of(body, ASK)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "usage", "error", "finish_reason", "text"]), inner
        )
    ),
)


@given(json_values)
def test_any_json_is_a_completion_or_is_tried_again_and_has_words(value):
    body = json.dumps(value).encode()
    with contextlib.suppress(Again):
        assert isinstance(completion_of(body, ASK)[0].text, str)
    assert isinstance(told(body), str)


# ---- order


def test_answers_come_in_the_order_of_the_questions_and_as_they_come():
    first_may_end = threading.Event()

    def script(body, number):
        text = body["messages"][0]["content"]
        if text == "0":
            first_may_end.wait(5)
        return says(text)

    asked = [Conversation.ask(str(i)) for i in range(3)]
    with serving(script) as server, endpoint(server, concurrency=3) as teacher:
        places = []
        for place, _ in teacher.as_they_come(asked, SAMPLING):
            places.append(place)
            if len(places) == 2:
                first_may_end.set()
        assert places[-1] == 0
        assert sorted(places) == [0, 1, 2]
        assert [c.text for c in teacher.generate(asked, SAMPLING)] == ["0", "1", "2"]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_so_many_requests_run_side_by_side_and_no_more(concurrency):
    def script(body, number):
        time.sleep(0.02)
        return says("ok")

    with serving(script) as server, endpoint(server, concurrency=concurrency) as teacher:
        assert len(list(teacher.generate([ASK] * 9, SAMPLING))) == 9
    assert server.busiest <= concurrency


def test_a_signal_ends_the_asking_and_answers_on_their_way_still_come():
    stopping = threading.Event()

    def script(body, number):
        stopping.set()
        time.sleep(0.5)
        return says("ok")

    with serving(script) as server, endpoint(server, concurrency=2, stopping=stopping.is_set) as teacher:
        assert len(list(teacher.as_they_come([ASK] * 9, SAMPLING))) == 2


# ---- what is tried again


@pytest.mark.parametrize(
    "trouble",
    [
        fails(429), fails(500), fails(502), fails(503), fails(529), fails(408),
        Reply(b"<html>busy</html>", 503),
        Reply(b"nonsense"), Reply(b""), Reply(b"[]"), Reply(b'{"choices": []}'), Reply(b'{"error": {"message": "busy"}}'),
        says("cut off", cut=20), says("cut off", cut=0),
    ],
)  # fmt: skip
def test_what_may_pass_is_tried_again(trouble):
    with serving(in_turn(trouble, trouble, says("ok"))) as server:
        assert answer(server).text == "ok"
    assert len(server.bodies) == 3


def test_a_server_that_does_not_answer_in_time_is_asked_again():
    with serving(in_turn(Reply(b"", hang=True), says("ok"))) as server:
        assert answer(server, timeout_s=0.3).text == "ok"


@pytest.mark.parametrize(
    "trouble", [Reply(b"", hang=True), says("cut off", cut=20), says("", cut=0), Reply(b'{"choi'), fails(504)]
)
def test_what_may_be_charged_for_is_told_and_not_sent_again_by_itself(trouble):
    with serving(in_turn(trouble, says("ok"))) as server, endpoint(server, timeout_s=0.3) as teacher:
        assert list(teacher.as_they_come([ASK], SAMPLING)) == [(0, None)]
        assert len(server.bodies) == 1
        assert [completion.text for _, completion in teacher.as_they_come([ASK], SAMPLING)] == ["ok"]


@pytest.mark.parametrize("trouble", [fails(429), fails(500), fails(503)])
def test_what_was_refused_is_not_charged_for(trouble):
    with serving(in_turn(trouble, says("ok"))) as server, endpoint(server) as teacher:
        assert [completion.text for _, completion in teacher.as_they_come([ASK], SAMPLING)] == ["ok"]


def test_a_server_that_is_down_charges_for_nothing():
    with serving(in_turn(says("ok"))) as server:
        pass
    came = []
    with endpoint(server, tries=2) as teacher, pytest.raises(UpstreamError, match="no connection"):
        came.extend(teacher.as_they_come([ASK], SAMPLING))
    assert not came


def test_a_server_whose_answers_always_break_off_is_given_up():
    came = []
    with serving(in_turn(says("cut off", cut=20))) as server, endpoint(server, tries=3) as teacher:
        for _ in range(2):
            came += teacher.as_they_come([ASK], SAMPLING)
        with pytest.raises(UpstreamError, match="3 times"):
            came.extend(teacher.as_they_come([ASK], SAMPLING))
    assert (came, len(server.bodies)) == ([(0, None)] * 3, 3)


def test_retry_after_is_waited_for():
    began = time.monotonic()
    with serving(in_turn(fails(429, headers={"Retry-After": "0.6"}), says("ok"))) as server:
        assert answer(server).text == "ok"
    assert time.monotonic() - began >= 0.6


def test_waits_grow_and_are_never_the_same_for_all():
    teacher = Endpoint("localhost", "m", first_wait_s=1.0)
    waits = [[teacher._back_off(tried) for _ in range(50)] for tried in (1, 2, 3, 20)]
    for waited, longest in zip(waits, (1.0, 2.0, 4.0, 60.0), strict=True):
        assert longest / 2 <= min(waited) < max(waited) <= longest


@pytest.mark.parametrize("header", ["3", "3.0"])
def test_retry_after_means_seconds(header):
    assert seconds_asked_for(header) == 3.0


def test_retry_after_means_a_date():
    header = email.utils.formatdate(time.time() + 1e6, usegmt=True)
    assert 1e6 - 600 < seconds_asked_for(header) < 1e6


@pytest.mark.parametrize("header", ["nan", "inf", "soon", "", None, "32 Foo 2020"])
def test_a_retry_after_that_means_no_time_is_passed_over(header):
    assert seconds_asked_for(header) is None


def test_a_time_that_has_passed_is_no_wait():
    assert seconds_asked_for("-5") == seconds_asked_for("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0


def test_after_the_last_try_the_servers_words_are_repeated():
    with serving(in_turn(fails(500, "the kettle is empty"))) as server:
        message = failure(server, tries=3)
    assert len(server.bodies) == 3
    assert "the kettle is empty" in message
    assert "3 times" in message
    assert server.url in message


def test_a_longer_wait_than_is_reasonable_is_told():
    with serving(in_turn(fails(429, "tomorrow", {"Retry-After": str(LONGEST_WAIT_S + 1)}))) as server:
        assert "5m 01s" in failure(server)
    assert len(server.bodies) == 1


def test_a_server_that_is_down_is_told():
    with serving(in_turn(says("ok"))) as server:
        pass
    assert "no connection" in failure(server, tries=2)


# ---- what ends a run


@pytest.mark.parametrize(
    ("reply", "seen"),
    [
        (fails(401, "Incorrect key"), ("Incorrect key", "--key-env")),
        (fails(403, "not yours"), ("not yours", "--key-env")),
        (fails(404, "The model `m` does not exist"), ("does not exist", "--model")),
        (fails(400, "too long"), ("too long",)),
        (fails(301, "moved"), ("moved",)),
        (fails(429, "no money", code="insufficient_quota"), ("no money",)),
        (Reply(b'{"detail": "Not Found"}', 404), ("Not Found",)),
        (Reply(b"no such page", 404), ("no such page",)),
    ],
)
def test_what_will_not_pass_ends_it_at_once_in_the_servers_words(reply, seen):
    with serving(in_turn(reply)) as server:
        message = failure(server)
    assert len(server.bodies) == 1
    assert all(words in message for words in seen)


def test_an_error_never_shows_the_key():
    with serving(in_turn(fails(401, "Incorrect API key: sk-secret\x1b[2J"))) as server:
        message = failure(server, key="sk-secret")
    assert "sk-secret" not in message
    assert "\x1b" not in message


def test_after_an_error_answers_on_their_way_still_come():
    def script(body, number):
        if body["messages"][0]["content"] == "0":
            return fails(401)
        time.sleep(0.4)
        return says("ok")

    asked = [Conversation.ask(str(i)) for i in range(8)]
    came = []
    with serving(script) as server, endpoint(server, concurrency=2) as teacher, pytest.raises(UpstreamError):
        came.extend(teacher.as_they_come(asked, SAMPLING))
    assert len(server.bodies) <= 3


def test_fields_that_a_server_refuses_are_left_out_and_told():
    def script(body, number):
        if "max_tokens" in body:
            return fails(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        if "temperature" in body:
            return fails(400, "Only the default (1) is supported.", param="temperature")
        return says("ok")

    notes = []
    with serving(script) as server, endpoint(server, note=notes.append) as teacher:
        assert [c.text for c in teacher.generate([ASK] * 2, SAMPLING)] == ["ok", "ok"]
        before = len(server.bodies)
        assert next(teacher.generate([ASK], SAMPLING)).text == "ok"
    assert len(server.bodies) == before + 1
    assert server.bodies[-1]["max_completion_tokens"] == 7
    assert len(notes) == 1
    assert "temperature" in notes[0]


# ---- addresses and keys


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1/chat/completions"),
        ("localhost:8000", "http://localhost:8000/v1/chat/completions"),
        ("https://api.example.com/v1/", "https://api.example.com/v1/chat/completions"),
        ("https://example.com/v1beta/openai", "https://example.com/v1beta/openai/chat/completions"),
        ("https://example.com/v1/chat/completions", "https://example.com/v1/chat/completions"),
    ],
)
def test_addresses(typed, address):
    assert address_of(typed) == address


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ftp://x",
        "http://",
        "http://x:port",
        "https://me:secret@x/v1",
        "http://[::1",
        "http://a..b/v1",
        "http://a b/v1",
        "http://me:secret@x:port/v1",
        "http://" + "a" * 80 + ".com/v1",
        "https://x/v1?key=secret",
    ],
)
def test_what_is_no_plain_address_is_refused_and_no_secret_shown(typed):
    with pytest.raises(ConfigError) as caught:
        address_of(typed)
    assert "secret" not in str(caught.value)


def test_a_key_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("MY_KEY", " sk-1\n")
    assert key_from("MY_KEY", required=True) == "sk-1"
    assert key_from("NO_KEY", required=False) == ""
    with pytest.raises(ConfigError, match="NO_KEY"):
        key_from("NO_KEY", required=True)
    monkeypatch.setenv("MY_KEY", "my secret key")
    with pytest.raises(ConfigError) as caught:
        key_from("MY_KEY", required=True)
    assert "secret" not in str(caught.value)


def test_likelihoods_are_not_told():
    with pytest.raises(ConfigError):
        Endpoint("localhost", "m").loglikelihood([("a", "b")])


def test_a_prompt_that_is_refused_while_others_are_answered_is_passed_over_and_told():
    def too_long(body, number):
        long = "long" in body["messages"][-1]["content"]
        return fails(400, "maximum context length exceeded") if long else says("ok")

    notes = []
    with serving(too_long) as server, Endpoint(server.url, "m", concurrency=1, note=notes.append) as teacher:
        prompts = [Conversation.ask(text) for text in ("short", "long", "short again")]
        answers = list(teacher.generate(prompts, Sampling()))
    assert [(one.text, one.finish) for one in answers] == [("ok", "stop"), ("", "abort"), ("ok", "stop")]
    assert "maximum context length" in notes[0]


def test_a_first_prompt_that_is_refused_ends_the_run():
    refuses = serving(lambda body, number: fails(400, "no such thing"))
    with refuses as server, pytest.raises(UpstreamError, match="no such thing"):
        answer(server)
