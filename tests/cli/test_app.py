"""The front door: help, version, and what is imported to print them."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

import mmrank
from mmrank.cli.app import app
from mmrank.cli.options import KindName
from mmrank.types import KINDS

MAIN = "from mmrank.cli.app import main; main()"
COMMANDS = (
    "index",
    "search",
    "rerank",
    "eval",
    "fuse",
    "models",
    "recipes",
    "datasets",
    "doctor",
    "demo",
    "toybox",
    "stats",
)


def mmrank_process(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command as a shell runs it."""
    line = [sys.executable, "-c", f"import sys; sys.argv[0] = 'mmrank'; {MAIN}", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, cwd=cwd, check=False)


def test_help_lists_every_command(run) -> None:
    result = run("--help")
    assert result.exit_code == 0
    for command in COMMANDS:
        assert command in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(run, command: str) -> None:
    result = run(command, "-h")
    assert result.exit_code == 0
    assert f"mmrank {command}" in result.stdout or "Usage" in result.stdout
    assert "--debug" in result.stdout


def test_version(run) -> None:
    assert run("--version").stdout == f"mmrank {mmrank.__version__}\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["search"], ["models", "--nonsense"], ["search", "x", "-k", "0"]])
def test_wrong_usage_exits_with_2_and_says_nothing_on_stdout(run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr


def test_help_as_a_process_imports_nothing_heavy(record_property) -> None:
    code = (
        "import sys\n"
        "from mmrank.cli.app import app\n"
        "app(['--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'lancedb', 'pyarrow', 'numpy', 'open_clip', 'av', 'pypdfium2', 'PIL'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)"
    )
    started = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    record_property("help_seconds", time.perf_counter() - started)  # told, never asserted: machines differ
    assert "index" in result.stdout
    assert result.stderr.strip() == "[]"


def test_the_installed_script_is_main() -> None:
    result = mmrank_process("--version")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"mmrank {mmrank.__version__}\n", "")


def test_commands_are_those_of_the_design() -> None:
    names = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    assert names == set(COMMANDS)


def test_the_kinds_on_the_command_line_are_those_of_the_package() -> None:
    assert tuple(KindName) == KINDS
