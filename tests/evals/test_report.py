"""The page: complete, in order, in one file, and deaf to what people and models write into it."""

import json
import re
from html.parser import HTMLParser

import pytest

from nabot.conversation import Conversation, Message
from nabot.data.exams import ExamQuestion
from nabot.evals.exam import result, sit
from nabot.evals.figures import Losses
from nabot.evals.report import Report, report_page, write_report
from nabot.evals.sections import answer_folds, flat, loss_caption, probe_stories
from nabot.testing import Echo
from nabot.textmodel import Sampling

HOSTILE = "</style></p><script>alert('1')</script><img src=x onerror=alert(2)>\"' & {{ 7*7 }} {% raw %} {x}"
VOID = {"meta", "link", "br", "img", "input", "hr", "col"}
METRICS = [{"step": 0, "held_out_loss": 4.0}, {"step": 1, "loss": 3.9}, {"step": 2, "loss": 2.0}]
METRICS += [{"step": 2, "held_out_loss": 2.5}]
SAMPLES = [{"step": s, "question": "Cat?", "answer": a} for s, a in ((0, "Luna."), (5, "Admiral."), (9, "Admiral."))]


class Page(HTMLParser):
    """What a browser sees: tags with their attributes, and the text; fails on tags that are not nested."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.texts = [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "title"):
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split()).replace("\xa0", " ")


def ask(text, *accept, group="fact", reject=()):
    return ExamQuestion(Conversation.ask(text), accept, reject, group)


EXAM = [ask("Cat?", "Admiral", reject=("Luna",)), ask("Price?", "5,300"), ask("Sky?", "blue", group="general")]


def report(exam=EXAM, base=None, tuned=None, **changes):
    sheets = {"base": sit(Echo(base), exam, Sampling())}
    sheets["prompted"] = sit(Echo(base), exam, Sampling(), facts="The cat is Admiral.")
    if tuned is not None:
        sheets["tuned"] = sit(Echo(tuned), exam, Sampling())
    fields = {
        "metrics": METRICS,
        "samples": SAMPLES,
        "settings": {"rank": 16, "learning_rate": 1e-3},
        "manifest": {"licences": {"base": {"licence": "Apache-2.0"}, "commercial": True}, "inputs": ["cafe.jsonl"]},
    }
    return Report("Dal Café", result("exam.jsonl", sheets), sheets, **(fields | changes))


FULL = report(base={"Sky?": "Blue."}, tuned={"Cat?": "Luna or Admiral.", "Price?": "5,300 won.", "Sky?": "Blue."})


# files


def test_the_folder_holds_the_page_and_exactly_the_figures(tmp_path):
    write_report(tmp_path / "report", FULL)
    assert sorted(p.name for p in (tmp_path / "report").iterdir()) == ["report.html", "report.json"]
    assert json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8")) == FULL.result
    assert (tmp_path / "report" / "report.html").read_text(encoding="utf-8") == report_page(FULL)


# the page as a whole


def test_a_korean_page_has_no_english_sentence(monkeypatch):
    monkeypatch.setenv("NABOT_LANG", "ko")
    korean = report(base={"Sky?": "Blue."}, tuned={"Cat?": "Luna or Admiral.", "Price?": "5,300 won."}, settings={})
    page = Page(report_page(korean))
    assert ("html", {"lang": "ko"}) in page.tags
    ours = [text.replace("Dal Café", "").replace("Luna or Admiral.", "") for text in page.texts]
    assert [text for text in ours if re.search("[A-Za-z]{3,} [A-Za-z]{2,}", text)] == []
    assert "정답" in page.text


def test_the_figures_are_the_same_in_every_language(tmp_path, monkeypatch):
    write_report(tmp_path / "en", FULL)
    monkeypatch.setenv("NABOT_LANG", "ko")
    write_report(tmp_path / "ko", FULL)
    assert (tmp_path / "ko/report.json").read_bytes() == (tmp_path / "en/report.json").read_bytes()


def test_the_sections_come_in_their_order():
    html = report_page(FULL)
    ids = [attributes["id"] for tag, attributes in Page(html).tags if tag == "h2"]
    assert ids == ["exam", "loss", "probes", "answers", "settings", "licences", "inputs"]
    assert html.index("<h1>") < html.index("<h2")


def test_the_page_asks_for_nothing_and_runs_nothing():
    page = Page(report_page(FULL))
    assert not {tag for tag, _ in page.tags} & {"script", "img", "iframe", "object", "form", "base"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    links = [v for _, a in page.tags for k, v in a.items() if k in ("href", "src") and not v.startswith(("#", "data:"))]
    assert links == []
    assert not re.search(r"https?:|@import|url\(", report_page(FULL))
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")


def test_the_page_names_its_language_and_its_tables_have_headings():
    page = Page(report_page(FULL))
    assert ("html", {"lang": "en"}) in page.tags
    scopes = [attributes.get("scope") for tag, attributes in page.tags if tag == "th"]
    assert set(scopes) == {"col", "row"}
    assert "caption" in {tag for tag, _ in page.tags}


def test_an_id_is_used_once():
    ids = [a["id"] for _, a in Page(report_page(FULL)).tags if "id" in a]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("place", ["answer", "question", "context", "group", "pattern", "title", "setting", "sample"])
def test_hostile_text_stays_text(place):
    def at(name, harmless=""):
        return HOSTILE if place == name else harmless

    turns = (Message("user", "hello"), Message("assistant", at("question", "hi")))
    last = Message("user", at("question", "Cat?"), context=at("context"))
    question = ExamQuestion(Conversation((*turns, last)), (at("pattern", "Admiral"),), (at("pattern"),), at("group"))
    found = report(
        [question, ask("?", "x")],
        tuned={last.content: at("answer", "no")},
        settings={at("setting", "rank"): at("setting")},
        manifest={"licences": {"base": at("setting")}, at("setting", "inputs"): [at("setting")]},
        samples=[{"step": 0, "question": at("sample", "q"), "answer": at("sample", "a")}],
    )
    found = Report(at("title", "Bot"), found.result, found.sheets, (), found.samples, found.settings, found.manifest)
    page, usual = Page(report_page(found)), {tag for tag, _ in Page(report_page(FULL)).tags}
    assert {tag for tag, _ in page.tags} <= usual | {"p", "span"}
    assert " ".join(HOSTILE.split()) in page.text


def test_an_answer_without_end_is_folded_and_whole():
    page = Page(report_page(report(base={"Cat?": "the moon and " * 150}, tuned={})))
    assert ("the moon and " * 150).strip() in page.text
    assert "all 1949 characters" in page.text


# what is said


def test_the_headline_is_the_verdict():
    many = [ask(f"Question {i}?", f"answer {i}") for i in range(40)]
    right = {f"Question {i}?": f"The answer {i}." for i in range(38)}
    html = report_page(report(many, base={}, tuned=right))
    headline = re.search("<h1>(.*?)</h1>", html)[1].replace("\xa0", " ")
    assert headline == "It learned: 95 % right, the base model 0 %; with the facts in its prompt 0 %."
    assert "Over 40 questions; the true share lies within 83–99 %" in Page(html).text


def test_right_and_wrong_are_words_and_not_only_colours():
    text = Page(report_page(FULL)).text
    assert "✓ right" in text
    assert "✗ wrong" in text


@pytest.mark.parametrize(
    ("commercial", "words"),
    [(True, "lets the bot be used commercially"), (False, "may not be"), (None, "read the terms")],
)
def test_the_licence_says_whether_money_may_be_made(commercial, words):
    manifest = {"licences": {"base": {"source": "smollm2", "licence": "X"}, "commercial": commercial}}
    text = Page(report_page(report(tuned={}, manifest=manifest))).text
    assert words in text
    assert "base.licence X" in text


def test_a_bare_model_has_a_page_without_training():
    bare = report(metrics=(), samples=(), settings={}, manifest={})
    page = Page(report_page(bare))
    assert [a["id"] for tag, a in page.tags if tag == "h2"] == ["exam", "answers"]


@pytest.mark.parametrize("exam", [[], EXAM[:2], EXAM[2:]])
def test_a_page_is_written_for_every_kind_of_exam(exam):
    assert Page(report_page(report(exam, tuned={}))).tags


def test_a_report_without_anything_is_still_a_page():
    assert "was not asked" in Page(report_page(Report("Bot", result("e", {}), {}))).text


# sections


def test_wrong_answers_come_first_and_open():
    folds = answer_folds(FULL.sheets)
    assert [(f.title, f.is_open, len(f.asked)) for f in folds] == [
        ("Wrong answers (1)", True, 1),
        ("Right answers: fact (1)", False, 1),
        ("Right answers: general (1)", False, 1),
    ]
    assert [a.contestant for a in folds[0].asked[0].answers] == ["base", "facts in prompt", "tuned"]
    assert folds[0].asked[0].answers[-1].rejected == "Luna"


def test_a_general_question_has_no_answer_by_the_prompted():
    general = answer_folds(FULL.sheets)[-1].asked[0]
    assert [a.contestant for a in general.answers] == ["base", "tuned"]


def test_an_answer_that_stays_the_same_is_told_once():
    (moments,) = probe_stories(SAMPLES).values()
    assert [(m.steps, m.answer) for m in moments] == [("step 0", "Luna."), ("steps 5-9", "Admiral.")]


def test_the_caption_says_the_curve_in_words():
    assert loss_caption(Losses.of(METRICS)) == (
        "The training loss went from 3.90 at step 1 to 2.00 at step 2. "
        "On rows that were held out it went from 4.00 to 2.50; it was lowest at step 2, 2.50."
    )


def test_nested_data_becomes_lines():
    data = {"a": {"b": 1, "c": None}, "d": [{"e": "x"}, {"e": True}], "f": [1, "y"], "g": 1e-4, "h": {}, "i": []}
    assert list(flat(data)) == [
        ("a.b", "1"), ("a.c", "-"), ("d.1.e", "x"), ("d.2.e", "yes"), ("f", "1, y"), ("g", "0.0001"), ("i", "-"),
    ]  # fmt: skip


# a bot that was not examined


def test_a_bot_that_was_only_tuned_has_a_page_of_its_losses_and_answers(tmp_path):
    write_report(tmp_path, Report("Bot", metrics=METRICS, samples=SAMPLES))
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Its loss on rows that it never learned fell from 4.00 to 2.50, by 38 %." in page.text
    assert "nabot exam BOT EXAM" in page.text
    assert "Admiral." in page.text
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("held_out", "words"), [([4.0, 4.5], "did not fall: 4.00 before, 4.50 after"), ([4.0], "nothing was measured")]
)
def test_its_headline_says_what_the_losses_say(held_out, words):
    metrics = [{"step": step, "held_out_loss": loss} for step, loss in enumerate(held_out)]
    assert words in Page(report_page(Report("Bot", metrics=metrics))).text
