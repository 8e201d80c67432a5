"""What huggingface_hub raises → errors for the person. In: its exceptions, out: ConfigError (2) or UpstreamError (3).

The hub answers 401 for a repository that does not exist and for a private one alike, so that nobody can find out which
exist; the message names both.
"""

import contextlib
from collections.abc import Iterator

from huggingface_hub import constants, errors

from nabot.errors import ConfigError, NabotError, UpstreamError
from nabot.sources.names import HubName
from nabot.text import say

# huggingface_hub has changed its HTTP library twice; all of them raise classes of their own when a connection fails.
_HTTP_LIBRARIES = ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3")
_MAX_REASON = 300
_NOT_FOR_THIS_PERSON: tuple[tuple[type[Exception], str], ...] = (
    (errors.RevisionNotFoundError, "sources.hub_no_revision"),
    (errors.GatedRepoError, "sources.hub_gated"),  # before RepositoryNotFoundError, of which it is a kind
    (errors.RepositoryNotFoundError, "sources.hub_not_found"),
)


@contextlib.contextmanager
def explained_hub_errors(wanted: HubName) -> Iterator[None]:
    """Turns what the hub's client raises inside into a NabotError; other exceptions pass."""
    try:
        yield
    except NabotError:
        raise
    except Exception as error:
        explained = _explained(error, wanted)
        if explained is None:
            raise
        raise explained from error


def _explained(error: Exception, wanted: HubName) -> NabotError | None:
    fields = {"name": f"hf:{wanted.repository}", "address": f"{constants.ENDPOINT}/{wanted.repository}"}
    for kind, text_id in _NOT_FOR_THIS_PERSON:
        if isinstance(error, kind):
            return ConfigError(say(text_id, **fields, revision=wanted.revision))
    if _status(error) in (401, 403):
        return ConfigError(say("sources.hub_refused", **fields, status=_status(error)))
    if constants.HF_HUB_OFFLINE and is_unreachable(error):
        return UpstreamError(say("sources.hub_offline", **fields, cache=constants.HF_HUB_CACHE))
    if is_unreachable(error) or isinstance(error, errors.HfHubHTTPError):
        return UpstreamError(
            say("sources.hub_unreachable", **fields, endpoint=constants.ENDPOINT, reason=_reason(error))
        )
    return None


def is_unreachable(error: Exception) -> bool:
    """Whether the hub gave no answer about the repository: no network, offline mode, or a server that fails."""
    status = _status(error)
    if status is not None:
        return status >= 500 or status == 429
    library = type(error).__module__.partition(".")[0]
    return (
        isinstance(error, ConnectionError | TimeoutError | errors.LocalEntryNotFoundError) or library in _HTTP_LIBRARIES
    )


def _status(error: Exception) -> int | None:
    response = getattr(error, "response", None) if isinstance(error, errors.HfHubHTTPError) else None
    return response.status_code if response is not None else None  # older clients raise it without a response too


def _reason(error: Exception) -> str:
    """One line of it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:_MAX_REASON]
