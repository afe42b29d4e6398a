"""Faults on the way: what passes is tried again, what does not is said, and nothing is made up."""

from __future__ import annotations

import threading
import time

import pytest

from mmrank.mllm.base import Failure, Generated, Sampling
from mmrank.mllm.remote import load_remote
from mmrank.mllm.remote.backend import RemoteMllm
from mmrank.mllm.remote.calls import _asked_wait, server_words
from tests.servers.made_up import prompt
from tests.servers.openai_server import Faults, OpenAIServer


def ready(server: OpenAIServer, **options: object) -> RemoteMllm:
    return load_remote(server.spec, capabilities=["generate"], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("fault", ["drop", "torn", "garbage", "status"])
def test_a_passing_fault_is_tried_again(fault: str) -> None:
    with OpenAIServer(lambda request: "ok", faults=Faults(first=2, **{fault: 1.0})) as server:  # type: ignore[arg-type]
        (result,) = ready(server).generate([prompt("a")], Sampling())
    assert isinstance(result, Generated)
    assert result.text == "ok"


def test_silence_is_tried_again() -> None:
    with OpenAIServer(lambda request: "ok", faults=Faults(first=1, hang=1.0, hang_seconds=1.0)) as server:
        (result,) = ready(server, read_timeout=0.2).generate([prompt("a")], Sampling())
    assert isinstance(result, Generated)


@pytest.mark.parametrize("code", [408, 409, 425, 429, 500, 502, 503, 504])
def test_statuses_that_pass(code: int) -> None:
    with OpenAIServer(lambda request: "ok", faults=Faults(status=1.0, code=code)) as server:
        (result,) = ready(server, retries=2).generate([prompt("a")], Sampling())
        assert isinstance(result, Failure)
        assert result.retry
        assert result.retries == 2
        assert f"HTTP {code}" in result.error
        assert "the server is in trouble" in result.error
        assert "tried 3 times" in result.error


@pytest.mark.parametrize("code", [400, 401, 403, 404, 422, 301])
def test_statuses_that_do_not_pass_are_not_repeated(code: int) -> None:
    faults = Faults(status=1.0, code=code)
    with OpenAIServer(lambda request: "ok", faults=faults) as server:
        (result,) = ready(server).generate([prompt("a")], Sampling())
        assert isinstance(result, Failure)
        assert (result.retry, result.retries) == (False, 0)
        assert f"HTTP {code}" in result.error
        assert faults._drawn == 1


def test_retry_after_is_heeded() -> None:
    faults = Faults(status=1.0, code=429, retry_after="1", first=1)
    with OpenAIServer(lambda request: "ok", faults=faults) as server:
        started = time.monotonic()
        (result,) = ready(server).generate([prompt("a")], Sampling())
    assert isinstance(result, Generated)
    assert time.monotonic() - started >= 1


def test_retry_after_takes_seconds_and_dates() -> None:
    assert _asked_wait("2.5") == 2.5
    assert _asked_wait("999999") == 120
    assert _asked_wait("soon") is None
    assert _asked_wait("Wed, 21 Oct 2015 07:28:00 GMT") is None


def test_a_deadline_ends_all_tries() -> None:
    with OpenAIServer(lambda request: "ok", faults=Faults(hang=1.0, hang_seconds=1.0)) as server:
        started = time.monotonic()
        (result,) = ready(server, deadline=0.3, retries=100).generate([prompt("a")], Sampling())
        assert time.monotonic() - started < 1
    assert isinstance(result, Failure)
    assert result.retry


def test_a_server_that_restarts_in_the_middle_of_a_batch_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmrank.mllm.remote.calls.FIRST_WAIT", 0.1)
    server = OpenAIServer(lambda request: "ok", faults=Faults(slow_seconds=0.02)).start()
    mllm = ready(server, concurrency=4)

    def restart() -> None:
        time.sleep(0.1)
        server.stop()
        time.sleep(0.2)
        server.start()

    thread = threading.Thread(target=restart)
    thread.start()
    results = mllm.generate([prompt(f"{i}") for i in range(60)], Sampling())
    thread.join()
    server.stop()
    assert all(isinstance(result, Generated) for result in results)


def test_faults_in_a_fifth_of_all_requests_never_mix_up_answers() -> None:
    faults = Faults(drop=0.04, torn=0.04, garbage=0.04, empty=0.04, status=0.04, seed=3)
    with OpenAIServer(lambda request: request["messages"][0]["content"], faults=faults) as server:
        results = ready(server).generate([prompt(f"prompt {i}") for i in range(100)], Sampling())
    answered = [(i, r.text) for i, r in enumerate(results) if isinstance(r, Generated)]
    assert len(answered) > 85
    assert all(text == f"prompt {i}" for i, text in answered)
    # An answer without choices is whole HTTP and no answer: it is not asked for again, and said.
    assert {r.error for r in results if isinstance(r, Failure)} == {"the server's answer has no choices"}


def test_an_interrupted_batch_does_not_wait_for_calls_under_way() -> None:
    with OpenAIServer(lambda request: "ok", faults=Faults(hang=1.0, hang_seconds=3.0)) as server:
        mllm = ready(server)

        def stopped(place: int) -> None:
            if place == 0:
                raise KeyboardInterrupt
            mllm.generate([prompt("a")], Sampling())

        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            mllm._caller.map(stopped, range(3))
        assert time.monotonic() - started < 2


def test_the_servers_words_are_cut_and_carry_no_pictures() -> None:
    echoed = '{"detail": [{"loc": ["body", "messages", 0], "msg": "wrong", "input": "data:image/png;base64,AAAA"}]}'
    assert server_words(echoed) == "body.messages.0: wrong"
    assert server_words('{"error": "no such data:image/png;base64,AAAA here"}') == "no such data:image/... here"
    assert server_words('{"message": "a\\u001b[31m\\nb"}') == "a [31m b"
    assert len(server_words("x" * 5000)) < 410
    assert server_words("") == "no words"
