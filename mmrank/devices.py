"""Where a model runs and in which number format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmrank.errors import UsageError

if TYPE_CHECKING:
    import torch

_PRECISIONS = {
    "float32": "float32",
    "fp32": "float32",
    "float16": "float16",
    "fp16": "float16",
    "bfloat16": "bfloat16",
    "bf16": "bfloat16",
}


def choose_device(device: str | None = None) -> torch.device:
    """The device named, or the best there is: CUDA, then Apple's MPS, then the CPU.

    Raises `UsageError` for a device this machine does not have.
    """
    import torch

    available = [
        *(["cuda"] if torch.cuda.is_available() else []),
        *(["mps"] if torch.backends.mps.is_available() else []),
        "cpu",
    ]
    if device is None:
        return torch.device(available[0])
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"Device {device!r} is not one torch knows; here there is: {', '.join(available)}.") from error
    missing_gpu = chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count()
    if chosen.type not in available or missing_gpu:
        raise UsageError(f"Device {device!r} is not on this machine; here there is: {', '.join(available)}.")
    return chosen


def choose_dtype(precision: str | None, device: torch.device) -> torch.dtype:
    """The number format named (float32, float16, bfloat16; fp32, fp16, bf16), or what suits the device.

    On CUDA bfloat16 where the GPU computes in it (no overflow, unlike float16), else float16; elsewhere float32:
    a CPU without bfloat16 units was measured 9 times slower in it, and MPS half precision differs between systems.
    Raises `UsageError` for another name.
    """
    import torch

    if precision is None:
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    name = _PRECISIONS.get(precision)
    if name is None:
        raise UsageError(f"Precision {precision!r} is not known; it must be one of {', '.join(_PRECISIONS)}.")
    dtype = getattr(torch, name)
    assert isinstance(dtype, torch.dtype)
    return dtype


def set_threads(threads: int | None) -> None:
    """How many CPU threads torch computes with, in the whole process. None leaves it alone.

    More is not always faster: where another process keeps a core busy, two threads were measured
    2 to 18 times slower than one, because every OpenMP barrier waits for the slowest.
    """
    if threads is None:
        return
    if threads < 1:
        raise UsageError(f"threads is {threads}; it must be at least 1.")
    import torch

    torch.set_num_threads(threads)
