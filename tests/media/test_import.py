"""The room costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys


def test_no_decoder_is_imported_before_it_is_needed() -> None:
    heavy = ["av", "decord", "pypdfium2", "pillow_heif", "pyarrow", "torch", "lancedb"]
    code = f"import sys, mmrank.media; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
