"""Against a small HTTP server that speaks the hub's protocol on loopback: no network, no mocks of the client."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from mmrank.embed.hub import fetch_file, quiet
from mmrank.embed.registry import default_model, load_embedder
from mmrank.errors import EmbedderError, UsageError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OLD = "89abcdef0123456789abcdef0123456789abcdef"


class _Hub(ThreadingHTTPServer):
    """`files`: path under /ORG/NAME/resolve/REVISION/ -> bytes. `log`: what was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[tuple[str, str, str], bytes] = {}
        self.log: list[str] = []

    def put(self, repo: str, name: str, content: bytes, revision: str = "main") -> None:
        for known_as in {revision, OLD if revision == "old" else COMMIT}:
            self.files[repo, known_as, name] = content


class _Handler(BaseHTTPRequestHandler):
    server: _Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        repo, _, rest = self.path.lstrip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        self.server.log.append(f"{self.command} {repo} {revision} {name}")
        content = self.server.files.get((repo, revision, name))
        if content is None:
            known = any(repo == there for there, _, _ in self.server.files)
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", OLD if revision in ("old", OLD) else COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[_Hub]:
    server = _Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    for name, value in {
        "ENDPOINT": endpoint,
        "HF_HUB_OFFLINE": False,
        "HUGGINGFACE_CO_URL_TEMPLATE": endpoint + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setattr(constants, name, value)
    yield server
    server.shutdown()
    server.server_close()


def test_first_name_there_is_then_the_cache_without_asking(hub: _Hub) -> None:
    hub.put("org/clip", "old.bin", b"weights")
    first = fetch_file("org/clip", ["new.safetensors", "old.bin"], revision=None, advice="")
    assert first.read_bytes() == b"weights"
    assert first.parent.name == COMMIT
    asked = len(hub.log)
    assert fetch_file("org/clip", ["new.safetensors", "old.bin"], revision=None, advice="") == first
    assert len(hub.log) == asked


def test_a_revision_is_pinned(hub: _Hub) -> None:
    hub.put("org/clip", "w", b"now")
    hub.put("org/clip", "w", b"then", revision="old")
    assert fetch_file("org/clip", ["w"], revision=None, advice="").read_bytes() == b"now"
    assert fetch_file("org/clip", ["w"], revision="old", advice="").read_bytes() == b"then"


def test_missing_file_missing_repository_bad_name(hub: _Hub) -> None:
    hub.put("org/clip", "w", b"x")
    with pytest.raises(EmbedderError, match=r"org/clip has none of the files a, b\. Advice"):
        fetch_file("org/clip", ["a", "b"], revision=None, advice="Advice")
    with pytest.raises(EmbedderError, match=r"The hub refused \(.*404.*Advice"):
        fetch_file("org/nothing", ["a"], revision=None, advice="Advice")
    with pytest.raises(UsageError, match="ORG/NAME"):
        fetch_file("not/a/repo", ["a"], revision=None, advice="")


def test_a_model_from_the_hub(hub: _Hub, tiny_clip: Path) -> None:
    for file in tiny_clip.iterdir():
        hub.put("org/tiny", file.name, file.read_bytes())
    embedder = load_embedder("open_clip:hf-hub:org/tiny", device="cpu")
    local = load_embedder(str(tiny_clip), device="cpu")
    assert embedder.spec == "open_clip:hf-hub:org/tiny"
    assert embedder.fingerprint == local.fingerprint


def test_a_host_that_does_not_resolve_is_said_at_once(hub: _Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    monkeypatch.setattr("urllib.request.getproxies", dict)
    with pytest.raises(EmbedderError, match=r"hub\.invalid cannot be reached \(.+\)\. Advice"):
        fetch_file("org/clip", ["a"], revision=None, advice="Advice")
    assert hub.log == []


@pytest.mark.parametrize("spec", [default_model().spec, "siglip-b-16", "open_clip:hf-hub:org/clip"])
def test_offline_error_says_how_to_get_real_weights(spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EmbedderError) as caught:
        load_embedder(spec, device="cpu")
    message = str(caught.value)
    for part in ("HF_HUB_OFFLINE is set", "hf download ", "open_clip:/path/to/FOLDER", "HF_HUB_CACHE"):
        assert part in message
    assert "toybox" not in message
    assert ("605 MB" in message) == (spec == default_model().spec)
    assert ("tokenizer.json" in message) == (spec == "siglip-b-16")


def test_quiet_restores_levels_and_handlers(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("mmrank.test.noisy")
    logger.setLevel(logging.INFO)
    handlers = list(logging.getLogger().handlers)
    with quiet("mmrank.test.noisy"):
        logging.getLogger("mmrank.test.noisy.child").error("not shown")
        assert not logging.getLogger("mmrank.test.noisy.child").isEnabledFor(logging.ERROR)
    assert logger.level == logging.INFO
    assert logging.getLogger().handlers == handlers
