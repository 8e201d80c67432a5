"""What can go wrong, as a tree. Every message says: what, seen, expected, next step.

    NabotError
    ├── ConfigError      2   a setting, a flag, a name that does not exist
    │   └── LicenceNotAccepted   weights whose terms nobody has agreed to yet
    ├── DataError        2   rows, files, encodings that the person brought
    ├── CheckpointError  2   weights, adapters, bots, runs that cannot be used as they are
    ├── CapacityError    3   this machine: no room on the disk, not enough memory
    ├── UpstreamError    3   the outside: network, index, a download that changed
    └── Stopped    128 + n   a signal asked us to end, and everything is saved

The number is the exit status of the command line. Messages come from `nabot.text`, so that they have translations.
"""

from pathlib import Path


class NabotError(Exception):
    """Base of all explained errors; its text is meant for the person, without a stack trace."""

    exit_status = 2


class ConfigError(NabotError):
    """A setting, flag or name is not one that nabot knows, or two of them contradict each other."""


class LicenceNotAccepted(ConfigError):
    """Weights whose terms a person has to accept first; carries the licence's name and where its text is."""

    def __init__(self, message: str, licence: str, terms: Path) -> None:
        super().__init__(message)
        self.licence, self.terms = licence, terms


class DataError(NabotError):
    """The person's rows or files cannot be read as they are."""


class CheckpointError(NabotError):
    """Weights, an adapter, a bot or a run are damaged, unfinished or belong to something else."""


class CapacityError(NabotError):
    """The machine is too small for what was asked: disk or memory."""

    exit_status = 3


class UpstreamError(NabotError):
    """Something outside this machine failed or changed."""

    exit_status = 3


class Stopped(NabotError):
    """A signal ended the work after everything had been saved; carries 128 + its number."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_status = 128 + signal_number
