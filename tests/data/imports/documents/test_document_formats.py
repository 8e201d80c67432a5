"""Every format of documents: the same handbook gives the same passages; a wrong name, damage and a missing library."""

import sys
from pathlib import Path

import pytest
from document_files import HANDBOOK, WRITERS, archive, hwp, hwp_of, hwp_record, hwpx_of, ole
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nabot.data.cutting import Block
from nabot.data.imports.documents import DOCUMENT_READERS, DocumentReader
from nabot.data.imports.types import Asked, Item, Passage, Reader
from nabot.errors import DataError

GOLDEN = Path(__file__).parent / "golden" / "handbook.txt"
NAMES = {"md": "markdown", "txt": "plain"}
BINARY = ("docx", "epub", "hwpx", "hwp", "pdf")
STRUCTURED = ("docx", "epub", "hwpx", "hwp", "html")


def reader_of(path: Path) -> DocumentReader | None:
    with path.open("rb") as file:
        head = file.read(65536)
    return next((reader for reader in DOCUMENT_READERS if reader.recognises(path, head)), None)


def read(path: Path) -> list[Item]:
    reader = reader_of(path)
    assert reader is not None
    return list(reader.read(path, Asked()))


def attempt(path: Path) -> list[Item] | DataError:
    """What is in a damaged file, or what is said of it; any other error is a bug."""
    try:
        return read(path)
    except DataError as error:
        return error


def passages_as_text(items: list[Item]) -> str:
    return "".join(f"[{item.place}]\n{item.text}\n\n" for item in items if isinstance(item, Passage))


@pytest.mark.parametrize("name", WRITERS)
def test_the_handbook_gives_the_golden_passages(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(WRITERS[name](HANDBOOK))

    items = read(path)

    assert passages_as_text(items) == GOLDEN.read_text(encoding="utf-8")
    assert {item.source for item in items if isinstance(item, Passage)} == {name}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_is_recognised_by_one_reader_and_by_its_content(name: str, tmp_path: Path) -> None:
    suffix = name.rpartition(".")[2]
    renamed = tmp_path / ("handbook.pdf" if suffix == "docx" else "handbook.docx")
    renamed.write_bytes(WRITERS[name](HANDBOOK))
    own = tmp_path / name
    own.write_bytes(renamed.read_bytes())
    readers: tuple[Reader, ...] = DOCUMENT_READERS  # each is one, for the type checker, too

    assert next(r.name for r in readers if r.recognises(own, own.read_bytes()[:65536])) == NAMES.get(suffix, suffix)
    if suffix in BINARY or suffix == "html":
        found = reader_of(renamed)
        assert found is not None
        assert found.name == suffix


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"\x89PNG\r\n\x1a\n" + bytes(40), b"\xff\xd8\xff\xe0" + bytes(99), b"MZ" + bytes(99)]
)
@pytest.mark.parametrize("name", ["a.png", "a.json", "a.csv", "a.exe", "a.zip"])
def test_what_is_no_document_is_not_recognised(name: str, data: bytes) -> None:
    assert not any(reader.recognises(Path(name), data) for reader in DOCUMENT_READERS)


@given(
    st.binary(max_size=200),
    st.sampled_from(["a.pdf", "a.docx", "a.doc", "a.hwp", "a.hwpx", "a.epub", "a.html", "a.md", "a.txt"]),
)
def test_looking_never_raises(head: bytes, name: str) -> None:
    for reader in DOCUMENT_READERS:
        reader.recognises(Path(name), head)


WORDS = st.text(
    st.characters(categories=("Lu", "Ll", "Lo", "Nd"), include_characters="<&>\"'", max_codepoint=0xFFFF),
    min_size=1,
    max_size=9,
)
TEXTS = st.lists(WORDS, min_size=1, max_size=12).map(" ".join)
HEADINGS = TEXTS.map(lambda text: "## " + text.lstrip("# "))
TABLES = st.integers(2, 3).flatmap(lambda n: st.lists(st.lists(TEXTS, min_size=n, max_size=n), min_size=1, max_size=4))


@pytest.mark.parametrize("suffix", STRUCTURED)
@given(st.lists(TEXTS | HEADINGS | TABLES, min_size=1, max_size=8))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_word_of_a_document_is_read_once_in_order(suffix: str, tmp_path: Path, blocks: list) -> None:
    path = tmp_path / f"any.{suffix}"
    path.write_bytes(WRITERS[f"handbook.{suffix}"](blocks))
    reader = reader_of(path)
    assert reader is not None
    found = [
        piece.text for piece in reader.pieces(path) if isinstance(piece, Block) and piece.text != "Dal"
    ]  # a page's title
    rows = [row for block in blocks for row in (block if isinstance(block, list) else [[block.removeprefix("## ")]])]

    assert " ".join(found).replace("|", " ").split() == " ".join(" ".join(row) for row in rows).split()


