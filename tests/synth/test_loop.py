"""Rounds until there are enough rows: what is kept, what is counted, when it ends, and that replaying brings it all back."""

import json
import random
from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_teacher import Writer, alpaca_answer, items

from nabot.conversation import Conversation
from nabot.data.check import check
from nabot.data.files import scan_file
from nabot.errors import UpstreamError
from nabot.synth import own_seeds
from nabot.synth.asking import INSTANCES, Candidate, Prompt
from nabot.synth.budget import Budget, Tokens, most_tokens
from nabot.synth.journal import Journal
from nabot.synth.judging import Judge
from nabot.synth.loop import BARREN_ROUNDS, Loop, Plan, where_it_fits
from nabot.synth.modes import MODES, Material
from nabot.synth.rouge import rouge_l
from nabot.synth.tasks import Task
from nabot.textmodel import Completion, Sampling

SEEDS = own_seeds("en")
GOOD = ("Name three rivers in Europe.", "<noinput>", "Rhine, Elbe, Seine")


class Listed:
    """A mode that asks these questions, and reads every answer as the tasks that `read` makes of it."""

    name = "listed"

    def __init__(self, questions, read, kind="alpaca"):
        self.questions, self.read, self.kind = list(questions), read, kind
        self.heard = []

    def next_prompts(self, most):
        asked, self.questions = self.questions[:most], self.questions[most:]
        return [Prompt(self.kind, Conversation.ask(q), Sampling(), (q,)) for q in asked]

    def take(self, prompt, completion):
        yield from self.read(completion.text)

    def accepted(self, candidate):
        self.heard.append(candidate)


def alpaca(seed=0):
    return MODES["alpaca"].mode(Material("en", random.Random(seed), SEEDS))


def in_order(teacher, stopping=lambda: False):
    """Asks a model whose answers come in the order of the questions."""

    def ask(prompts, sampling):
        for answered in enumerate(teacher.generate(prompts, sampling)):
            yield answered
            if stopping():
                return

    return ask


class Run:
    """A loop over a journal in `folder`."""

    def __init__(self, folder, teacher, mode=None, *, count=10, per_round=2, ask=None, stopping=lambda: False, **judge):
        budget, longest = judge.pop("budget", Budget()), judge.pop("max_new_tokens", None)
        self.saved = []
        self.states = []
        with Journal(folder / "journal.jsonl", {}) as self.journal:
            seeds = (seed.instruction for seed in SEEDS)
            self.loop = Loop(
                mode or alpaca(),
                ask or in_order(teacher, stopping),
                self.journal,
                Judge(seeds, language="en", **judge),
                Plan(count, per_round, "teacher", budget, longest),
                save=lambda rows: self.saved.append(list(rows)),
                stopping=stopping,
                progress=self.states.append,
            )
            try:
                self.ended = self.loop.run()
            except UpstreamError as error:
                self.ended = error
        self.rows, self.tally = self.loop.rows, self.loop.tally

    @property
    def instructions(self):
        return [row["messages"][0]["content"] for row in self.rows]


# ---- rows


def test_a_row_is_a_conversation_with_its_provenance(tmp_path):
    run = Run(tmp_path, Writer(items([("Translate the sentence into German.", "Good day!", "Guten Tag!")])), count=1)
    (row,) = run.rows
    assert row["messages"] == [
        {"role": "user", "content": "Translate the sentence into German.", "context": "Good day!"},
        {"role": "assistant", "content": "Guten Tag!"},
    ]
    provenance = row["provenance"]
    assert (provenance["teacher"], provenance["mode"], provenance["request"]) == ("teacher", "alpaca", 0)
    assert provenance["prompt"] == json.loads((tmp_path / "journal.jsonl").read_text().splitlines()[1])["prompt"]
    assert set(provenance["sources"]) <= {seed.id for seed in SEEDS}
    assert len(provenance["sources"]) == 3
    nearest = provenance["nearest"]
    best = max(rouge_l("Translate the sentence into German.", seed.instruction) for seed in SEEDS)
    assert nearest["score"] == round(best, 4)
    assert nearest["instruction"] in {seed.instruction for seed in SEEDS}


def test_rows_are_read_as_conversations_and_have_no_faults(tmp_path):
    run = Run(tmp_path, Writer(), count=12)
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in run.rows), encoding="utf-8")
    assert len(scan_file(path).conversations) == 12
    assert not check([path]).faults


def test_evidence_and_sources_of_a_candidate_go_into_its_row(tmp_path):
    def read(text):
        yield Candidate(Task("What does a cup of tea cost?", "", "Two euros."), ("menu.pdf page 3",), "Tea: two euros")

    run = Run(tmp_path, Writer(), Listed(["q"], read))
    assert run.rows[0]["provenance"]["sources"] == ["menu.pdf page 3"]
    assert run.rows[0]["provenance"]["evidence"] == "Tea: two euros"


