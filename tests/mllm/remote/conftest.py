"""No key of whoever runs the tests reaches a test server."""

from __future__ import annotations

import pytest

from mmrank.mllm.remote import calls
from mmrank.mllm.remote.spec import KEY_VARIABLES


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other in hundredths of a second."""
    monkeypatch.setattr(calls, "FIRST_WAIT", 0.01)