@pytest.mark.parametrize("suffix", BINARY)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
def test_a_file_that_was_cut_off_is_explained_or_read_as_far_as_it_goes(
    suffix: str, share: float, tmp_path: Path
) -> None:
    data = WRITERS[f"handbook.{suffix}"](HANDBOOK)
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(data[: int(share * len(data))])

    found = attempt(path)

    if suffix == "pdf" and not isinstance(found, DataError):
        assert passages_as_text(found)  # pypdf finds the objects that are there, without the table that names them
    else:
        assert str(found).startswith(str(path))


@pytest.mark.parametrize("suffix", ["docx", "epub", "hwpx", "hwp"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_changed_bytes_are_explained_or_read(suffix: str, tmp_path: Path, data: st.DataObject) -> None:
    original = bytearray(WRITERS[f"handbook.{suffix}"](HANDBOOK[:4]))
    for _ in range(data.draw(st.integers(1, 8))):
        original[data.draw(st.integers(8, len(original) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / f"changed.{suffix}"
    path.write_bytes(original)

    found = attempt(path)

    assert not isinstance(found, DataError) or str(path) in str(found)


@pytest.mark.parametrize("suffix", ["docx", "epub", "hwpx"])
def test_a_zip_without_what_the_format_needs_is_explained(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"empty.{suffix}"
    path.write_bytes(archive({"hello.txt": "hello"}))

    with pytest.raises(DataError, match="damaged"):
        read(path)


def nested(times: int) -> dict[str, bytes]:
    hwp_records = b"".join(hwp_record(71, level, b"    ") for level in range(1000))
    return {
        "html": b"<html><body>" + b"<div>" * times + b"x",
        "hwpx": hwpx_of("<hp:p><hp:run>" * times + "</hp:run></hp:p>" * times),
        "hwp": hwp_of(hwp_records),
    }


@pytest.mark.parametrize("suffix", ["html", "hwpx", "hwp"])
def test_a_file_nested_without_end_is_damaged(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"deep.{suffix}"
    path.write_bytes(nested(5000)[suffix])

    with pytest.raises(DataError, match="damaged"):
        read(path)


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "handbook.pdf"])
def test_a_document_without_text_is_an_error_that_says_so(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(WRITERS[name](["\u200b"]))

    with pytest.raises(DataError, match=r"no text|empty"):
        read(path)


@pytest.mark.parametrize("name", WRITERS)
def test_an_empty_file_is_recognised_by_nobody_or_explained(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.touch()
    reader = reader_of(path)
    if reader:
        with pytest.raises(DataError, match="empty"):
            list(reader.read(path, Asked()))


@pytest.mark.parametrize(
    ("suffix", "modules"),
    [
        ("pdf", ["pypdf"]),
        ("hwp", ["olefile"]),
        ("html", ["resiliparse", "resiliparse.parse"]),
        ("epub", ["resiliparse", "resiliparse.parse"]),
    ],
)
def test_a_missing_library_is_named_with_what_to_type(
    suffix: str, modules: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"handbook.{suffix}"
    path.write_bytes(WRITERS[f"handbook.{suffix}"](HANDBOOK))
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(DataError, match=rf'{modules[0]}.*pip install "nabot\[files\]"'):
        read(path)


def test_an_ole_file_of_another_program_is_not_taken_for_hwp(tmp_path: Path) -> None:
    path = tmp_path / "table.xls"
    path.write_bytes(ole({"Workbook": b"x" * 5000}))

    assert reader_of(path) is None


@pytest.mark.parametrize(("name", "told"), [("letter.doc", "old Word file"), ("letter.docx", "protected")])
def test_word_files_in_ole_are_refused_with_their_reason(name: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(ole({"EncryptedPackage": b"x" * 5000}))

    with pytest.raises(DataError, match=told):
        read(path)


def test_hwp_is_found_also_under_the_name_of_word(tmp_path: Path) -> None:
    path = tmp_path / "letter.doc"
    path.write_bytes(hwp(HANDBOOK))
    found = reader_of(path)

    assert found is not None
    assert found.name == "hwp"
