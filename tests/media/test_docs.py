"""The examples in the docstrings run, and the room costs nothing until it is used."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import mmrank.media

MODULES = [f"mmrank.media.{module.name}" for module in pkgutil.iter_modules(mmrank.media.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_no_decoder_is_imported_before_it_is_needed() -> None:
    heavy = ["av", "decord", "pypdfium2", "pillow_heif", "pyarrow", "torch", "lancedb"]
    code = f"import sys, mmrank.media; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
