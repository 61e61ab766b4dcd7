"""A hub on this machine: as much of Hugging Face's as huggingface_hub asks of it to fetch a file."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

COMMIT = "c" * 40


@dataclass
class MadeUpHub:
    """Repositories with their files; a context manager.

    `status` is what a repository is answered with instead of itself, `stored` what comes instead of what a file is said
    to be. A file in `stalls` comes as far as that, and no further before `go_on` is set; one in `breaks` breaks off.
    """

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    status: dict[str, tuple[int, str]] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    stalls: dict[str, int] = field(default_factory=dict)
    breaks: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Each request: method, path, and its Range."""

    def __post_init__(self) -> None:
        self.stalled, self.go_on = threading.Event(), threading.Event()
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def ranges(self) -> list[str | None]:
        """Of each request for a file's content, in order, what of it was asked for."""
        return [wanted for method, path, wanted in self.asked if method == "GET" and "/resolve/" in path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: MadeUpHub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_arguments: object) -> None:
        pass

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        if path.startswith("/api/models/"):
            self._repository(path.removeprefix("/api/models/"))
        elif "/resolve/" in path:
            repository, _, rest = path[1:].partition("/resolve/")
            self._file(repository, rest.partition("/")[2])
        else:
            self._send(404, b"")

    def _repository(self, name: str) -> None:
        if name in self.hub.status:
            code, error = self.hub.status[name]
            self._send(code, b"{}", {"X-Error-Code": error} if error else {})
        elif name not in self.hub.repositories:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        else:
            files = self.hub.repositories[name].items()
            siblings = [{"rfilename": file, "size": len(data), **_checksum(file, data)} for file, data in files]
            self._send(200, json.dumps({"id": name, "sha": COMMIT, "siblings": siblings}).encode())

    def _file(self, repository: str, name: str) -> None:
        data = self.hub.stored.get(name, self.hub.repositories[repository][name])
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(data).hexdigest()}"'}
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._head(206 if wanted else 200, len(data) - start, headers)
        if self.command == "HEAD":
            return
        if name in self.hub.breaks:
            self.wfile.write(data[start : start + self.hub.breaks.pop(name)])
        elif name in self.hub.stalls:
            end = self.hub.stalls.pop(name)
            self.wfile.write(data[start:end])
            self.hub.stalled.set()
            self.hub.go_on.wait()
        else:
            self.wfile.write(data[start:])

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self._head(status, len(body), headers or {})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length), "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()


def _checksum(file: str, data: bytes) -> dict[str, object]:
    """What Hugging Face says of large files, and of others."""
    if file.endswith(".gguf") and not file.startswith("small"):
        sha256 = hashlib.sha256(data).hexdigest()
        return {"blobId": "b" * 40, "lfs": {"sha256": sha256, "size": len(data), "pointerSize": 100}}
    return {"blobId": hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()}
