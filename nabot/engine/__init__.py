"""The one inference engine: sequences, their cache, sampling, and the loop that moves them on.

`Engine(decoder, renderer)` is a `TextModel`: `generate` answers many conversations at once, `stream` one as it comes;
`add`, `step` and `abort` are what both are made of.
"""

from nabot.engine.engine import Engine, Event

__all__ = ["Engine", "Event"]