def test_thoughts_before_an_answer_are_passed_over(tmp_path):
    run = Run(tmp_path, Writer("<think>\nrivers?\n</think>" + items([GOOD])), count=1)
    assert run.instructions == [GOOD[0]]


def test_thoughts_that_the_template_opened_or_that_never_end_are_no_answer(tmp_path):
    opened = Run(tmp_path, Writer("1. Instruction: Name a hill.\n</think>" + items([GOOD])), count=1)
    assert opened.instructions == [GOOD[0]]
    (tmp_path / "journal.jsonl").unlink()
    endless = Run(tmp_path, Writer("<think>" + items([GOOD]) + "and so", items([GOOD])), count=1, per_round=1)
    assert endless.rows[0]["provenance"]["request"] == 1


def test_an_answer_that_a_filter_broke_off_loses_its_last_task(tmp_path):
    class Filtered(Writer):
        def generate(self, prompts, sampling):
            for completion in super().generate(prompts, sampling):
                yield replace(completion, finish="abort")

    read = []

    class Reading(Listed):
        def take(self, prompt, completion):
            read.append(completion.finish)
            return iter(())

    Run(tmp_path, Filtered("half an ans"), Reading(["?"], None))
    assert read == ["length"]


def test_a_teacher_that_runs_dry_keeps_what_it_gave(tmp_path):
    run = Run(tmp_path, Writer(items([GOOD]), *["I like turtles"] * 999))
    assert (run.ended, run.instructions) == ("barren", [GOOD[0]])


# ---- what is left out


def test_every_reason_is_counted_and_some_are_shown(tmp_path):
    near = ("Name three rivers in Asia.", "<noinput>", "Ob, Amur, Mekong")
    toxic = ("What did the driver shout then?", "<noinput>", "You motherfucker!")
    refusal = ("Tell me the weather of tomorrow.", "<noinput>", "I'm sorry, but I cannot provide that.")
    short = ("Sing.", "<noinput>", "La")
    run = Run(
        tmp_path, Writer(items([GOOD, near, toxic, refusal, short, GOOD]) + "###\n10. Instruction: Name"), count=1 + 8
    )
    assert run.tally.dropped == {
        "near_copy": 1, "exact_copy": 1, "toxic_profanity": 1, "refusal": 1, "too_few_words": 1, "malformed_item": 1,
    }  # fmt: skip
    shown = {name: [example.instruction for example in found] for name, found in run.tally.examples.items()}
    assert shown == {"near_copy": [near[0]], "toxic": [toxic[0]], "refusal": [refusal[0]]}
    assert run.tally.examples["near_copy"][0].seen == GOOD[0]
    assert toxic[0] not in run.instructions


def test_toxic_rows_can_be_kept_and_marked(tmp_path):
    toxic = ("What did the driver shout then?", "<noinput>", "You motherfucker!")
    run = Run(tmp_path, Writer(items([toxic, GOOD])), count=2, mark_toxic=True)
    assert run.instructions == [toxic[0], GOOD[0]]
    assert run.rows[0]["provenance"]["toxic"]["slug"] == "toxic_profanity"
    assert "toxic" not in run.rows[1]["provenance"]
    assert run.tally.marked == {"toxic_profanity": 1}
    assert not run.tally.dropped
    assert [e.instruction for e in run.tally.examples["toxic"]] == [toxic[0]]


def test_seeds_and_what_was_kept_are_no_news(tmp_path):
    seed = SEEDS[0].instruction
    run = Run(tmp_path, Writer(items([(seed, "<noinput>", "a b c")])), count=1)
    assert run.tally.dropped["near_copy"] == 1
    assert seed not in run.instructions


def test_instances_of_one_instruction_are_kept_together(tmp_path):
    def read(text):
        for number in (1, 2, 2):
            yield Candidate(Task("Double the number, please.", str(number), f"It is {2 * number}."))

    together = Run(tmp_path, Writer(), Listed(["a", "b"], read, INSTANCES))
    assert [row["messages"][0]["context"] for row in together.rows] == ["1", "2"]
    assert together.tally.dropped == {"exact_copy": 4}
    other = tmp_path / "other"
    other.mkdir()
    assert len(Run(other, Writer(), Listed(["a"], read)).rows) == 1


