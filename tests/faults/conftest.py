"""A tiny real model, tiny pictures, and builds that run as a user's: `mmrank index` in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import runpy
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

STAGES = ("decoding", "embedding", "writing", "indexing")
"""The words by which the log of a build says what begins; "written" says that a group of rows is on disk."""

BUILD_LOGGER = "mmrank.index.build: "

PATIENCE_SECONDS = 120.0
"""How long a build may take to reach a stage on a busy machine."""

BATCH_SIZE = 8

_RUN_CLI = Path(__file__).with_name("run_cli.py")
_TINY_CLIP = Path(__file__).parents[1] / "models" / "tiny_clip.py"


class Build:
    """One run of ``mmrank index``, watched through its log, to be killed or waited for.

    Its process is forked from one that has imported torch and open_clip (and nothing that runs threads), which
    saves seconds per run; everything else happens in it as it does in a user's.
    """

    def __init__(self, forks: ForkServerContext, pictures: Path, index: Path, model: Path, log: Path) -> None:
        self._log = log
        self._seen = log.stat().st_size if log.exists() else 0
        arguments = ["index", str(pictures), "--to", str(index), "--model", str(model), "--json", "--log", str(log)]
        arguments += ["--threads", "1", "--batch-size", str(BATCH_SIZE)]
        given = {"ARGUMENTS": arguments, "OUT": str(log)}
        self.process = forks.Process(target=runpy.run_path, args=(str(_RUN_CLI), given, "__main__"))
        self.process.start()

    def told(self) -> list[str]:
        """What this run has logged so far: the first word of each line of the build ("decoding", "written", ...)."""
        if not self._log.exists():
            return []
        with self._log.open("rb") as file:
            file.seek(self._seen)
            lines = file.read().decode().splitlines()
        messages = [line.partition(BUILD_LOGGER)[2] for line in lines if BUILD_LOGGER in line]
        return [message.replace(":", " ").split()[0] for message in messages]

    def is_in(self, stage: str) -> bool:
        """Whether the log says that this stage goes on now. Rows are written beside everything else."""
        told = self.told()
        if stage == "writing":
            return told.count("writing") > told.count("written")
        return [word for word in told if word in STAGES and word != "writing"][-1:] == [stage]

    def kill_in(self, stage: str, *, after: float = 0.0, commits: int = 0) -> bool:
        """``kill -9`` when the log tells of `stage`, `after` seconds into it, with `commits` groups of rows written.

        The process is stopped before it is killed and the log read while it stands still, so that the kill lands
        where it should. Where the stage was over by then the build goes on, to be caught sooner the next time.
        False when the build came to its end before.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if not self.process.is_alive():
                return False
            if self.is_in(stage) and self.told().count("written") >= commits:
                time.sleep(after)
                self._signal(signal.SIGSTOP)
                if self.is_in(stage):
                    self._signal(signal.SIGKILL)
                    self.process.join()
                    return self.process.exitcode == -signal.SIGKILL
                self._signal(signal.SIGCONT)
                after /= 2
            time.sleep(0.001)
        self.process.kill()
        raise AssertionError(f"no {stage} within {PATIENCE_SECONDS} s; logged: {self.told()}")

    def _signal(self, number: signal.Signals) -> None:
        if self.process.is_alive() and self.process.pid:
            os.kill(self.process.pid, number)

    def report(self) -> dict[str, Any]:
        """Wait for the end; what `--json` printed. Fails the test when the build did."""
        self.process.join(PATIENCE_SECONDS)
        assert self.process.exitcode == 0, Path(f"{self._log}.err").read_text()
        found: dict[str, Any] = json.loads(Path(f"{self._log}.out").read_text())
        return found


@pytest.fixture(scope="session")
def forks() -> ForkServerContext:
    """Where builds are forked from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "open_clip", "safetensors.torch", "PIL.Image"])
    return context


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real open_clip model with random weights, in a folder."""
    found = importlib.util.spec_from_file_location("tiny_clip", _TINY_CLIP)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    folder: Path = module.write_tiny_clip(tmp_path_factory.mktemp("tiny-clip"))
    return folder


@pytest.fixture(scope="session")
def write_pictures() -> Callable[[Path, int], Path]:
    """Writes `count` small pictures, no two alike, into a folder and gives it back."""

    def write(folder: Path, count: int) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(0)
        for number in range(count):
            coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
            coarse.resize((48, 40), Image.Resampling.BICUBIC).save(folder / f"{number:04d}.jpg", quality=80)
        return folder

    return write


@pytest.fixture
def start_build(forks: ForkServerContext, tiny_clip: Path) -> Iterator[Callable[[Path, Path, Path], Build]]:
    """Starts builds, given pictures, index and log; whatever still runs at the end of the test is killed."""
    started: list[Build] = []

    def start(pictures: Path, index: Path, log: Path) -> Build:
        started.append(Build(forks, pictures, index, tiny_clip, log))
        return started[-1]

    yield start
    for build in started:
        if build.process.is_alive():
            build.process.kill()
            build.process.join()
