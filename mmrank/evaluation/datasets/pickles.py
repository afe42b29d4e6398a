"""Reading pickles from strangers: plain containers, texts and numbers, and nothing that runs."""

from __future__ import annotations

import io
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mmrank.evaluation.dataset import DatasetError

_NUMBER = re.compile(r"[<>=|]?[biuf][1248]")
"""Codes of numpy's plain numbers; objects ("O8") are not among them."""


def read_pickle(path: Path) -> Any:
    """The value in a pickle made of dicts, lists, tuples, sets, texts, bytes and numbers (numpy's single ones too).

    No code in the file is run. Texts written by Python 2 are read as UTF-8, else as Latin-1.

    Raises `DatasetError` when the file asks for anything else, or is damaged.
    """
    content = path.read_bytes()
    try:
        return _load(content, "utf-8")
    except UnicodeDecodeError:
        pass
    except pickle.UnpicklingError as error:
        raise DatasetError(f"{path} is no pickle of plain values: {error}. Download it again.") from None
    except Exception as error:  # noqa: BLE001 - a damaged pickle can raise anything
        raise DatasetError(f"{path} is damaged ({type(error).__name__}: {error}). Download it again.") from None
    try:
        return _load(content, "latin-1")
    except Exception as error:  # noqa: BLE001 - as above
        raise DatasetError(f"{path} is damaged ({type(error).__name__}: {error}). Download it again.") from None


def _load(content: bytes, encoding: str) -> Any:
    return _PlainUnpickler(io.BytesIO(content), encoding=encoding).load()


class _PlainUnpickler(pickle.Unpickler):
    """Looks names up in a short list instead of importing them."""

    def find_class(self, module: str, name: str) -> Any:
        found = _ALLOWED.get((module, name))
        if found is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only plain values are read")
        return found


class _NumberType:
    """Stands for a numpy dtype while a pickle is read."""

    def __init__(self, code: str, *_: object) -> None:
        if not isinstance(code, str) or not _NUMBER.fullmatch(code):
            raise pickle.UnpicklingError(f"it holds numpy values of type {code!r}, and only plain numbers are read")
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """The second part of a dtype's state is its byte order."""
        self.code = (">" if state[1] == ">" else "<") + self.code.lstrip("<>=|")


def _number(kind: _NumberType, content: bytes | str) -> int | float | bool:
    raw = content.encode("latin-1") if isinstance(content, str) else content
    value: int | float | bool = np.frombuffer(raw, np.dtype(kind.code), count=1)[0].item()
    return value


def _encoded(text: str, encoding: str) -> bytes:
    """Bytes, as pickles before protocol 3 hold them."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it holds bytes written as {encoding!r}, and only latin1 is read")
    return text.encode("latin-1")


def _default_dict(*_: object) -> dict[Any, Any]:
    return {}


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): _default_dict,
    ("_codecs", "encode"): _encoded,
    ("numpy", "dtype"): _NumberType,
    **{(f"numpy.{core}.multiarray", "scalar"): _number for core in ("core", "_core")},
    **{
        (module, made.__name__): made for module in ("builtins", "__builtin__") for made in (list, dict, set, frozenset)
    },
}
