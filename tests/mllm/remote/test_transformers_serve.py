"""`transformers serve`, a real server of another project: text and pictures work, and what it lacks is named."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmrank.errors import MllmError, RecipeError
from mmrank.mllm.base import Failure, Generated, Sampling
from mmrank.mllm.registry import load_mllm
from mmrank.mllm.remote import load_remote
from mmrank.mllm.remote.backend import RemoteMllm
from tests.models.tiny_vl import OTHER_SPECIAL, QWEN_SPECIAL, write_tiny
from tests.servers.made_up import picture, prompt

pytestmark = pytest.mark.slow

STARTS_WITHIN = 300
"""Seconds: importing transformers' server takes most of them on a busy machine."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny("qwen3_vl", tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def remote(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteMllm]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("log") / "serve.txt"
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(folder)]
    settings = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    # No hub cache: /v1/models breaks then (HTTP 500), which must not matter.
    cache = {"HF_HUB_CACHE": str(log.parent / "no-cache")}
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **cache}
    with (
        log.open("wb") as file,
        subprocess.Popen([*command, *settings], stdout=file, stderr=subprocess.STDOUT, env=environment) as server,
    ):
        try:
            yield _ready(f"openai:http://127.0.0.1:{port}/v1#{folder}", server, log)
        finally:
            server.terminate()


def _ready(spec: str, server: subprocess.Popen[bytes], log: Path) -> RemoteMllm:
    ends = time.monotonic() + STARTS_WITHIN
    while True:
        try:
            mllm = load_remote(spec, retries=0)
            _ = mllm.capabilities
        except MllmError as error:
            if server.poll() is not None or time.monotonic() > ends:
                pytest.fail(f"transformers serve did not come up: {error}\n{log.read_text()[-2000:]}")
            time.sleep(0.3)
        else:
            return mllm


def _plain(result: Generated | Failure) -> str:
    """The text without special tokens, which a random model writes in the middle of it and this server leaves in."""
    assert isinstance(result, Generated)
    return re.sub("|".join(map(re.escape, (*QWEN_SPECIAL, *OTHER_SPECIAL))), "", result.text)


def test_text_and_pictures_are_answered_as_here(folder: Path, remote: RemoteMllm) -> None:
    local = load_mllm(str(folder), device="cpu", precision="float32")
    prompts = [
        prompt("Which is the best page?"),
        prompt(picture("red", 64), "a red boat"),
        prompt("Query ", picture("blue", 64), picture("green", 96), " order", system="Judge."),
    ]
    there = remote.generate(prompts, Sampling(max_tokens=5))
    here = local.generate(prompts, Sampling(max_tokens=5))
    assert [_plain(r) for r in there] == [_plain(r) for r in here]
    assert [r.cost.tokens_in for r in there] == [r.cost.tokens_in for r in here]
    assert all(r.cut for r in there if isinstance(r, Generated))


def test_log_probabilities_are_refused_by_name(remote: RemoteMllm) -> None:
    assert remote.capabilities == {"generate"}
    with pytest.raises(RecipeError, match="cannot do 'choices': the server answered without log-probabilities"):
        remote.choice_logprobs([prompt("yes or no?")], [["yes", "no"]])
    undeclared = load_remote(remote.spec, capabilities=["choices"], max_logprobs=20)
    (result,) = undeclared.choice_logprobs([prompt("yes or no?")], [["yes", "no"]])
    assert isinstance(result, Failure)
    assert "without log-probabilities" in result.error


def test_an_answer_prefix_is_refused_by_name(remote: RemoteMllm) -> None:
    assert not remote.limits.answer_prefix
    with pytest.raises(RecipeError, match="cannot begin an answer.*continue_final_message"):
        remote.generate([prompt("rank", prefix="[")], Sampling())


def test_there_are_no_pair_scores(remote: RemoteMllm) -> None:
    with pytest.raises(RecipeError, match="cannot do 'pairs'"):
        remote.pair_scores([prompt("a")])
