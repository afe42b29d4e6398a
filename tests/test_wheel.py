"""The wheel, installed in an empty environment outside the clone, runs the demo from there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_wheel_runs_the_demo_outside_the_clone(tmp_path: Path) -> None:
    wheels, venv, elsewhere = tmp_path / "dist", tmp_path / "venv", tmp_path / "elsewhere"
    elsewhere.mkdir()
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", wheels, ".", cwd=ROOT)
    (wheel,) = wheels.glob("*.whl")
    run(sys.executable, "-m", "venv", venv, cwd=elsewhere)
    # uv takes what the set-up downloaded from its cache, so that torch is not fetched a second time.
    install = ["-m", "uv", "pip", "install", "--quiet", "--python", venv / "bin" / "python"]
    run(sys.executable, *install, "--constraint", ROOT / "constraints.txt", wheel, cwd=elsewhere)

    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    where = run(venv / "bin" / "python", "-c", "import mmrank; print(mmrank.__file__)", cwd=elsewhere, env=env)
    assert str(venv) in where
    out = run(venv / "bin" / "mmrank", "demo", "--json", cwd=elsewhere, env=env)
    answers = json.loads(out)
    assert len(answers["searches"]) >= 12
