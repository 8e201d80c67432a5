"""A chat endpoint on the loopback that answers as it is told. In: a script, out: requests, as they came."""

import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Body = dict[str, Any]


@dataclass
class Reply:
    """What one request gets. `cut`: the body breaks off there, in bytes; `hang`: nothing comes at all until the test ends."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    hang: bool = False
    after: Callable[[], None] = lambda: None  # called once the reply is on its way


def says(text: str | None, *, finish: str = "stop", usage: object = "count", **fields: Any) -> Reply:
    """A chat completion; a token is a word."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    body: Body = {"id": "1", "object": "chat.completion", "choices": [choice]}
    if usage is not None:
        counted = {"prompt_tokens": 10, "completion_tokens": len((text or "").split())}
        body["usage"] = counted if usage == "count" else usage
    return Reply(json.dumps(body).encode(), **fields)


def fails(status: int, message: str = "no", headers: Mapping[str, str] | None = None, **error: Any) -> Reply:
    """An error as OpenAI words it."""
    return Reply(json.dumps({"error": {"message": message, **error}}).encode(), status, headers or {})


class ChatServer(http.server.ThreadingHTTPServer):
    """`script` maps the body of a request and its number, from 0, to a reply."""

    daemon_threads = True

    def __init__(self, script: Callable[[Body, int], Reply]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = script
        self.bodies: list[Body] = []
        self.keys: list[str | None] = []
        self.busy = self.busiest = 0
        self.counting = threading.Lock()
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no error."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: ChatServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.counting:
            number = len(server.bodies)
            server.bodies.append({**body, "path": self.path})
            server.keys.append(self.headers["Authorization"])
            server.busy += 1
            server.busiest = max(server.busiest, server.busy)
        try:
            self._send(server.script(body, number))
        finally:
            with server.counting:
                server.busy -= 1

    def _send(self, reply: Reply) -> None:
        if reply.hang:
            self.server.over.wait()
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body[: reply.cut])
        self.wfile.flush()
        if reply.cut is not None:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        reply.after()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(script: Callable[[Body, int], Reply]) -> Iterator[ChatServer]:
    server = ChatServer(script)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def in_turn(*replies: Reply) -> Callable[[Body, int], Reply]:
    """One after the other, and the last one for ever."""
    return lambda body, number: replies[min(number, len(replies) - 1)]
