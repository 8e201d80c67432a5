"""The figures of an exam in plain words. In: what `exam.result` gave, out: sentences; and how numbers are written."""

from collections.abc import Mapping
from typing import Any

from nabot.evals.figures import Losses
from nabot.text import say

_HALF = 0.5
_KEPT_WELL = 0.9  # surely below this, forgetting deserves advice
_ENOUGH = 10  # questions; from fewer, no share is worth a sentence


def percent(share: float | None) -> str:
    """0.912 → "91 %". Only all is 100 and only none is 0, so 0.998 is "> 99 %"."""
    if share is None:
        return say("evals.nothing")
    if 0 < share <= 0.005:
        return say("evals.percent_below")
    if 0.995 <= share < 1:
        return say("evals.percent_above")
    return say("evals.percent", value=round(share * 100))


def interval(figures: Mapping[str, Any]) -> str:
    """The 95 % interval, such as "84-95 %"."""
    return say("evals.interval", low=round(figures["low"] * 100), high=round(figures["high"] * 100))


def verdict(result: Mapping[str, Any]) -> str:
    """One sentence: did it learn? Only intervals that lie apart count as learning."""
    results = result["results"]
    tuned, base = results.get("tuned"), results.get("base")
    if not any(r["questions"] for r in results.values()):
        return say("evals.verdict.nothing_asked")
    if tuned is None or base is None:
        only = tuned or base or results["prompted"]
        name = next(n for n, r in results.items() if r is only)
        who = say(f"evals.verdict.who.{name}")
        rival = "" if name == "prompted" else _rival(results)
        return say("evals.verdict.alone", who=who, share=percent(only["accuracy"]), rival=rival)
    fields = {"tuned": percent(tuned["accuracy"]), "base": percent(base["accuracy"]), "rival": _rival(results)}
    return say(f"evals.verdict.{_learned(tuned, base)}", **fields)


def loss_verdict(losses: Losses) -> str:
    """One sentence about a bot that was not examined: what its losses say."""
    if len(losses.held_out) < 2:
        return say("evals.verdict.unmeasured")
    (_, begin), (_, end) = losses.held_out[0], losses.held_out[-1]
    fields = {"begin": f"{begin:.2f}", "end": f"{end:.2f}"}
    if not 0 <= end < begin:
        return say("evals.verdict.loss_rose", **fields)
    return say("evals.verdict.loss_fell", **fields, share=percent(1 - end / begin))


def remarks(result: Mapping[str, Any]) -> list[str]:
    """What the verdict leaves out: how sure it is, whether a prompt would do, what was forgotten."""
    results = result["results"]
    judged = results.get("tuned") or results.get("base") or results.get("prompted")
    found = []
    if judged and judged["questions"]:
        fields = {"count": judged["questions"], "interval": interval(judged)}
        found.append(say("evals.remark.interval", **fields))
    tuned, prompted = results.get("tuned"), results.get("prompted")
    if tuned and prompted and prompted["low"] > tuned["high"]:
        found.append(say("evals.remark.prompt_better"))
    if result["general"]["kept"] is not None:
        found.append(_kept(result["general"]))
    return found


def _kept(general: Mapping[str, Any]) -> str:
    """What became of the general knowledge, said as carefully as what was learned."""
    fields = {"kept": percent(general["kept"]), "count": general["known"], "interval": interval(general)}
    if general["known"] < _ENOUGH:
        return say("evals.remark.kept_few", **fields)
    return say("evals.remark.forgot" if general["high"] < _KEPT_WELL else "evals.remark.kept", **fields)


def _learned(tuned: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    if tuned["accuracy"] <= base["accuracy"]:
        return "not"
    if tuned["low"] <= base["high"]:
        return "unclear"
    return "partly" if tuned["accuracy"] < _HALF else "learned"


def _rival(results: Mapping[str, Any]) -> str:
    prompted = results.get("prompted")
    return say("evals.verdict.rival", share=percent(prompted["accuracy"])) if prompted else ""
