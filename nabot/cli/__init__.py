"""The command line: parses, calls a recipe, prints. Nothing is decided here.

Exit status: 0 done; 1 checked, and the answer is no; 2 the person's input is wrong; 3 the outside failed; 70 a bug;
130 and 143 stopped by a signal.
"""

import os
import sys


def main() -> None:
    """The entry point `nabot`. `--debug` anywhere shows stack traces, `--lang` says the language."""
    from nabot.cli.language import take_language, until_end_of_flags
    from nabot.errors import ConfigError
    from nabot.text import say

    flags, behind = until_end_of_flags(sys.argv[1:])
    debug = "--debug" in flags or bool(os.environ.get("NABOT_DEBUG"))
    try:
        arguments = take_language([a for a in flags if a != "--debug"] + behind)
    except ConfigError as error:
        print(say("error.prefix", message=error), file=sys.stderr)
        sys.exit(error.exit_status)
    sys.exit(run(arguments, debug=debug))


def run(arguments: list[str], *, debug: bool = False) -> int:
    """Runs one command and returns its exit status; errors are explained on standard error."""
    from nabot.cli.app import app
    from nabot.cli.licences import accepting, agreed, without_accepted
    from nabot.errors import LicenceNotAccepted, NabotError
    from nabot.text import say, system_reason

    try:
        others, accepted = without_accepted(arguments)
        with accepting(accepted):
            result = app(others, standalone_mode=False)
        if result == 130:  # what the parser makes of Ctrl-C; no verb ends with it
            raise KeyboardInterrupt
        return result if isinstance(result, int) else 0
    except NabotError as error:
        if isinstance(error, LicenceNotAccepted) and agreed(error):
            return run(arguments, debug=debug)  # from the start: it had written nothing yet
        message, status = say("error.prefix", message=error), error.exit_status
        cause: BaseException = error
    except (KeyboardInterrupt, EOFError) as error:
        message, status, cause = say("error.interrupted"), 130, error
    except BrokenPipeError:  # `nabot list | head`: the reader has seen enough
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - the interpreter flushes it when it ends
        return 0
    except MemoryError as error:
        message, status, cause = say("error.prefix", message=say("error.no_memory")), 3, error
    except OSError as error:
        message, status = say("error.system", path=error.filename or "?", reason=system_reason(error)), 3
        cause = error
    except Exception as error:
        status, message = _usage(error)
        if status == 70:
            message = say("error.bug", kind=type(error).__name__, message=error)
        cause = error
    if debug:
        import traceback

        traceback.print_exception(cause)
    if message:
        print(message, file=sys.stderr)
    return status


def _usage(error: Exception) -> tuple[int, str]:
    """(status, message) of the parser's own errors and exits; (70, "") for anything else."""
    from nabot.text import say

    if type(error).__name__ == "Exit":
        return int(getattr(error, "exit_code", 0)), ""
    if type(error).__name__ == "Abort":
        return 130, say("error.interrupted")
    explain = getattr(error, "format_message", None)
    if explain is None:
        return 70, ""
    if hasattr(error, "show"):
        from nabot.cli.parser_words import told_by_parser

        return int(getattr(error, "exit_code", 2)), told_by_parser(error)
    return 2, str(explain())