def test_a_question_that_nobody_invented_keeps_its_words(tmp_path):
    def read(text):
        yield Candidate(Task("Files?", "", "In the red folder."), invented=False)
        yield Candidate(Task(SEEDS[0].instruction, "", "A better answer."), invented=False)
        yield Candidate(Task("files? ", "", "In the blue folder."), invented=False)

    run = Run(tmp_path, Writer(), Listed(["q"], read))
    assert run.instructions == ["Files?", SEEDS[0].instruction]
    assert run.tally.dropped == {"exact_copy": 1}


def test_a_mode_hears_of_what_was_kept(tmp_path):
    mode = Listed(
        ["a"], lambda text: [Candidate(Task("Name a river in Asia.", "", "Ob")), Candidate(Task("No.", "", "x"))]
    )
    Run(tmp_path, Writer(), mode)
    assert [candidate.task.output for candidate in mode.heard] == ["Ob"]


# ---- the end


def test_it_ends_with_as_many_rows_as_were_wanted(tmp_path):
    run = Run(tmp_path, Writer(), count=10)
    assert (run.ended, len(run.rows)) == ("count", 10)
    assert run.states[-1].accepted == 10
    assert len(run.journal) == 4  # two rounds of two answers with four tasks each


def test_it_ends_when_there_is_nothing_left_to_ask(tmp_path):
    def read(text):
        yield Candidate(Task(f"Write {hash(text)} words, all of them new.", "", "ok then"))

    run = Run(tmp_path, Writer("a", "b", "c"), Listed("abc", read))
    assert run.ended == "nothing_left"
    assert len(run.rows) == 1  # they are alike


def test_a_teacher_of_nonsense_is_told_in_its_own_first_words(tmp_path):
    teacher = Writer(*["I like\nturtles"] * 999)
    run = Run(tmp_path, teacher)
    assert isinstance(run.ended, UpstreamError)
    assert "I like turtles" in str(run.ended)
    assert "malformed_item" in str(run.ended)
    assert len(teacher.asked) == 2 * BARREN_ROUNDS


@settings(deadline=None, max_examples=15)
@given(limit=st.integers(1, 60_000), per_round=st.integers(1, 5))
def test_a_budget_is_never_exceeded_and_used_as_far_as_it_reaches(tmp_path_factory, limit, per_round):
    run = Run(tmp_path_factory.mktemp("run"), Writer(), per_round=per_round, count=60, budget=Budget(max_tokens=limit))
    assert run.journal.spent.total <= limit
    assert run.ended == "count" or limit - run.journal.spent.total < 3072 + 8000
    assert run.ended in ("count", "budget")


def losing(teacher, every):
    """An Ask that sends, and loses every so many answers; `sent` holds all prompts."""
    sent = []

    def ask(prompts, sampling):
        for place, prompt in enumerate(prompts):
            sent.append(most_tokens(prompt, sampling))
            yield place, None if len(sent) % every == 1 else next(teacher.generate([prompt], sampling))

    return ask, sent


def test_a_lost_answer_counts_as_long_as_it_could_have_been(tmp_path):
    ask, _ = losing(Writer(), 3)
    run = Run(tmp_path, None, ask=ask, count=3, max_new_tokens=70)
    assert run.journal.lost
    assert {lost.answer for lost in run.journal.lost} == {70}


def test_lost_answers_are_asked_for_again_and_change_no_row(tmp_path):
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    ask, sent = losing(Writer(), 3)
    run = Run(folders[0], None, ask=ask, count=25)
    assert run.rows == Run(folders[1], Writer(), count=25).rows
    assert len(sent) == len(run.journal) + len(run.journal.lost)


@settings(deadline=None, max_examples=15)
@given(limit=st.integers(3_000, 40_000), every=st.integers(2, 5))
def test_the_budget_holds_also_if_every_lost_answer_is_charged_for_at_its_worst(tmp_path_factory, limit, every):
    ask, sent = losing(Writer(), every)
    run = Run(tmp_path_factory.mktemp("lost"), None, ask=ask, count=999, budget=Budget(max_tokens=limit))
    charged = sum(run.journal.lost, Tokens()).total + 150 * len(run.journal)  # a Writer takes 100 and 50 an answer
    assert charged == run.journal.spent.total <= limit
    assert len(sent) == len(run.journal) + len(run.journal.lost)


