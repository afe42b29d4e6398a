"""An OpenAI-compatible server on loopback: real HTTP, answers by a function, and faults on demand.

    with OpenAIServer(lambda request: "[2] > [1]") as server:
        mllm = load_remote(server.spec)

It refuses what vLLM refuses (unknown model, wrong key, too many pictures, too many log-probabilities), in vLLM's words.
`answer` gets the request's JSON and gives a text, an `Answered`, or a whole response. `score` gets one query's and one
document's content and gives a probability. Requests are kept in `requests`, the backend's own probes in `probes`.
`keeps_pictures`: how many named pictures are kept for requests that leave them out, oldest dropped, as vLLM does.
`max_logprobs`: None has no cap, 0 answers without any, as transformers serve does.
"""

from __future__ import annotations

import base64
import io
import json
import random
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

PROBE = "Answer with one word: yes or no."
"""The text of mmrank's probes (checked against mmrank's own in the tests of this server)."""

FILLER = "·{}"
"""Tokens that fill a list of log-probabilities up to the number asked for, as a real vocabulary would."""

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What a model says: its text, and the log-probabilities of its first token."""

    text: str = ""
    logprobs: Mapping[str, float] = field(default_factory=dict)
    finish: str = "stop"
    tokens_out: int | None = None


@dataclass(kw_only=True)
class Faults:
    """What goes wrong, each with a probability, drawn for every request from `seed`.

    `hang`: the connection stays silent for `hang_seconds`. `drop`: it is closed without a response. `torn`: it is
    closed in the middle of one. `garbage`: a 200 that is not JSON. `empty`: a 200 without choices. `status`: an error
    of status `code`. `first`: only the first so many requests have faults (None: all).
    """

    hang: float = 0.0
    drop: float = 0.0
    torn: float = 0.0
    garbage: float = 0.0
    empty: float = 0.0
    status: float = 0.0
    code: int = 503
    retry_after: str | None = None
    slow_seconds: float = 0.0
    hang_seconds: float = 5.0
    first: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._drawn = 0
        self._lock = threading.Lock()

    def draw(self) -> str | None:
        """The fault of the next request."""
        with self._lock:
            self._drawn += 1
            if self.first is not None and self._drawn > self.first:
                return None
            at = self._random.random()
            for name in ("hang", "drop", "torn", "garbage", "empty", "status"):
                at -= getattr(self, name)
                if at < 0:
                    return name
        return None


class OpenAIServer:
    """The server; a context manager, or `start` and `stop`. After `stop`, `start` takes the same port again."""

    def __init__(
        self,
        answer: Callable[[Json], str | Answered | Json] | None,
        *,
        score: Callable[[Any, Any, str | None], float] | None = None,
        count: Callable[[Json], int] | None = None,
        tokenize: Callable[[str], list[int]] | None = None,
        model: str = "truth",
        key: str | None = None,
        max_logprobs: int | None = 20,
        max_images: int | None = None,
        max_model_len: int | None = None,
        unknown_fields: Sequence[str] = (),
        keeps_pictures: int | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.answer = answer
        self.score = score
        self.count = count or approximate_tokens
        self.tokenize = tokenize
        self.model = model
        self.key = key
        self.max_logprobs = max_logprobs
        self.max_images = max_images
        self.max_model_len = max_model_len
        self.unknown_fields = unknown_fields
        self.kept: OrderedDict[str, Json] = OrderedDict()
        self.keeps_pictures = keeps_pictures
        self.faults = faults or Faults()
        self.requests: list[Json] = []
        self.probes: list[Json] = []
        self.paths: list[str] = []
        self.sizes: list[int] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._port = 0
        self._http: ThreadingHTTPServer | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def spec(self) -> str:
        return f"openai:{self.base_url}#{self.model}"

    def __enter__(self) -> OpenAIServer:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> OpenAIServer:
        server = self

        class Handler(_Handler):
            owner = server

        class Http(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Broken pipes are what these tests are about; nothing is printed."""

        self._http = Http(("127.0.0.1", self._port), Handler)
        self._port = self._http.server_address[1]
        # poll_interval: stop() waits for one.
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None

    # What a request gets.

    def get(self, path: str) -> tuple[int, Json]:
        if path != "/v1/models":
            return 404, {"detail": "Not Found"}
        row: Json = {"id": self.model, "object": "model", "owned_by": "tests"}
        if self.max_model_len:
            row["max_model_len"] = self.max_model_len
        return 200, {"object": "list", "data": [row]}

    def post(self, path: str, request: Json) -> tuple[int, Json | list[Json]]:
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self.paths.append(path)
            (self.probes if path == "/tokenize" or _is_probe(request) else self.requests).append(request)
        try:
            if path == "/tokenize" and self.tokenize is not None:
                tokens = self.tokenize(request["prompt"])
                return 200, {"tokens": tokens, "count": len(tokens)}
            if request.get("model") != self.model:
                return _error(404, f"The model `{request.get('model')}` does not exist.")
            unknown = {name for name in self.unknown_fields if name in request}
            if unknown:
                return 422, {"detail": f"Unexpected fields in the request: {unknown}"}
            if path == "/v1/chat/completions" and self.answer is not None:
                if missing := self._put_in(request):
                    return _error(400, f"Expected a cached item for mm_hash='{missing}'")
                return self._chat(request)
            if path == "/score" and self.score is not None:
                return self._score(request)
            return 404, {"detail": "Not Found"}
        finally:
            with self._lock:
                self._at_once -= 1

    def _put_in(self, request: Json) -> str | None:
        """Put pictures that were left out where they belong; the name of one that is not there."""
        for message in request["messages"]:
            for block in message["content"] if isinstance(message["content"], list) else ():
                name = block.get("uuid")
                if block["type"] != "image_url" or name is None or self.keeps_pictures is None:
                    continue
                with self._lock:
                    if block["image_url"] is None and name not in self.kept:
                        return str(name)
                    block["image_url"] = block["image_url"] or self.kept[name]
                    self.kept[name] = block["image_url"]
                    self.kept.move_to_end(name)
                    while len(self.kept) > self.keeps_pictures:
                        self.kept.popitem(last=False)
        return None

    def _chat(self, request: Json) -> tuple[int, Json]:
        shown = len(pictures(request))
        if self.max_images is not None and shown > self.max_images:
            return _error(400, f"At most {self.max_images} image(s) may be provided in one prompt.")
        asked = request.get("top_logprobs") or 0
        if request.get("logprobs") and self.max_logprobs and asked > self.max_logprobs:
            allowed = f"which is greater than max allowed: {self.max_logprobs}"
            return _error(400, f"Requested sample logprobs of {asked}, {allowed}")
        tokens_in = self.count(request)
        if self.max_model_len and tokens_in > self.max_model_len:
            return _error(400, f"This model's maximum context length is {self.max_model_len} tokens.")
        assert self.answer is not None
        probe = Answered(text="yes", logprobs={"yes": -0.5, "no": -1.0})
        said = probe if _is_probe(request) else self.answer(request)
        if isinstance(said, dict):
            return 200, said
        if isinstance(said, str):
            said = Answered(text=said)
        return 200, completion(request, said, tokens_in=tokens_in, with_logprobs=self.max_logprobs != 0)

    def _score(self, request: Json) -> tuple[int, Json]:
        assert self.score is not None
        queries, documents = _as_list(request["text_1"]), _as_list(request["text_2"])
        if len(queries) == 1:
            queries = queries * len(documents)
        instruction = request.get("instruction")
        rows = [
            {"index": i, "object": "score", "score": self.score(_content(q), _content(d), instruction)}
            for i, (q, d) in enumerate(zip(queries, documents, strict=True))
        ]
        usage = {"prompt_tokens": 10 * len(rows), "total_tokens": 10 * len(rows), "completion_tokens": 0}
        return 200, {"object": "list", "model": self.model, "data": rows, "usage": usage}


