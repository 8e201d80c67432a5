"""What is in the rows, as a picture. In: `Stats`, out: an SVG: what the instructions ask for, lengths, languages, overlap."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from nabot.data.stats import Spread, Stats
from nabot.evals.figures import ticks
from nabot.evals.sunburst import COLOURS, fitted, sunburst
from nabot.text import say

_WIDTH, _HEIGHT = 1180, 800
_RADIUS = 340
_LEFT, _RIGHT = 800, 1148  # of the column of histograms
_TOP, _BOTTOM = 96, 776
_GAP = 62  # between two panels: title and labels
# whatever a system has with Hangul in it, before its plain sans-serif
_FONTS = "'Noto Sans KR','Apple SD Gothic Neo','Malgun Gothic','Noto Sans CJK KR',NanumGothic,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_BAR, _INK, _SOFT, _GRID = COLOURS[0], "#1c1c1c", "#5c5c5c", "#e2e2e2"
_MOST_LANGUAGES = 4


@dataclass(frozen=True)
class Bins:
    """A histogram: counts of the ranges between `edges`; the last one also has everything above."""

    edges: list[float]
    counts: list[int]
    is_open: bool  # whether there is something above the last edge


@dataclass(frozen=True)
class _Panel:
    """A piece of the column: its plot lies between `top` and `bottom`."""

    top: float
    bottom: float


def data_figure(stats: Stats, title: str) -> str:
    """The whole picture."""
    parts = [
        _text(32, 44, title, 20, weight="600"),
        _text(32, 68, _subtitle(stats), 13, _SOFT),
        *_asked_for(stats),
        *_column(stats),
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="{_FONTS}" role="img">'
    )
    return "\n".join([head, f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>', *parts, "</svg>\n"])


def bins(values: Sequence[float], most_bins: int = 16) -> Bins:
    """Ranges of a round width up to what 97 of 100 values do not exceed, so that one long row does not hide the others."""
    ranked = sorted(values)
    usual = ranked[math.ceil(0.97 * len(ranked)) - 1]
    edges = ticks(usual + 1, most_bins, whole=True)
    return _filled(values, edges)


def overlap_bins(values: Sequence[float]) -> Bins:
    """Twenty ranges from 0 to 1."""
    return _filled(values, [i / 20 for i in range(21)])


def _filled(values: Sequence[float], edges: list[float]) -> Bins:
    counts = [0] * (len(edges) - 1)
    for value in values:
        counts[min(len(counts) - 1, int((value - edges[0]) / (edges[1] - edges[0]) + 1e-9))] += 1
    return Bins(edges, counts, max(values) > edges[-1])


def _subtitle(stats: Stats) -> str:
    return say("stats.picture.subtitle", pairs=stats.roots.pairs.total(), read=stats.roots.read)


def _asked_for(stats: Stats) -> Iterator[str]:
    x, y = 32 + _RADIUS, _TOP + _RADIUS
    if not stats.roots.pairs:
        yield _text(x, y, say("stats.picture.no_verbs"), 14, _SOFT, "middle")
        return
    yield from sunburst(stats.roots.top(), x, y, _RADIUS)


def _column(stats: Stats) -> Iterator[str]:
    histograms: list[tuple[str, Sequence[float], Callable[[Sequence[float]], Bins]]] = [
        (say("stats.picture.question_words"), stats.question_words, bins),
        (say("stats.picture.answer_words"), stats.answer_words, bins),
        (say("stats.picture.tokens"), stats.tokens, bins),
        (say("stats.picture.overlap"), stats.overlaps, overlap_bins),
    ]
    filled = [one for one in histograms if one[1]]
    languages = _languages(stats)
    below = 26 + 24 * len(languages)
    height = (_BOTTOM - _TOP - below - _GAP * len(filled)) / max(1, len(filled))
    for number, (title, values, into_bins) in enumerate(filled):
        top = _TOP + number * (height + _GAP) + 8
        yield from _histogram(title, values, into_bins(values), _Panel(top, top + height))
    yield from _bars(languages, _BOTTOM - below + 8)


def _histogram(title: str, values: Sequence[float], found: Bins, panel: _Panel) -> Iterator[str]:
    spread = Spread.of(values)
    digits = 0 if found.edges[-1] > 2 else 2
    told = say("stats.picture.median", median=f"{spread.median:,.{digits}f}", most=f"{spread.most:,.{digits}f}")
    yield _text(_LEFT, panel.top - 14, title, 14, weight="600")
    yield _text(_RIGHT, panel.top - 14, told, 12, _SOFT, "end")
    levels = ticks(max(found.counts), 4, whole=True)
    for level in levels:
        y = _y(level / levels[-1], panel)
        yield f'<path d="M{_LEFT},{y:.1f} H{_RIGHT}" stroke="{_GRID}"/>'
        yield _text(_LEFT - 8, y + 4, f"{level:,.0f}", 11, _SOFT, "end")
    width = (_RIGHT - _LEFT) / len(found.counts)
    for number, count in enumerate(found.counts):
        y = _y(count / levels[-1], panel)
        x, height = _LEFT + number * width + 1, panel.bottom - y
        yield f'<rect x="{x:.1f}" y="{y:.1f}" width="{width - 2:.1f}" height="{height:.1f}" fill="{_BAR}"/>'
    yield from _below(found, panel, digits)


def _below(found: Bins, panel: _Panel, digits: int) -> Iterator[str]:
    """Every so many edges, so that their numbers stand apart; "+" behind the last one if there is more."""
    step = math.ceil((len(found.edges) - 1) / 6)
    for number in range(0, len(found.edges), step):
        x = _LEFT + (_RIGHT - _LEFT) * number / (len(found.edges) - 1)
        label = (
            f"{found.edges[number]:,.{digits}f}".rstrip("0").rstrip(".") if digits else f"{found.edges[number]:,.0f}"
        )
        is_last = number == len(found.edges) - 1
        yield _text(x, panel.bottom + 17, (label or "0") + "+" * (is_last and found.is_open), 11, _SOFT, "middle")


def _languages(stats: Stats) -> list[tuple[str, int]]:
    """The most frequent ones; those with rules of their own by name, others by their code."""
    named = [
        (say(f"stats.language.{code or 'none'}") if code in _NAMED else code, n)
        for code, n in stats.languages.most_common()
    ]
    rest = sum(count for _, count in named[_MOST_LANGUAGES:])
    return named[:_MOST_LANGUAGES] + ([(say("stats.language.other"), rest)] if rest else [])


_NAMED = ("ko", "en", "ja", "zh", "latin", "other", "")


def _bars(languages: Sequence[tuple[str, int]], top: float) -> Iterator[str]:
    total = sum(count for _, count in languages)
    yield _text(_LEFT, top - 14, say("stats.picture.languages"), 14, weight="600")
    for number, (name, count) in enumerate(languages):
        y, share = top + 24 * number, count / total
        yield _text(_LEFT, y + 12, fitted(name, 76, 12), 12)
        yield f'<rect x="{_LEFT + 84}" y="{y}" width="{max(1.0, share * 200):.1f}" height="15" fill="{_BAR}"/>'
        yield _text(_LEFT + 92 + share * 200, y + 12, f"{share:.0%}", 12, _SOFT)


def _y(share: float, panel: _Panel) -> float:
    return panel.bottom - share * (panel.bottom - panel.top)


def _text(
    x: float, y: float, words: str, size: float, fill: str = _INK, anchor: str = "start", weight: str = "400"
) -> str:
    font = f'font-size="{size:g}" fill="{fill}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {font}>{escape(words)}</text>'