def test_with_a_larger_budget_it_goes_on_as_if_it_had_never_ended(tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    expected = Run(whole, Writer(), count=30, per_round=3).rows
    teacher = Writer()
    for tokens in (7000, 7500, 8000, 10**9):
        run = Run(tmp_path, teacher, count=30, per_round=3, budget=Budget(max_tokens=tokens))
    assert run.rows == expected
    assert len(teacher.asked) == len(set(teacher.asked))


def test_a_larger_count_goes_on_as_if_it_had_been_wanted_at_once(tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    expected = Run(whole, Writer(), count=20).rows
    teacher = Writer()
    assert Run(tmp_path, teacher, count=5).rows == expected[:5]
    assert Run(tmp_path, teacher, count=20).rows == expected
    assert len(teacher.asked) == len(set(teacher.asked))


def test_a_signal_stops_it_and_what_was_answered_is_read(tmp_path):
    teacher = Writer()
    run = Run(tmp_path, teacher, count=99, per_round=4, stopping=lambda: len(teacher.asked) >= 6)
    assert (run.ended, len(teacher.asked), len(run.journal)) == ("stopped", 6, 6)
    assert len(run.rows) + run.tally.dropped.total() == 24


# ---- the same answers, the same rows


def test_answers_may_come_in_any_order(tmp_path):
    teacher = Writer()

    def backwards(prompts, sampling):
        yield from reversed(list(enumerate(teacher.generate(prompts, sampling))))

    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    assert (
        Run(folders[0], teacher, ask=backwards, count=25, per_round=4).rows
        == Run(folders[1], Writer(), count=25, per_round=4).rows
    )


def test_a_run_that_failed_goes_on_and_asks_nothing_twice(tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    expected = Run(whole, Writer(), count=40, per_round=3).rows
    teacher = Writer()

    def failing(prompts, sampling):
        for place, completion in reversed(list(enumerate(prompts))):
            if len(teacher.asked) % 3 == 2 and completion.messages[-1].content not in seen:
                seen.add(completion.messages[-1].content)
                raise UpstreamError("down")
            yield place, next(teacher.generate([completion], sampling))

    seen: set[str] = set()
    lives = 0
    while True:
        run = Run(tmp_path, teacher, ask=failing, count=40, per_round=3)
        lives += 1
        if run.ended == "count":
            break
    assert lives > 3
    assert run.rows == expected
    assert len(teacher.asked) == len(set(teacher.asked)) == len(run.journal)


def test_another_seed_asks_other_questions(tmp_path):
    teachers = [Writer(), Writer()]
    for seed, teacher in enumerate(teachers):
        folder = tmp_path / str(seed)
        folder.mkdir()
        Run(folder, teacher, alpaca(seed), count=4)
    assert teachers[0].asked != teachers[1].asked


def test_rows_are_saved_now_and_then_and_never_fewer_than_before(tmp_path):
    first = Run(tmp_path, Writer(), count=230)
    lengths = [len(rows) for rows in first.saved]
    assert len(lengths) >= 3
    assert all(earlier < later for earlier, later in pairwise(lengths))
    again = Run(tmp_path, Writer(), count=230)
    assert all(len(rows) >= lengths[-1] for rows in again.saved)


def test_prompts_of_one_round_may_want_different_sampling(tmp_path):
    class Mixed(Listed):
        def next_prompts(self, most):
            asked = super().next_prompts(most)
            return [Prompt(p.kind, p.conversation, Sampling(max_new_tokens=10 + i % 2)) for i, p in enumerate(asked)]

    seen = []

    def ask(prompts, sampling):
        for place, prompt in enumerate(prompts):
            seen.append((prompt.messages[-1].content, sampling.max_new_tokens))
            yield place, Completion("x", 1, 1, "stop")

    run = Run(tmp_path, Writer(), Mixed("abcd", lambda text: []), ask=ask, per_round=4)
    assert sorted(seen) == [("a", 10), ("b", 11), ("c", 10), ("d", 11)]
    assert run.journal.spent == Tokens(4, 4)


def test_the_writer_of_these_tests_writes_what_is_kept():
    assert alpaca_answer("a") != alpaca_answer("b")


def test_a_local_model_passes_over_what_does_not_fit_once_something_has_fitted():
    writer = Writer("one", "two", "three")
    ask = where_it_fits(in_order(writer), lambda prompt: len(prompt.messages[-1].content) < 9)
    first = dict(ask([Conversation.ask("long, too long"), Conversation.ask("short")], Sampling()))
    assert {place: (one.text, one.finish) for place, one in first.items()} == {0: ("", "abort"), 1: ("one", "stop")}
    assert dict(ask([Conversation.ask("long, too long")], Sampling()))[0].finish == "abort"


def test_a_run_that_goes_on_passes_over_what_does_not_fit_from_the_beginning():
    ask = where_it_fits(in_order(Writer()), lambda _: False, has_fitted=True)
    assert [one.finish for _, one in ask([Conversation.ask("long, too long")], Sampling())] == ["abort"]


def test_a_local_model_that_nothing_has_fitted_into_is_asked_and_says_so():
    writer = Writer("one")
    ask = where_it_fits(in_order(writer), lambda _: False)
    assert [one.text for _, one in ask([Conversation.ask("long, too long")], Sampling())] == ["one"]
