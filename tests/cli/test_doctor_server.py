"""`mmrank doctor SERVER`: what a server can do, what is missing, and how to start it so that it can."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mmrank.cli.server_checks import serve_line
from mmrank.mllm.remote import calls
from mmrank.mllm.remote.spec import KEY_VARIABLES
from tests.servers.openai_server import Answered, Json, OpenAIServer, content_parts, pictures


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "FIRST_WAIT", 0.01)
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def seeing(request: Json) -> Answered:
    """Names the colour of its picture, and says yes to red ones."""
    shown = pictures(request)
    red = bool(shown) and shown[0].convert("RGB").getpixel((0, 0)) == (255, 0, 0)
    return Answered(text="Red." if red else "Hello", logprobs={"yes": -0.25 if red else -3.0, "no": -2.0})


def odds(probability: float) -> Any:
    def score(query: Any, document: Any, instruction: str | None) -> float:
        first = content_parts(document)[0]
        red = not isinstance(first, str) and first.convert("RGB").getpixel((0, 0)) == (255, 0, 0)
        return probability if red else 0.1 + 0.01 * len(instruction or "")

    return score


def checks_of(run: Any, *arguments: str) -> tuple[int, Json, dict[str, Json]]:
    result = run("doctor", *arguments, "--json")
    report = json.loads(result.stdout)
    return result.exit_code, report, {check["name"]: check for check in report["checks"]}


def test_a_good_server_is_fine_in_every_row(run: Any) -> None:
    with OpenAIServer(seeing, score=odds(0.85), max_logprobs=128, max_model_len=32768) as server:
        code, report, checks = checks_of(run, server.spec)
        shown = run("doctor", server.spec)
    assert (code, report["ok"], report["broken"]) == (0, True, [])
    assert report["server"] == server.spec
    states = {name: check["state"] for name, check in checks.items()}
    # e^(-0.25 + 2) against 0.85 / 0.15: 0.02 apart; for the blue one the two ways differ.
    assert states.pop("score parity") == "note"
    assert set(states.values()) == {"ok"}, states
    assert "'Red.'" in checks["pictures"]["detail"]
    assert "32 pictures" in checks["picture limit"]["detail"]
    assert "32,768 tokens" in checks["context"]["detail"]
    assert shown.exit_code == 0
    for word in ("Seen", "What to do", "picture limit", "answer prefix", "vllm serve truth --max-model-len 32768"):
        assert word in shown.stdout


def test_what_is_missing_comes_with_what_to_do(run: Any) -> None:
    with OpenAIServer(
        seeing, max_images=6, max_logprobs=20, max_model_len=2048, unknown_fields=("continue_final_message",)
    ) as server:
        code, _, checks = checks_of(run, server.spec)
    assert code == 0
    assert checks["picture limit"]["state"] == "note"
    assert "6 pictures in one prompt" in checks["picture limit"]["detail"]
    assert "At most 6 image(s)" in checks["picture limit"]["detail"]
    assert "--limit-mm-per-prompt" in checks["picture limit"]["advice"]
    assert "20 likeliest" in checks["log-probabilities"]["detail"]
    assert "--max-logprobs 128" in checks["log-probabilities"]["advice"]
    assert "--max-model-len" in checks["context"]["advice"]
    assert checks["answer prefix"]["state"] == "missing"
    assert "continue_final_message" in checks["answer prefix"]["detail"]
    assert checks["pair scores"]["state"] == "missing"


def test_a_server_that_sees_nothing_and_tells_nothing(run: Any) -> None:
    with OpenAIServer(lambda request: "Blue", max_images=0, max_logprobs=0) as server:
        code, _, checks = checks_of(run, server.spec)
        server.max_images = None
        _, _, wrong = checks_of(run, server.spec)
    assert code == 0
    assert checks["pictures"]["state"] == "missing"
    assert "picture limit" not in checks
    assert checks["log-probabilities"]["state"] == "missing"
    assert wrong["pictures"]["state"] == "note"
    assert "'Blue'" in wrong["pictures"]["detail"]


def test_a_reranker_has_pair_scores_only(run: Any) -> None:
    with OpenAIServer(None, score=odds(0.9), model="Qwen/Qwen3-VL-Reranker-2B") as server:
        code, report, checks = checks_of(run, server.spec)
        server.score = odds(0.05)
        _, _, blind = checks_of(run, server.spec)
        server.score = lambda *_: 0.5
        _, _, deaf = checks_of(run, server.spec)
    assert code == 0
    assert checks["text"]["state"] == "missing"
    assert checks["pair scores"]["state"] == "ok"
    assert checks["pair of pictures"]["state"] == "ok"
    assert "score parity" not in checks
    for words in ("--runner pooling", "--chat-template", "Qwen3VLForSequenceClassification", "classifier_from_token"):
        assert words in report["serve"]
    assert "--chat-template" in blind["pair of pictures"]["advice"]
    assert deaf["pair scores"]["state"] == "note"


def test_two_ways_to_score_that_agree(run: Any) -> None:
    def same(request: Json) -> Answered:
        shown = pictures(request)
        red = bool(shown) and shown[0].convert("RGB").getpixel((0, 0)) == (255, 0, 0)
        return Answered(text="red", logprobs={"yes": 0.0 if red else -2.0, "no": -2.0})

    def score(query: Any, document: Any, instruction: str | None) -> float:
        first = content_parts(document)[0]
        red = not isinstance(first, str) and first.convert("RGB").getpixel((0, 0)) == (255, 0, 0)
        return 0.8807970779778823 if red else 0.5

    with OpenAIServer(same, score=score) as server:
        _, _, checks = checks_of(run, server.spec)
    assert checks["score parity"]["state"] == "ok"
    assert "0.00 apart" in checks["score parity"]["detail"]


def test_a_server_that_is_not_there_is_exit_1_with_the_url(run: Any) -> None:
    server = OpenAIServer(seeing).start()
    server.stop()
    code, report, checks = checks_of(run, server.spec)
    assert (code, report["ok"], report["broken"]) == (1, False, ["reachable"])
    assert server.base_url in checks["reachable"]["detail"]
    assert "vllm serve" in report["serve"]


def test_another_model_is_exit_1_and_says_what_is_served(run: Any) -> None:
    with OpenAIServer(seeing) as server:
        code, report, checks = checks_of(run, server.spec.replace("#truth", "#other"))
    assert (code, report["broken"]) == (1, ["model"])
    assert "truth" in checks["model"]["detail"]
    assert "--served-model-name" in checks["model"]["advice"]


def test_the_only_model_need_not_be_named(run: Any) -> None:
    with OpenAIServer(seeing) as server:
        code, report, _ = checks_of(run, server.spec.partition("#")[0])
    assert (code, report["server"]) == (0, server.spec)


@pytest.mark.parametrize("spec", ["localhost:8000", "openai:localhost:8000/v1#m", "openai:http://u:p@host/v1#m"])
def test_a_spec_that_cannot_be_meant_is_exit_2(run: Any, spec: str) -> None:
    result = run("doctor", spec)
    assert result.exit_code == 2
    assert "openai:http" in result.stderr
    assert "u:p" not in result.stderr


def test_a_chat_server_is_tried_on_a_known_pair_too(run: Any) -> None:
    with OpenAIServer(seeing, max_logprobs=20) as server:
        _, _, checks = checks_of(run, server.spec)
    assert checks["yes or no"]["state"] == "ok"
    assert "red +1.75, blue -1.00" in checks["yes or no"]["detail"]
    assert "score parity" not in checks

    def blind(request: Json) -> Answered:
        return Answered(text="Red.", logprobs={"yes": -1.0, "no": -1.0})

    with OpenAIServer(blind, max_logprobs=20) as server:
        _, _, checks = checks_of(run, server.spec)
    assert checks["yes or no"]["state"] == "note"
    assert "will not work well" in checks["yes or no"]["advice"]


def test_a_chat_model_is_served_with_pictures_and_log_probabilities() -> None:
    # UniME-V2-reranker and lychee-rerank-mm are asked in chat form, whatever their names say.
    for model in ("Qwen/Qwen3-VL-8B-Instruct", "TianchengGu/UniME-V2-reranker-Qwen25VL-7B", "vec-ai/lychee-rerank-mm"):
        line = serve_line(model)
        assert line.startswith(f"vllm serve {model} ")
        assert """--limit-mm-per-prompt '{"image": 32}'""" in line
        assert "--runner" not in line


def test_a_model_that_scores_pairs_is_served_as_one() -> None:
    line = serve_line("Qwen/Qwen3-VL-Reranker-2B")
    assert "--runner pooling" in line
    assert '"is_original_qwen3_reranker": true' in line
    assert "--chat-template qwen3_vl_reranker.jinja" in line
    other = serve_line("jinaai/jina-reranker-m0")
    assert "--runner pooling" in other
    assert "Qwen3" not in other
