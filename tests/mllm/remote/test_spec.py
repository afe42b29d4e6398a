"""Specs of servers, and keys that are nowhere to be seen."""

from __future__ import annotations

import json
import logging

import pytest

from mmrank.errors import MllmError, UsageError
from mmrank.mllm.base import MLLM, Failure, Sampling
from mmrank.mllm.remote import load_remote
from mmrank.mllm.remote.spec import parse_spec
from mmrank.mllm.transcript import Recording
from tests.servers.made_up import prompt
from tests.servers.openai_server import OpenAIServer

KEY = "sk-very-secret-0123456789"


def test_a_spec_is_a_base_url_and_a_model() -> None:
    server = parse_spec("openai:https://host:8443/api/v1/#org/name:7b")
    assert (server.base_url, server.model) == ("https://host:8443/api/v1", "org/name:7b")
    assert server.root_url == "https://host:8443/api"
    assert parse_spec(server.spec) == server


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("openai:localhost:8000/v1#m", "does not name a server"),
        ("openai:ftp://host/v1#m", "does not name a server"),
        ("openai:http://host:port/v1#m", "does not name a server"),
        ("http://host/v1#m", "does not name a server"),
        ("openai:http://host/v1", "does not name a model"),
        ("openai:http://host/v1# ", "does not name a model"),
    ],
)
def test_other_forms_are_refused_with_the_form(spec: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        load_remote(spec)
    assert "openai:http://localhost:8000/v1#" in str(caught.value)


@pytest.mark.parametrize(
    "url", [f"http://user:{KEY}@host/v1", f"https://{KEY}@host/v1", f"http://host/v1?api_key={KEY}"]
)
def test_credentials_in_the_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="MMRANK_API_KEY") as caught:
        load_remote(f"openai:{url}#m")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"retries": -1},
        {"deadline": 0},
        {"read_timeout": -1},
        {"capabilities": ["sight"]},
        {"restrict": "grammar"},
        {"pair_scale": "percent"},
        {"temperature": 1},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        load_remote("openai:http://host/v1#m", **options)  # type: ignore[arg-type]


def test_a_key_that_no_header_can_hold_is_said_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMRANK_API_KEY", "sk-\nfoo-é")
    with pytest.raises(MllmError, match="MMRANK_API_KEY") as caught:
        load_remote("openai:http://host/v1#m")
    assert "foo" not in str(caught.value)


def test_the_key_travels_and_shows_nowhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-other")
    monkeypatch.setenv("MMRANK_API_KEY", KEY)
    with OpenAIServer(lambda request: f"Your key is {KEY}.", key=KEY) as server:
        mllm = Recording(load_remote(server.spec), tmp_path / "calls.jsonl")
        assert isinstance(mllm, MLLM)
        assert not isinstance(mllm.generate([prompt("hi")], Sampling())[0], Failure)
        # Now the server refuses it, and repeats it in its refusal, as some do.
        server.key = "another"
        refused = mllm.generate([prompt("hi")], Sampling())[0]
        assert isinstance(refused, Failure)
        assert "Incorrect API key provided: [key]" in refused.error
        with pytest.raises(MllmError, match="MMRANK_API_KEY") as caught:
            _ = load_remote(server.spec).capabilities
    transcript = (tmp_path / "calls.jsonl").read_text()
    assert '"result"' in transcript
    assert '"failure"' in transcript
    assert "[key]" in transcript
    for shown in (repr(mllm), repr(vars(mllm)), mllm.spec, str(caught.value), caplog.text, transcript, str(refused)):
        assert KEY not in shown
    assert KEY not in json.dumps(server.requests)


def test_a_key_over_plain_http_is_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_remote("openai:http://far.example/v1#m").warning is None
    monkeypatch.setenv("MMRANK_API_KEY", KEY)
    assert "unencrypted to far.example" in (load_remote("openai:http://far.example/v1#m").warning or "")
    assert load_remote("openai:https://far.example/v1#m").warning is None
    assert load_remote("openai:http://127.0.0.1:8000/v1#m").warning is None
