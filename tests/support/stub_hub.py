"""A stand-in for the Hugging Face Hub on 127.0.0.1: serves directories as models and counts the bytes it sends."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

_API = re.compile(r"/api/models/(?P<model>[^/]+(?:/[^/]+)??)(?:/revision/(?P<revision>.+))?")
_RESOLVE = re.compile(r"/(?P<model>[^/]+(?:/[^/]+)??)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")


@dataclass
class StubModel:
    """A model of the stub: its files and how it is guarded."""

    folder: Path
    pipeline_tag: str | None = "image-classification"
    library: str | None = "transformers"
    gated: bool = False
    token: str | None = None
    branches: tuple[str, ...] = ("main",)

    @property
    def commit(self) -> str:
        """A commit id that follows the names and sizes of the files."""
        names = sorted((item.name, item.stat().st_size) for item in self.folder.iterdir())
        return hashlib.sha256(repr(names).encode()).hexdigest()[:40]


@dataclass
class StubHub:
    """Serve models until the `with` block ends; point HF_ENDPOINT at `url`."""

    models: dict[str, StubModel] = field(default_factory=dict)
    broken: bool = False
    bytes_sent: int = 0
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)

    def __enter__(self) -> StubHub:
        """Start serving on a free port."""
        hub = self

        class Handler(_Handler):
            stub = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._lock = threading.Lock()
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The endpoint, e.g. http://127.0.0.1:43211."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def count(self, sent: int) -> None:
        """Add bytes of a response body."""
        with self._lock:
            self.bytes_sent += sent

    def downloaded(self) -> set[str]:
        """Return the names of the files whose contents were asked for."""
        return {path.rsplit("/", 1)[-1] for method, path, _ in self.requests if method == "GET" and "/resolve/" in path}


class _Handler(BaseHTTPRequestHandler):
    stub: StubHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer with a body."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self._answer(body=False)

    def _answer(self, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.stub.requests.append((self.command, path, self.headers.get("Range", "")))
        self.stub.authorizations.append(self.headers.get("Authorization", ""))
        if self.stub.broken:
            return self._send(503, {}, b"", body)
        match = _API.fullmatch(path) or _RESOLVE.fullmatch(path)
        model = self.stub.models.get(match["model"]) if match else None
        if model is None:
            return self._error(401, "RepoNotFound", "Invalid username or password.", body)
        if model.gated and self.headers.get("Authorization") != f"Bearer {model.token}":
            status = 403 if self.headers.get("Authorization") else 401
            return self._error(status, "GatedRepo", "Access to this model is restricted.", body)
        if match["revision"] not in (None, model.commit, *model.branches):
            return self._error(404, "RevisionNotFound", "Invalid rev id", body)
        if "file" not in match.groupdict():
            return self._send(200, {"Content-Type": "application/json"}, self._info(match["model"], model), body)
        return self._file(model, match["file"], body)

    def _info(self, name: str, model: StubModel) -> bytes:
        return json.dumps(
            {
                "_id": "0",
                "id": name,
                "modelId": name,
                "sha": model.commit,
                "private": False,
                "gated": model.gated,
                "downloads": 0,
                "likes": 0,
                "tags": [],
                "pipeline_tag": model.pipeline_tag,
                "library_name": model.library,
                "siblings": [{"rfilename": item.name} for item in sorted(model.folder.iterdir())],
            }
        ).encode()

    def _file(self, model: StubModel, name: str, body: bool) -> None:
        file = model.folder / name
        if "/" in name or not file.is_file():
            return self._error(404, "EntryNotFound", "Entry not found", body)
        size = file.stat().st_size
        tag = hashlib.sha256(f"{file} {size} {file.stat().st_mtime_ns}".encode()).hexdigest()
        headers = {
            "Content-Type": "application/octet-stream",
            "Accept-Ranges": "bytes",
            "X-Repo-Commit": model.commit,
            "ETag": f'"{tag[:40]}"',
        }
        status, first, last = 200, 0, size - 1
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted:
            status, first, last = 206, int(wanted[1]), min(int(wanted[2] or size - 1), size - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        self._start(status, headers, last - first + 1)
        if body:
            with file.open("rb") as stream:
                stream.seek(first)
                left = last - first + 1
                while left:
                    piece = stream.read(min(left, 2**20))
                    self.wfile.write(piece)
                    self.stub.count(len(piece))
                    left -= len(piece)

    def _error(self, status: int, code: str, message: str, body: bool) -> None:
        self._send(status, {"X-Error-Code": code, "X-Error-Message": message}, b"", body)

    def _start(self, status: int, headers: dict[str, str], length: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _send(self, status: int, headers: dict[str, str], data: bytes, body: bool) -> None:
        self._start(status, headers, len(data))
        if body:
            self.wfile.write(data)
            self.stub.count(len(data))