class _Handler(BaseHTTPRequestHandler):
    owner: OpenAIServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        if self._allowed():
            self._send(*self.owner.get(self.path))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.owner.sizes.append(len(body))
        request = json.loads(body)
        if not self._allowed():
            return
        faults = self.owner.faults
        fault = None if _is_probe(request) else faults.draw()
        if faults.slow_seconds:
            time.sleep(faults.slow_seconds)
        if fault == "hang":
            time.sleep(faults.hang_seconds)
        if fault in ("hang", "drop"):
            self._hang_up()
        elif fault == "torn":
            self._send(200, {"choices": [{"message": {"content": "never whole"}}]}, torn=True)
        elif fault == "garbage":
            self._send(200, b"<html>502 from a proxy, said as 200</html>")
        elif fault == "empty":
            self._send(200, {"id": "x", "choices": []})
        elif fault == "status":
            after = {"Retry-After": faults.retry_after} if faults.retry_after else {}
            self._send(*_error(faults.code, "the server is in trouble"), headers=after)
        else:
            try:
                status, body = self.owner.post(self.path, request)
            except Exception as error:  # noqa: BLE001 - a fault of a test's own answer must reach the test as words
                status, body = _error(500, f"{type(error).__name__}: {error}")
            self._send(status, body)

    def _allowed(self) -> bool:
        key = self.owner.key
        given = self.headers.get("Authorization", "")
        if key is None or given == f"Bearer {key}":
            return True
        self._send(*_error(401, f"Incorrect API key provided: {given.removeprefix('Bearer ')}"))
        return False

    def _send(self, status: int, body: Any, headers: Mapping[str, str] | None = None, torn: bool = False) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if torn else data)
        if torn:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


