"""The public surface: every name resolves, and importing costs no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mmrank as mm


def test_every_public_name_resolves() -> None:
    for name in mm.__all__:
        assert getattr(mm, name) is not None


def test_names_that_are_also_rooms_are_the_functions() -> None:
    import mmrank.fusion
    import mmrank.media.scan  # noqa: F401

    assert callable(mm.fuse)
    assert callable(mm.scan)
    assert callable(mm.reranker)


def test_import_brings_in_nothing_heavy() -> None:
    heavy = {"torch", "numpy", "lancedb", "pyarrow", "PIL", "av", "open_clip", "pypdfium2"}
    code = "import mmrank, sys; print(*sorted(m for m in sys.modules if '.' not in m))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not heavy & set(loaded)


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(AttributeError, match="load_embedder"):
        _ = mm.nothing
