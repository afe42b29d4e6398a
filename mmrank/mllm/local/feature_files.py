"""Features of pictures in files, shared by runs and by processes."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from mmrank.errors import UsageError
from mmrank.hub import first_line
from mmrank.mllm.local.features import Features

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

_TENSOR = "levels"


class FeatureFolder:
    """One safetensors file a picture under ``FOLDER/<fingerprint>/``, in the model's own dtype.

    `fingerprint`: everything that features depend on besides the picture (`VisionTower.fingerprint`); another one has
    another folder, and each file repeats it. A file is written beside its place and moved there in one step, so that
    processes may share a folder and be killed at any moment; whoever comes last wins, with equal content. A file that
    is damaged is said in the log (``mmrank.mllm.local.feature_files``) and in `damaged`, and counts as not there: its
    features are computed and written again. A folder that cannot be written (a full disk) is said once, and the run
    goes on without it. The folder is never cleared here; deleting it, or any file in it, is safe at any time.

    Raises `UsageError` when `folder` cannot be made.
    """

    def __init__(self, folder: str | Path, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self.path = Path(folder).expanduser().absolute() / fingerprint[:32]
        self.damaged = 0
        self._writable = True
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"feature_cache is {str(folder)!r}, and no folder can be made there ({error.strerror}). Name a folder "
                "that you can write, or leave feature_cache out: features are then kept in memory alone."
            ) from error

    def file(self, key: str) -> Path:
        """Where the features of `key` are."""
        name = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
        return self.path / name[:2] / f"{name}.safetensors"

    def get(self, key: str) -> Features | None:
        """The features in the file of `key`; None when there is none, or none that can be trusted."""
        from safetensors import SafetensorError, safe_open

        path = self.file(key)
        try:
            with safe_open(path, framework="pt") as opened:
                said = opened.metadata() or {}
                levels = opened.get_tensor(_TENSOR).clone()  # away from the mapped file, which may be replaced
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError) as error:
            self._distrusted(path, first_line(error))
            return None
        if said.get("fingerprint") != self.fingerprint or said.get("key") != _ascii(key):
            self._distrusted(path, "it is of another picture or model than its name says")
            return None
        if said.get("crc32") != _checksum(levels):
            self._distrusted(path, "its checksum is wrong")
            return None
        high, wide = (int(side) for side in said["grid"].split("x"))
        return Features(levels=levels, grid=(1, high, wide))

    def put(self, key: str, features: Features) -> None:
        """Write the features of `key`."""
        from safetensors.torch import save

        if not self._writable:
            return
        levels = features.levels.contiguous()
        said = {
            "fingerprint": self.fingerprint,
            "key": _ascii(key),
            "grid": "x".join(str(side) for side in features.grid[1:]),
            "crc32": _checksum(levels),
        }
        path = self.file(key)
        part = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
        try:
            path.parent.mkdir(exist_ok=True)
            part.write_bytes(save({_TENSOR: levels}, metadata=said))
            part.replace(path)
        except OSError as error:
            self._writable = False
            with contextlib.suppress(OSError):
                part.unlink()
            log.warning("features cannot be written to %s (%s); the run goes on without", self.path, error.strerror)

    def _distrusted(self, path: Path, why: str) -> None:
        self.damaged += 1
        log.warning("the features in %s are damaged (%s); they are computed again", path, why)


def _checksum(levels: torch.Tensor) -> str:
    import torch

    return f"{zlib.crc32(levels.reshape(-1).view(torch.uint8).numpy().data):08x}"


def _ascii(key: str) -> str:
    return key.encode("ascii", "backslashreplace").decode("ascii")