def completion(request: Json, said: Answered, *, tokens_in: int, with_logprobs: bool = True) -> Json:
    """A chat completion as vLLM writes it."""
    choice: Json = {"index": 0, "message": {"role": "assistant", "content": said.text}, "finish_reason": said.finish}
    if request.get("logprobs") and with_logprobs:
        listed = sorted(said.logprobs.items(), key=lambda entry: -entry[1])[: request.get("top_logprobs") or 0]
        while len(listed) < (request.get("top_logprobs") or 0):
            listed.append((FILLER.format(len(listed)), -40.0))
        rows = [{"token": token, "logprob": value, "bytes": list(token.encode())} for token, value in listed]
        choice["logprobs"] = {"content": [rows[0] | {"top_logprobs": rows}]}
    out = said.tokens_out if said.tokens_out is not None else len(said.text.split())
    usage = {"prompt_tokens": tokens_in, "completion_tokens": out, "total_tokens": tokens_in + out}
    return {
        "id": "chatcmpl-test",
        "object": "chat.completion",
        "model": request["model"],
        "choices": [choice],
        "usage": usage,
    }


def _error(status: int, words: str) -> tuple[int, Json]:
    return status, {"error": {"message": words, "type": "BadRequestError", "param": None, "code": status}}


# What a request holds.


def parts(request: Json) -> list[str | Image.Image]:
    """All texts and pictures of a request in the order the model sees them; pictures decoded."""
    found: list[str | Image.Image] = []
    for message in request["messages"]:
        found += content_parts(message["content"])
    return found


def content_parts(content: Any) -> list[str | Image.Image]:
    """The texts and pictures of one message's content, or of one side of a score request."""
    if isinstance(content, str):
        return [content]
    return [
        block["text"] if block["type"] == "text" else decoded(block["image_url"]["url"])
        for block in content
        if block["type"] in ("text", "image_url")
    ]


def pictures(request: Json) -> list[Image.Image]:
    """The pictures of a request."""
    return [part for part in parts(request) if isinstance(part, Image.Image)]


def text_of(request: Json) -> str:
    """The words of a request, pictures as ``<image>``."""
    return "".join(part if isinstance(part, str) else "<image>" for part in parts(request))


def decoded(url: str) -> Image.Image:
    """The picture of a data URL."""
    image = Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1])))
    image.load()
    return image


def approximate_tokens(request: Json) -> int:
    """One token for four characters or 1,024 pixels; an open assistant turn adds its own tokens, a closed one five."""
    last = request["messages"][-1]
    tokens = sum(len(p) // 4 if isinstance(p, str) else p.width * p.height // 1024 for p in parts(request))
    if last["role"] == "assistant":
        tokens += 1 if request.get("continue_final_message") else 5
    return 4 * len(request["messages"]) - (4 if last["role"] == "assistant" else 0) + tokens


def _is_probe(request: Json) -> bool:
    messages = request.get("messages") or ()
    sides = (request.get("text_1", request.get("query")), request.get("text_2", request.get("documents")))
    return sides == ("yes", ["yes"]) or any(m["role"] == "user" and m["content"] == PROBE for m in messages)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _content(side: Any) -> Any:
    return side["content"] if isinstance(side, dict) else side


def changed(server: OpenAIServer, **faults: Any) -> None:
    """Other faults from now on."""
    server.faults = replace(server.faults, **faults)
