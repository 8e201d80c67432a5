"""A home of its own for every test, tiny models, tiny wheels, and a package index on the loopback that can fail."""

import hashlib
import http.server
import importlib
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest

from nabot.sources import ShortName

TinyGguf = Callable[..., Path]
TinyWheel = Callable[..., Path]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty NABOT_HOME, and pip without the settings of this machine."""
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null" if Path("/dev/null").exists() else "nul")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("NABOT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def tiny_gguf(tmp_path: Path) -> TinyGguf:
    def make(name: str = "tiny.gguf", *, licence: str | None = None, seed: int = 0, width: int = 32) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = gguf.GGUFWriter(path, "llama")
        if licence:
            writer.add_license(licence)
        values = np.random.default_rng(seed).standard_normal((4, width)).astype(np.float32)
        writer.add_tensor("token_embd.weight", values)
        writer.add_tensor("output_norm.weight", values[0])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return make


@pytest.fixture
def tiny_wheel(tmp_path: Path) -> TinyWheel:
    """A wheel with the given files, in a folder that pip can search."""

    def make(files: dict[str, bytes], name: str = "tiny_model", version: str = "1.0") -> Path:
        folder = tmp_path / "links"
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}-{version}-py3-none-any.whl"
        info = f"{name}-{version}.dist-info"
        metadata = {
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": b"",
        }
        with zipfile.ZipFile(path, "w") as archive:
            for inside, content in {**files, **metadata}.items():
                archive.writestr(inside, content)
        return path

    return make


@pytest.fixture
def links_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip finds nothing but the wheels of `tiny_wheel`."""
    (tmp_path / "links").mkdir(exist_ok=True)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    return tmp_path / "links"


@pytest.fixture
def only_known(monkeypatch: pytest.MonkeyPatch) -> Callable[[ShortName], None]:
    """Makes the registry hold one line."""
    module = importlib.import_module("nabot.sources.registry")  # the package has a function of that name
    return lambda short: monkeypatch.setattr(module, "_REGISTRY", (short,))


class Index(http.server.ThreadingHTTPServer):
    """A package index with the wheels of one folder."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _IndexHandler)
        self.folder = folder
        self.status = 200  # of the pages that list files
        self.said_sha256: str | None = None  # what those pages say of every file
        self.chunk_seconds = 0.0  # pause after each 64 KB of a file
        self.break_after_bytes: int | None = None  # the connection ends in the middle of a file
        self.downloads: list[str] = []  # "done" or "cut off", in the order in which they ended


class _IndexHandler(http.server.BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        kind, name = self.path.strip("/").split("/")[:2]
        self._page(name) if kind == "simple" else self._file(self.server.folder / name)

    def _page(self, name: str) -> None:
        files = sorted(self.server.folder.glob(f"{name.replace('-', '_')}-*.whl"))
        status = self.server.status if self.server.status != 200 or files else 404
        hashes = [self.server.said_sha256 or hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        links = [f'<a href="/files/{f.name}#sha256={h}">{f.name}</a>' for f, h in zip(files, hashes, strict=True)]
        self._begin(status, "text/html", len(body := "".join(links).encode()))
        self.wfile.write(body)

    def _file(self, path: Path) -> None:
        content = path.read_bytes()
        self._begin(200, "application/octet-stream", len(content))
        try:
            for start in range(0, self.server.break_after_bytes or len(content), 65536):
                self.wfile.write(content[start : start + 65536])
                time.sleep(self.server.chunk_seconds)
            self.server.downloads.append("done")
        except OSError:
            self.server.downloads.append("cut off")

    def _begin(self, status: int, kind: str, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    (tmp_path / "links").mkdir(exist_ok=True)
    server = Index(tmp_path / "links")
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
    yield server
    server.shutdown()
    server.server_close()
