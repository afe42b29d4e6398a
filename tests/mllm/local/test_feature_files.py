"""A folder of features: shared by runs and processes, never wrong, and no worse than none when it is damaged."""

from __future__ import annotations

import inspect
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mmrank.errors import UsageError
from mmrank.mllm.local.backend import LocalMLLM
from mmrank.mllm.local.feature_files import FeatureFolder
from mmrank.mllm.local.features import Features
from mmrank.mllm.prompt import Prompt

CLOSE = 1e-4


def features(seed: int, dtype: torch.dtype = torch.float32) -> Features:
    levels = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(seed)).to(dtype)
    return Features(levels=levels, grid=(1, 2, 10))


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_what_was_put_comes_back_bit_by_bit(dtype: torch.dtype, tmp_path: Path) -> None:
    put = FeatureFolder(tmp_path, "a" * 64)
    for key in ("a:1x2", "späte \udcff:1x2"):
        put.put(key, features(1, dtype))
        found = FeatureFolder(tmp_path, "a" * 64).get(key)
        assert found is not None
        assert found.levels.dtype == dtype
        assert torch.equal(found.levels, features(1, dtype).levels)
        assert found.grid == (1, 2, 10)
    assert put.get("another") is None
    assert FeatureFolder(tmp_path, "b" * 64).get("a:1x2") is None
    assert not list(tmp_path.rglob("*.part"))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage", [_cut, _flip, lambda path: path.write_bytes(b""), lambda path: path.write_bytes(b"x" * 99)]
)
def test_a_damaged_file_is_said_and_counts_as_none(
    damage: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = FeatureFolder(tmp_path, "a" * 64)
    folder.put("k", features(1))
    damage(folder.file("k"))
    with caplog.at_level(logging.WARNING, logger="mmrank"):
        assert folder.get("k") is None
    assert folder.damaged == 1
    assert "are damaged" in caplog.text
    assert folder.file("k").name in caplog.text
    folder.put("k", features(2))
    found = folder.get("k")
    assert found is not None
    assert torch.equal(found.levels, features(2).levels)


def test_a_file_in_the_wrong_place_is_never_taken(tmp_path: Path) -> None:
    mine, other = FeatureFolder(tmp_path, "a" * 64), FeatureFolder(tmp_path, "b" * 64)
    mine.put("k", features(1))
    for place in (mine.file("another"), other.file("k")):
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(mine.file("k"), place)
    assert mine.get("another") is None
    assert other.get("k") is None
    assert mine.get("k") is not None


def test_a_folder_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UsageError, match="feature_cache is .*no folder can be made"):
        FeatureFolder(tmp_path / "file", "a" * 64)
    folder = FeatureFolder(tmp_path, "a" * 64)
    shutil.rmtree(folder.path)
    folder.path.write_text("in its place")
    with caplog.at_level(logging.WARNING, logger="mmrank"):
        folder.put("k", features(1))
        folder.put("l", features(1))
    assert caplog.text.count("cannot be written") == 1
    assert folder.get("k") is None


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl"])
def test_another_run_finds_what_this_one_made(
    family: str,
    tmp_path: Path,
    fresh: Callable[..., LocalMLLM],
    pair: Callable[..., Prompt],
    counted: Callable[..., Any],
    log_odds: Callable[..., list[float]],
) -> None:
    prompts = [pair("same at night", reference=(1,), pictures=(seed,)) for seed in range(5)]
    first = fresh(family, feature_cache=tmp_path)
    expected = log_odds(first, prompts)
    assert len(files(tmp_path)) == 5
    small = files(tmp_path)[0].stat().st_size
    for memory in (1 << 20, 0, 2 * small):  # from the folder into memory, or read from it each time
        second = fresh(family, feature_cache=str(tmp_path), feature_memory=memory)
        with counted(second) as seen:
            assert log_odds(second, prompts) == pytest.approx(expected, abs=CLOSE)
        assert seen["pictures"] == 0
        assert second._features.bytes <= memory
    _flip(files(tmp_path)[2])
    third = fresh(family, feature_cache=tmp_path)
    with counted(third) as seen:
        assert log_odds(third, prompts) == pytest.approx(expected, abs=CLOSE)
    assert seen["pictures"] == 1
    folder = third._features.folder
    assert folder is not None
    assert folder.damaged == 1


def test_other_weights_settings_or_precision_never_hit(
    tmp_path: Path,
    tiny_vl: Any,
    tiny_folder: Callable[[str], Path],
    pair: Callable[..., Prompt],
    counted: Callable[..., Any],
    log_odds: Callable[..., list[float]],
) -> None:
    from mmrank.mllm.registry import load_mllm

    def run(folder: Path, **options: Any) -> tuple[int, list[float]]:
        mllm: Any = load_mllm(str(folder), device="cpu", feature_cache=cache, **options)
        with counted(mllm) as seen:
            found = log_odds(mllm, [pair(pictures=(seed,)) for seed in range(3)])
        return seen["pictures"], found

    cache, same = tmp_path / "cache", tiny_folder("qwen3_vl")
    assert run(same)[0] == 3
    assert run(same)[0] == 0
    assert run(tiny_vl.write_tiny("qwen3_vl", tmp_path / "other", seed=1))[0] == 3
    assert run(same, precision="bfloat16")[0] == 3
    changed = tmp_path / "changed"
    shutil.copytree(same, changed)
    settings = (changed / "processor_config.json").read_text()
    assert '"longest_edge": 16384' in settings
    (changed / "processor_config.json").write_text(settings.replace('"longest_edge": 16384', '"longest_edge": 2048'))
    towers, found = run(changed)
    assert towers == 3
    assert found != pytest.approx(run(same)[1], abs=CLOSE)


def put_and_get(folder: FeatureFolder, turns: int) -> int:
    """How often something else was found than what every process puts."""
    wrong = 0
    for _ in range(turns):
        for key in range(10):
            levels = torch.full((3, 50, 16), float(key))
            found = folder.get(str(key))
            wrong += found is not None and not torch.equal(found.levels, levels)
            folder.put(str(key), Features(levels=levels, grid=(1, 2, 100)))
    return wrong


_PROCESS = f"""
import sys
import torch
from mmrank.mllm.local.feature_files import FeatureFolder
from mmrank.mllm.local.features import Features
{inspect.getsource(put_and_get)}
folder = FeatureFolder(sys.argv[1], "a" * 64)
print("ready", flush=True)
print(put_and_get(folder, 40), folder.damaged)
"""


def test_two_processes_on_one_folder(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _PROCESS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        folder, wrong = FeatureFolder(tmp_path, "a" * 64), 0
        while other.poll() is None:
            wrong += put_and_get(folder, 1)
        assert other.stdout.read().split() == ["0", "0"]
    assert (wrong, folder.damaged) == (0, 0)
    assert len(files(tmp_path)) == 10
    assert not list(tmp_path.rglob("*.part"))
