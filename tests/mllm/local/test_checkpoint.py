from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mmrank.errors import MllmError, UsageError
from mmrank.mllm.local.checkpoint import adapter_base, fetch_folder, is_complete
from mmrank.mllm.prompt import Prompt
from mmrank.mllm.registry import load_mllm

YES_NO = [("yes", "no")]


@pytest.fixture
def copied(tiny_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder("qwen3_vl"), tmp_path / "copy"))


def test_what_is_no_model_is_said(tmp_path: Path, copied: Path) -> None:
    with pytest.raises(MllmError, match="There is no folder"):
        load_mllm(str(tmp_path / "nothing"), device="cpu")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MllmError, match=r"no config\.json"):
        load_mllm(str(tmp_path / "empty"), device="cpu")
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    with pytest.raises(MllmError, match=r"no \*\.safetensors; weights of other kinds"):
        load_mllm(str(copied), device="cpu")


@pytest.mark.parametrize("words", ["{", "[]", '{"r": 8}'])
def test_an_adapter_that_does_not_name_its_model_is_said(tmp_path: Path, words: str) -> None:
    (tmp_path / "adapter_config.json").write_text(words)
    with pytest.raises(MllmError, match=r"does not name the model .* pass the folder as adapter="):
        load_mllm(str(tmp_path), device="cpu")


def test_weights_that_lack_a_tensor_are_refused(copied: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(copied / "model.safetensors")
    dropped = next(name for name in state if name.endswith("q_proj.weight"))
    del state[dropped]
    save_file(state, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MllmError, match=r"lack 1 of the model's tensors \(such as .*q_proj.*random numbers"):
        load_mllm(str(copied), device="cpu")


def test_a_truncated_file_is_refused(copied: Path) -> None:
    whole = (copied / "model.safetensors").read_bytes()
    (copied / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MllmError, match="cannot load the model in"):
        load_mllm(str(copied), device="cpu")


def test_code_of_its_own_must_be_asked_for(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    config |= {"model_type": "internvl_chat", "auto_map": {"AutoModelForCausalLM": "modeling.InternVLChatModel"}}
    (copied / "config.json").write_text(json.dumps(config))
    marker = copied / "ran"
    (copied / "modeling.py").write_text(f"open({str(marker)!r}, 'w').write('x')")
    with pytest.raises(MllmError, match="trust_remote_code=True.*-HF"):
        load_mllm(str(copied), device="cpu")
    assert not marker.exists()


def test_an_unknown_architecture_is_named(copied: Path) -> None:
    (copied / "config.json").write_text(json.dumps({"model_type": "clip"}))
    with pytest.raises(MllmError, match="is a 'clip', which transformers .* does not know as a chat model"):
        load_mllm(str(copied), device="cpu")


@pytest.fixture(scope="module")
def lora(tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter on the tiny Qwen3-VL whose matrices are not zero."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    folder = tmp_path_factory.mktemp("lora")
    base = AutoModelForImageTextToText.from_pretrained(tiny_folder("qwen3_vl"))
    model = get_peft_model(base, LoraConfig(r=4, target_modules=r".*language_model.*\.(q_proj|v_proj)"))
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(0, 0.3)
    model.save_pretrained(folder)
    return folder


def test_an_adapter_is_merged(
    lora: Path, tiny_folder: Callable[[str], Path], tiny: Callable[[str], Any], ask: Callable[..., Prompt]
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    folder, prompt = tiny_folder("qwen3_vl"), ask("red boat", pictures=(1,))
    (found,) = load_mllm(str(folder), device="cpu", adapter=lora).choice_logprobs([prompt], YES_NO)
    (plain,) = tiny("qwen3_vl").choice_logprobs([prompt], YES_NO)
    assert abs(found.logprobs[0] - plain.logprobs[0]) > 1e-2  # type: ignore[union-attr]

    adapted = PeftModel.from_pretrained(AutoModelForImageTextToText.from_pretrained(folder), lora).eval()
    mllm = tiny("qwen3_vl")
    (encoded,) = mllm._encoder.encode([mllm._drafter.draft(prompt)])
    with torch.inference_mode():
        logits = adapted(**mllm._inputs([encoded])).logits[0, -1]
    yes, no = mllm._tokenizer.convert_tokens_to_ids(["yes", "no"])
    expected = float(logits[yes] - logits[no])
    assert found.logprobs[0] - found.logprobs[1] == pytest.approx(expected, abs=1e-4)  # type: ignore[union-attr]

    assert adapter_base(lora) == str(folder)
    (alone,) = load_mllm(str(lora), device="cpu").choice_logprobs([prompt], YES_NO)  # the adapter names its base
    assert alone.logprobs == pytest.approx(found.logprobs)  # type: ignore[union-attr]


def test_what_is_no_adapter_is_said(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(MllmError, match="holds no LoRA adapter"):
        load_mllm(str(tiny_folder("llama")), device="cpu", adapter=tmp_path)


def _cached(cache: Path, repo: str, folder: Path, commit: str = "0" * 40) -> Path:
    """The hub's cache as huggingface_hub leaves it after a download."""
    home = cache / f"models--{repo.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(commit)
    return Path(shutil.copytree(folder, home / "snapshots" / commit))


def test_a_cached_checkpoint_needs_no_network(
    tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    snapshot = _cached(tmp_path, "org/tiny", tiny_folder("llama"))
    assert fetch_folder("org/tiny", revision=None) == snapshot
    mllm = load_mllm("org/tiny", device="cpu")
    assert mllm.spec == "org/tiny"
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(MllmError, match=r"HF_HUB_OFFLINE is set.*hf download org/tiny"):
        fetch_folder("org/tiny", revision=None)
    with pytest.raises(UsageError, match="ORG/NAME"):
        fetch_folder("not/a/repo", revision=None)


def test_a_download_cut_short_is_not_complete(tiny_folder: Callable[[str], Path], copied: Path) -> None:
    assert is_complete(tiny_folder("llama"))
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (copied / "model.safetensors.index.json").write_text(json.dumps(index))
    (copied / "model.safetensors").rename(copied / "model-00001-of-00002.safetensors")
    assert not is_complete(copied)
    (copied / "model-00002-of-00002.safetensors").write_bytes(b"")
    assert is_complete(copied)


def test_loading_says_nothing(tiny_folder: Callable[[str], Path], capfd: pytest.CaptureFixture[str]) -> None:
    load_mllm(str(tiny_folder("qwen3_vl")), device="cpu")
    assert capfd.readouterr() == ("", "")
