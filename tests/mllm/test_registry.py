from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mmrank.errors import MllmError, UsageError
from mmrank.mllm.base import MLLM
from mmrank.mllm.registry import default_mllm, list_mllms, load_mllm, parse_mllm_spec


def test_the_default_is_a_real_checkpoint_with_its_size() -> None:
    default = default_mllm()
    assert default.spec == "Qwen/Qwen3-VL-Reranker-2B"
    assert default.download_mb > 1000
    assert [row for row in list_mllms() if row.default] == [default]


def test_names_are_unique_and_only_the_bundled_model_warns() -> None:
    rows = list_mllms()
    names = [n.lower() for row in rows for n in {row.alias, row.spec}]
    assert len(set(names)) == len(names)
    assert [row.alias for row in rows if row.warning] == ["toybox-vl"]


@pytest.mark.parametrize("row", [row for row in list_mllms() if row.assets is None], ids=lambda row: row.alias)
def test_an_alias_is_its_repository(row: object) -> None:
    from mmrank.mllm.registry import KnownMllm

    assert isinstance(row, KnownMllm)
    assert parse_mllm_spec(row.alias) == parse_mllm_spec(row.spec) == parse_mllm_spec(row.alias.upper())
    assert parse_mllm_spec(row.alias).repo == row.spec
    pinned = parse_mllm_spec(f"{row.alias}@v1")
    assert (pinned.repo, pinned.revision, pinned.text) == (row.spec, "v1", f"{row.spec}@v1")
    assert parse_mllm_spec(pinned.text) == pinned


def test_forms_of_a_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = parse_mllm_spec("./judge")
    assert folder.folder == tmp_path / "judge"
    assert parse_mllm_spec(folder.text) == folder
    other = parse_mllm_spec("someone/fine-tune_2.0@abc123")
    assert (other.repo, other.revision, other.known) == ("someone/fine-tune_2.0", "abc123", None)
    server = parse_mllm_spec("openai:http://localhost:8000/v1#Qwen3-VL-8B")
    assert server.server == "http://localhost:8000/v1#Qwen3-VL-8B"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("qwen3-vl-rerank-2b", "Did you mean qwen3-vl-reranker-2b"),
        ("Qwen3-VL-Reranker", "Qwen/Qwen3-VL-Reranker-2B"),
        ("a/b/c", "ORG/NAME"),
        ("", "openai:BASE_URL#MODEL"),
    ],
)
def test_an_unknown_name_says_what_there_is(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_mllm_spec(text)
    assert said in str(caught.value)
    assert "toybox" not in str(caught.value)


def test_a_folder_becomes_an_mllm(tiny_folder: Callable[[str], Path]) -> None:
    folder = tiny_folder("qwen3_vl")
    mllm = load_mllm(str(folder), device="cpu")
    assert isinstance(mllm, MLLM)
    assert mllm.spec == str(folder)
    assert mllm.capabilities == {"generate", "choices", "attention"}
    assert mllm.limits.tokens_in == 4096
    assert mllm.warning is None


def test_a_server_takes_no_device() -> None:
    with pytest.raises(UsageError, match="runs on a server"):
        load_mllm("openai:http://localhost:1/v1#m", device="cpu")


def test_an_unknown_option_is_named(tiny_folder: Callable[[str], Path]) -> None:
    with pytest.raises(UsageError, match="max_batch: no option of a local model; there is adapter"):
        load_mllm(str(tiny_folder("llama")), device="cpu", max_batch=3)


def test_offline_says_how_to_get_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MllmError) as caught:
        load_mllm("qwen3-vl-reranker-2b", device="cpu")
    for part in ("HF_HUB_OFFLINE is set", "about 4.3 GB", "hf download Qwen/Qwen3-VL-Reranker-2B", "HF_HUB_CACHE"):
        assert part in str(caught.value)


def test_parsing_and_listing_need_no_torch() -> None:
    code = (
        "import sys; from mmrank.mllm.registry import list_mllms, parse_mllm_spec; list_mllms(); "
        "parse_mllm_spec('qwen3-vl-8b'); print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "False"]
