"""A hub on the loopback: as much of the file API as `model_info` and `snapshot_download` ask for."""

import hashlib
import http.server
import json
from dataclasses import dataclass, field

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repository:
    files: dict[str, bytes]
    revisions: tuple[str, ...] = ("main", COMMIT)
    gated: bool = False
    token: str | None = None  # who does not show it gets 401


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
            content = files["/".join(rest[2:])]
            return self._send(content, {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": COMMIT})
        siblings = [{"rfilename": f, "size": len(c), "blobId": _oid(c)} for f, c in files.items()]
        info = {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings}
        return self._send(json.dumps(info).encode(), {"Content-Type": "application/json"})

    def _send(self, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def _error(self, status: int, code: str | None) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def _oid(content: bytes) -> str:
    """A git blob's name, as the hub gives it to small files."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
