"""Verbs and their objects as two rings. In: counts, out: parts of an SVG.

The picture of Wang et al. 2022 ("Self-Instruct", figure 3) and of Alpaca: inside the most frequent verbs, around each its
objects, every angle in proportion to how often they were asked for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import cos, pi, sin

# Paul Tol's "muted" scheme, which people with any colour vision tell apart; the words say what is what, the colours only
# where a verb ends. Source: personal.sron.nl/~pault, "Introduction to colour schemes"
COLOURS = ("#332288", "#88CCEE", "#117733", "#DDCC77", "#882255", "#44AA99", "#AA4499", "#999933", "#CC6677")
_INK = "#1c1c1c"
_TINT = 0.62  # how much white is in the colour of an object
_HOLE, _BORDER, _EDGE = 0.19, 0.57, 1.0  # radii of the two rings, as shares of the whole
_LARGEST, _SMALLEST = 15.0, 8.5  # font sizes in pixels


@dataclass(frozen=True)
class Slice:
    """A piece of a ring, in radians clockwise from the top."""

    label: str
    start: float
    end: float
    inner: float
    outer: float
    colour: str

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2


def sunburst(
    verbs: Sequence[tuple[str, Sequence[tuple[str, int]]]], x: float, y: float, radius: float
) -> Iterator[str]:
    """Elements around (x, y). Nothing for no verbs."""
    for piece in slices(verbs, radius):
        yield _shape(piece, x, y)
    for piece in slices(verbs, radius):
        yield from _label(piece, x, y)


def slices(verbs: Sequence[tuple[str, Sequence[tuple[str, int]]]], radius: float) -> Iterator[Slice]:
    """Both rings, each verb followed by its objects; together they fill each ring."""
    total = sum(count for _, objects in verbs for _, count in objects)
    seen = 0
    for number, (verb, objects) in enumerate(verbs):
        colour = COLOURS[number % len(COLOURS)]
        start = seen
        around = []
        for label, count in objects:
            angles = (2 * pi * seen / total, 2 * pi * (seen + count) / total)
            around.append(Slice(label, *angles, radius * _BORDER, radius * _EDGE, _tint(colour)))
            seen += count
        yield Slice(verb, 2 * pi * start / total, 2 * pi * seen / total, radius * _HOLE, radius * _BORDER, colour)
        yield from around


def width_of(text: str, size: float) -> float:
    """Pixels that the text takes, about: a Hangul syllable or Chinese character is as wide as high."""
    return size * sum(1.0 if ord(letter) > 0x10FF else 0.56 for letter in text)


def fitted(text: str, room: float, size: float) -> str:
    """The text, or as much of its beginning as `room` has, and an ellipsis; "" if not even two letters fit."""
    if width_of(text, size) <= room:
        return text
    short = text
    while short and width_of(f"{short}…", size) > room:
        short = short[:-1]
    return f"{short}…" if len(short) > 1 else ""


def _shape(piece: Slice, x: float, y: float) -> str:
    if piece.end - piece.start > 2 * pi - 1e-6:  # an arc that ends where it begins is none
        middle = (piece.inner + piece.outer) / 2
        width = piece.outer - piece.inner
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{middle:.1f}" fill="none" stroke="{piece.colour}" stroke-width="{width:.1f}"/>'
    wide = int(piece.end - piece.start > pi)
    corners = [
        (x + r * sin(angle), y - r * cos(angle))
        for r, angle in (
            (piece.inner, piece.start),
            (piece.outer, piece.start),
            (piece.outer, piece.end),
            (piece.inner, piece.end),
        )
    ]
    a, b, c, d = (f"{px:.1f},{py:.1f}" for px, py in corners)
    path = f"M{a} L{b} A{piece.outer:.1f},{piece.outer:.1f} 0 {wide} 1 {c} L{d} A{piece.inner:.1f},{piece.inner:.1f} 0 {wide} 0 {a} Z"
    return f'<path d="{path}" fill="{piece.colour}" stroke="#fff" stroke-width="1.2"/>'


def _label(piece: Slice, x: float, y: float) -> Iterator[str]:
    """The word along the radius, upright to a reader on either side; none where it would be too small to read."""
    narrowest = (piece.end - piece.start) * (piece.inner + 0.35 * (piece.outer - piece.inner))
    size = min(_LARGEST, narrowest * 0.82)
    if size < _SMALLEST:
        return
    text = fitted(piece.label, piece.outer - piece.inner - 12, size)
    is_right = piece.middle <= pi
    radius = (piece.inner + piece.outer) / 2
    px, py = x + radius * sin(piece.middle), y - radius * cos(piece.middle)
    turn = piece.middle * 180 / pi - 90 + (0 if is_right else 180)
    ink = "#fff" if _is_dark(piece.colour) else _INK
    yield (
        f'<text x="{px:.1f}" y="{py:.1f}" transform="rotate({turn:.1f} {px:.1f} {py:.1f})" text-anchor="middle" '
        f'dominant-baseline="central" font-size="{size:.1f}" fill="{ink}">{escape(text)}</text>'
    )


def _channels(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


def _tint(colour: str) -> str:
    return "#" + "".join(f"{round(value + (255 - value) * _TINT):02x}" for value in _channels(colour))


def _is_dark(colour: str) -> bool:
    red, green, blue = _channels(colour)
    return 0.299 * red + 0.587 * green + 0.114 * blue < 140
