"""The judge over loopback HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from mmrank.toybox.judge.errors import RefusedError
from mmrank.toybox.judge.flow import Reader
from mmrank.toybox.judge.known import read_knowledge
from mmrank.toybox.judge.noise import Noise
from mmrank.toybox.judge.service import CONTEXT, MODEL, Caps, Service, content_of

HOST = "127.0.0.1"
LARGEST_REQUEST = 256 * 2**20
"""Bytes; 60 pictures of a megapixel as PNG are about half of it."""


@dataclass(frozen=True, slots=True)
class TruthServer:
    """A running judge. `url` is the base URL, with ``/v1``; `str` gives it too."""

    url: str
    service: Service

    def __str__(self) -> str:
        return self.url

    @property
    def spec(self) -> str:
        """The spec by which `load_mllm` finds it."""
        return f"openai:{self.url}#{MODEL}"

    @property
    def counts(self) -> dict[str, int]:
        """What was served so far; see `Service.counts`."""
        return self.service.snapshot()

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why requests were refused with HTTP 400, the latest last."""
        return tuple(self.service.refusals)


@contextmanager
def serve_truth(
    source: str | Path | Reader | None = None,
    *,
    noise: Noise | None = None,
    port: int = 0,
    max_logprobs: int = 20,
    max_images: int | None = None,
) -> Iterator[TruthServer]:
    """Serve the truth about a toy collection on loopback until the block is left.

    `source`: the folder that `write_toybox` wrote, a `Reader` made before (reading a collection again takes a second
    or more), or None for the bundled sample. `port` 0: any free one. `max_logprobs`, `max_images`: caps that are
    refused in vLLM's words. Endpoints: ``/v1/models``, ``/v1/chat/completions``, ``/score`` and ``/rerank`` with and
    without ``/v1``.

    Raises `ToyboxError` when the folder holds no toy collection.

    >>> import urllib.request
    >>> with serve_truth() as server:
    ...     json.load(urllib.request.urlopen(f"{server}/models"))["data"][0]["id"]
    'toybox-truth'
    """
    reader = source if isinstance(source, Reader) else Reader(read_knowledge(source))
    service = Service(reader, noise or Noise(), Caps(logprobs=max_logprobs, images=max_images))
    closing = threading.Event()
    http = _Server((HOST, port), partial(_Handler, service, closing))
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield TruthServer(f"http://{HOST}:{http.server_address[1]}/v1", service)
    finally:
        closing.set()
        http.shutdown()
        http.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client that keeps its connection open must not keep the server
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no news; nothing else is raised here, see `_Handler.do_POST`."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def __init__(self, service: Service, closing: threading.Event, *args: Any) -> None:
        self._service, self._closing = service, closing
        super().__init__(*args)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: `Service.counts` tells what was served."""

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path in {"/v1/models", "/models"}:
            row = {"id": MODEL, "object": "model", "owned_by": "mmrank", "max_model_len": CONTEXT}
            self._send(HTTPStatus.OK, {"object": "list", "data": [row]})
        elif path in {"/health", "/v1/health"}:
            self._send(HTTPStatus.OK, {})
        else:
            self._fail(HTTPStatus.NOT_FOUND, f"there is nothing at {path}")

    def do_POST(self) -> None:
        name = self.path.split("?")[0].removeprefix("/v1").strip("/")
        routes: dict[str, Callable[[dict[str, Any], bytes], dict[str, Any]]] = {
            "chat/completions": self._service.chat,
            "score": self._service.score,
            "rerank": self._service.rerank,
        }
        raw = self._read()
        if raw is None:
            return
        if name not in routes:
            self._fail(HTTPStatus.NOT_FOUND, f"there is nothing at {self.path}")
            return
        self._service.count(name.partition("/")[0])
        try:
            body = json.loads(raw)
            if not isinstance(body, dict):
                raise RefusedError("the body is no JSON object")
            if body.get("model", MODEL) != MODEL:
                self._fail(HTTPStatus.NOT_FOUND, f"The model `{body['model']}` does not exist. There is: {MODEL}")
                return
            self._serve(routes[name], body, content_of(raw))
        except (RefusedError, json.JSONDecodeError, UnicodeDecodeError) as error:
            self._service.refused(str(error))
            self._fail(HTTPStatus.BAD_REQUEST, str(error))
        except OSError:
            self.close_connection = True  # the client hung up
        except Exception as error:  # noqa: BLE001 - a fault of the judge must reach the client, not end its thread
            why = f"the judge broke: {type(error).__name__}: {error}"
            self._service.refused(why)
            self._fail(HTTPStatus.INTERNAL_SERVER_ERROR, why)

    def _serve(
        self, answer: Callable[[dict[str, Any], bytes], dict[str, Any]], body: dict[str, Any], content: bytes
    ) -> None:
        noise, fault = self._service.noise, self._service.fault(content)
        if fault == "timeout":
            self._service.count("timeout")
            self._closing.wait(noise.hold)
            self.close_connection = True
            return
        if fault == "server_error":
            self._service.count("server_error")
            code = noise.chance(content, "code").choice(
                (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE)
            )
            self._fail(code, "a fault on purpose; send the request again")
            return
        made = answer(body, content)
        if noise.delay:
            self._closing.wait(noise.delay)
        self._send(HTTPStatus.OK, made)

    def _read(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > LARGEST_REQUEST:
            self.close_connection = True
            self._fail(HTTPStatus.LENGTH_REQUIRED, f"Content-Length is {length!r}; send up to {LARGEST_REQUEST} bytes")
            return None
        return self.rfile.read(int(length))

    def _fail(self, status: HTTPStatus, message: str) -> None:
        kind = "BadRequestError" if status == HTTPStatus.BAD_REQUEST else status.phrase
        self._send(status, {"error": {"message": message, "type": kind, "param": None, "code": int(status)}})

    def _send(self, status: HTTPStatus, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()
