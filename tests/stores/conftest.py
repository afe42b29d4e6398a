"""A real S3-compatible server on loopback (moto's), and a proxy before it that counts, stalls, cuts and refuses."""

from __future__ import annotations

import http.client
import io
import os
import runpy
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmrank.embed.base import Embedder
from mmrank.media import remote, remote_copies, remote_stores, remote_tries

_GIVEN = Path(__file__).parents[1] / "index" / "given.py"
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of moto's server, in a process of its own."""
    port = _free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:
        address = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{address}/moto-api/data.json", timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, "moto's server did not start"
                time.sleep(0.1)
        yield address
        process.terminate()


Fault = Callable[[str, str], str | None]
"""(method, path) -> None, or what to do to that answer: "stall", "cut", "500", "403"."""


@dataclass
class Proxy:
    """A server before the server. `seen`: (method, path with query) of every request, in order."""

    address: str
    seen: list[tuple[str, str]] = field(default_factory=list)
    fault: Fault = lambda method, path: None
    released: threading.Event = field(default_factory=threading.Event)

    def got(self, suffix: str) -> int:
        """How often files whose names end so were fetched."""
        return sum(method == "GET" and path.partition("?")[0].endswith(suffix) for method, path in self.seen)


def _handler(proxy: Proxy, target: str) -> type[BaseHTTPRequestHandler]:
    host, _, port = target.removeprefix("http://").partition(":")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            proxy.seen.append((self.command, self.path))
            fault = proxy.fault(self.command, self.path)
            if fault == "stall":
                proxy.released.wait(30)
                self.close_connection = True
                return
            if fault in ("500", "403"):
                self._answer(int(fault), {}, b"<Error><Code>InternalError</Code></Error>" if fault == "500" else b"")
                return
            link = http.client.HTTPConnection(host, int(port), timeout=30)
            link.request(self.command, self.path, body, dict(self.headers.items()))
            answer = link.getresponse()
            data = answer.read()
            link.close()
            headers = {k: v for k, v in answer.getheaders() if k.lower() not in _HOP}
            if self.command == "HEAD":
                headers["Content-Length"] = answer.getheader("Content-Length") or "0"
            self._answer(answer.status, headers, data, cut=fault == "cut")

        def _answer(self, status: int, headers: dict[str, str], data: bytes, *, cut: bool = False) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data[: len(data) // 2] if cut else data)
            self.close_connection = self.close_connection or cut

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815 - the names http.server calls

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


@pytest.fixture
def proxy(server: str) -> Iterator[Proxy]:
    found = Proxy("")
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(found, server)) as http_server:
        http_server.daemon_threads = True
        found.address = f"http://127.0.0.1:{http_server.server_address[1]}"
        threading.Thread(target=http_server.serve_forever, daemon=True).start()
        yield found
        found.released.set()
        http_server.shutdown()


@dataclass
class S3:
    """A client straight to the server, past the proxy."""

    client: Any
    direct: str

    def put(self, bucket: str, files: Mapping[str, bytes]) -> None:
        if bucket not in {one["Name"] for one in self.client.list_buckets()["Buckets"]}:
            self.client.create_bucket(Bucket=bucket)
        for key, data in files.items():
            self.client.put_object(Bucket=bucket, Key=key, Body=data)

    def remove(self, bucket: str, key: str) -> None:
        self.client.delete_object(Bucket=bucket, Key=key)

    def names(self, bucket: str) -> list[str]:
        return [one["Key"] for one in self.client.list_objects_v2(Bucket=bucket).get("Contents", [])]


@pytest.fixture
def s3(server: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, new_process: Callable[[], None]) -> Iterator[S3]:
    """What is tested goes through the proxy, with credentials from the environment."""
    import boto3

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in environment(proxy.address).items():
        monkeypatch.setenv(name, value)
    new_process()
    client = boto3.client(
        "s3", endpoint_url=server, aws_access_key_id="k", aws_secret_access_key="s", region_name="us-east-1"
    )
    yield S3(client, server)
    urllib.request.urlopen(urllib.request.Request(f"{server}/moto-api/reset", method="POST"), timeout=10).close()


def environment(address: str) -> dict[str, str]:
    """What a user sets."""
    return {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": address,
        "MMRANK_REMOTE_TIMEOUT": "5",
    }


@pytest.fixture
def new_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """As in a new process: no connections, nothing allowed, nothing known; and pauses that a test can wait for."""

    def forget_all() -> None:
        monkeypatch.setattr(remote_stores, "_stores", {})
        monkeypatch.setattr(remote, "_allowed", set())
        monkeypatch.setattr(remote, "_stats", remote._Stats())
        monkeypatch.setattr(remote_copies, "_copies", remote_copies.Copies())
        monkeypatch.setattr(remote_tries, "FIRST_PAUSE", 0.02)

    return forget_all


@pytest.fixture(scope="session")
def jpeg() -> Callable[..., bytes]:
    def made(red: int, size: tuple[int, int] = (48, 40)) -> bytes:
        out = io.BytesIO()
        Image.new("RGB", size, (red, 40, 80)).save(out, "JPEG")
        return out.getvalue()

    return made


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    """One that hashes words and looks at colours: no model is loaded to test what carries the bytes."""
    made: Embedder = runpy.run_path(str(_GIVEN))["WordHashEmbedder"]()
    return made
