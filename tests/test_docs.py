"""Examples in docstrings run, and say what the code says."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module

import pytest

import mmrank

MODULES = sorted(m.name for m in pkgutil.walk_packages(mmrank.__path__, "mmrank.") if not m.name.endswith("__main__"))


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    result = doctest.testmod(import_module(name))
    assert result.failed == 0
