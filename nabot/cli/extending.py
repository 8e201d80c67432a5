"""`nabot tokenizer extend`, on a terminal. In: flags, out: a base with a longer vocabulary, and what it saves."""

from nabot.cli.output import pulling, put_json, tell
from nabot.recipes.extend import ExtendRequest, extend
from nabot.text import say


def extend_tokenizer(request: ExtendRequest, *, as_json: bool) -> None:
    """Writes the folder and says how to tune on it."""
    with pulling() as progress:
        done = extend(request, progress)
    if as_json:
        put_json(done.as_dict())
        return
    last = done.first_id + done.learned + done.special - 1
    tell(say("extend.done", out=done.out, count=last - done.first_id + 1, first=done.first_id, last=last))
    if done.learned < request.count:
        tell(say("extend.fewer", learned=done.learned, wanted=request.count))
    if done.before and done.after:
        saved = 1 - done.after / done.before
        numbers = {"before": done.before, "after": done.after, "saved": saved}
        tell(say("extend.saved", texts=done.held_out, **numbers))
    tell(say("extend.next", out=done.out))
