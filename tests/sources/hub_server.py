"""A hub on the loopback: as much of the file API as `model_info` and `snapshot_download` ask for."""

import hashlib
import http.server
import json
from dataclasses import dataclass, field

COMMIT = "0123456789abcdef0123456789abcdef01234567"


BREAK_AFTER = 100_000  # bytes


@dataclass
class Repository:
    files: dict[str, bytes]
    revisions: tuple[str, ...] = ("main", COMMIT)
    gated: bool = False
    token: str | None = None  # who does not show it gets 401
    no_access: bool = False  # gated, and this account was not let in: 403
    rotten: tuple[str, ...] = ()  # files that arrive with another content of the same size
    gone: tuple[str, ...] = ()  # files that the server fails at
    breaks: int = 0  # so many times a connection ends in the middle of a file that is longer than BREAK_AFTER


@dataclass
class Asked:
    """What was asked for, as (method, path)."""

    log: list[tuple[str, str]] = field(default_factory=list)

    def files(self) -> list[str]:
        """The files that were fetched, in order of their names."""
        return sorted(
            path.split("/resolve/")[1].split("/", 1)[1] for m, path in self.log if m == "GET" and "/resolve/" in path
        )


class Hub(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.asked = Asked()
        self.ranges: list[tuple[str, int]] = []  # (file, first byte asked for)
        self.status: int | None = None  # of every answer, instead of the right one

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.partition("?")[0].strip("/")
        self.server.asked.log.append((self.command, path))
        if self.server.status:
            return self._error(self.server.status, None)
        parts = path.split("/")
        is_api = parts[:2] == ["api", "models"]
        name = "/".join(parts[2:4] if is_api else parts[:2])
        rest = parts[4:] if is_api else parts[2:]
        repository = self.server.repositories.get(name)
        if repository is None:
            return self._error(404, "RepoNotFound")
        if repository.token and self.headers.get("Authorization") != f"Bearer {repository.token}":
            return self._error(401, "GatedRepo" if repository.gated else None)
        if repository.no_access and not is_api:
            return self._error(403, "GatedRepo")
        revision = rest[1] if len(rest) > 1 else "main"
        if revision not in repository.revisions:
            return self._error(404, "RevisionNotFound")
        return self._serve(name, repository, rest)

    def _serve(self, name: str, repository: Repository, rest: list[str]) -> None:
        files = repository.files
        if rest[:1] == ["tree"]:
            entries = [{"type": "file", "path": f, "size": len(c), "oid": _oid(c)} for f, c in files.items()]
            return self._send(json.dumps(entries).encode(), {"Content-Type": "application/json"})
        if rest[:1] == ["resolve"]:
            return self._send_file(repository, "/".join(rest[2:]))
        siblings = [{"rfilename": f, "size": len(c), "blobId": _oid(c), **_lfs(f, c)} for f, c in files.items()]
        info = {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings}
        return self._send(json.dumps(info).encode(), {"Content-Type": "application/json"})

    def _send_file(self, repository: Repository, name: str) -> None:
        """As the hub gives it: from any byte on, and for a large file its SHA-256."""
        content = repository.files[name]
        if name in repository.gone:
            return self._error(500, None)
        etag = _lfs(name, content).get("lfs", {}).get("sha256") or _oid(content)
        sent = b"?" * len(content) if name in repository.rotten else content
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "X-Linked-Etag": f'"{etag}"'}
        headers["X-Linked-Size"] = str(len(content))
        self.server.ranges.append((name, start))
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        is_cut = self.command == "GET" and repository.breaks > 0 and len(content) - start > BREAK_AFTER
        repository.breaks -= is_cut
        cut = BREAK_AFTER if is_cut else None
        return self._send(sent[start:], headers, status=206 if start else 200, cut=cut)

    def _send(self, content: bytes, headers: dict[str, str], *, status: int = 200, cut: int | None = None) -> None:
        """`cut`: the connection ends after so many bytes."""
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[:cut])
            self.close_connection = cut is not None

    def _error(self, status: int, code: str | None) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def _lfs(name: str, content: bytes) -> dict[str, dict[str, object]]:
    """What the hub says of files that it keeps outside of git: weights."""
    if not name.endswith((".safetensors", ".gguf", ".bin")):
        return {}
    return {"lfs": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}}


def _oid(content: bytes) -> str:
    """A git blob's name, as the hub gives it to small files."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
