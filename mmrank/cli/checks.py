"""What `mmrank doctor` looks at: each check tries the real thing on something small, and says what it saw."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from mmrank.media.frames_decord import imported_decord

State = Literal["ok", "missing", "note", "broken"]

GIB = 1024**3

LOW_DISK = 5 * GIB
"""A ViT-B/32 checkpoint takes 0.6 GB, larger ones up to 10: below this a download may not fit."""

NEEDED = (
    "torch",
    "torchvision",
    "open_clip",
    "lancedb",
    "pyarrow",
    "numpy",
    "PIL",
    "pillow_heif",
    "av",
    "pypdfium2",
    "safetensors",
    "transformers",
)
"""Modules nothing works without; the import itself is the check (a torchvision that does not fit torch fails in it)."""

DISTRIBUTIONS = {"PIL": "pillow", "open_clip": "open-clip-torch", "pillow_heif": "pillow-heif"}

EXTRAS = (
    ("decord", "decord", "decord2", 'a second video reader, for backend="decord"; PyAV is the default and faster'),
    ("faiss", "faiss", "faiss-cpu", "faster exact search in memory"),
    ("s3fs", "s3", "s3fs", "files in s3:// buckets"),
    ("gcsfs", "gcs", "gcsfs", "files in gs:// buckets"),
    ("ray", "ray", "ray", "builds on a cluster: mmrank index --on ray"),
    ("sentence_transformers", "sbert", "sentence-transformers", "embedders and rerankers of sentence-transformers"),
    ("peft", "lora", "peft", "LoRA adapters for judges"),
)
"""Module, extra, distribution, what it is for."""

LOADED: dict[str, Callable[[], object]] = {"decord": imported_decord, "faiss": partial(import_module, "faiss")}
"""Those with native libraries, which may be there and not load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at. `broken` and `essential` together make doctor's exit code 1."""

    group: str
    name: str
    state: State
    detail: str
    advice: str = ""
    essential: bool = False

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def all_checks() -> Iterator[Check]:
    """Every check in the order it is printed; each one is done when it is asked for."""
    yield from _installed()
    yield from _extras()
    yield from _devices()
    yield _threads()
    with tempfile.TemporaryDirectory(prefix="mmrank-doctor-") as folder:
        from mmrank.cli.trials import TRIALS

        for trial in TRIALS:
            if trial.module and not find_spec(trial.module):
                continue  # said under "Optional"
            yield tried(trial.group, trial.name, partial(trial.run, Path(folder)), trial.essential)
    yield _disk()


def tried(group: str, name: str, trial: Callable[[], str], essential: bool) -> Check:
    """Run a trial: what it returns is the detail, what it raises is what is broken."""
    try:
        return Check(group=group, name=name, state="ok", detail=trial(), essential=essential)
    except Exception as error:  # noqa: BLE001 - a broken installation fails in any way; finding out is doctor's work
        detail = f"{type(error).__name__}: {error}"
        return Check(group=group, name=name, state="broken", detail=detail, essential=essential)


def _installed() -> Iterator[Check]:
    yield Check(
        group="Installed",
        name="Python",
        state="ok",
        detail=f"{platform.python_version()} on {platform.system()} {platform.machine()} ({sys.executable})",
    )
    yield tried("Installed", "mmrank", lambda: str(import_module("mmrank").__version__), True)
    for module in NEEDED:
        yield tried("Installed", module, partial(_imported, module), True)


def _imported(module: str) -> str:
    loaded = import_module(module)
    try:
        return version(DISTRIBUTIONS.get(module, module))
    except PackageNotFoundError:
        return str(getattr(loaded, "__version__", "version unknown"))


def _extras() -> Iterator[Check]:
    for module, extra, distribution, purpose in EXTRAS:
        try:
            LOADED.get(module, partial(_there, module))()
        except ImportError:
            yield Check(
                group="Optional",
                name=extra,
                state="missing",
                detail=f"not installed; {purpose}",
                advice=f"pip install 'mmrank[{extra}]'",
            )
        except Exception as error:  # noqa: BLE001 - a broken native library raises what it likes
            yield Check(group="Optional", name=extra, state="broken", detail=f"{type(error).__name__}: {error}")
        else:
            try:
                detail = f"{distribution} {version(distribution)}"
            except PackageNotFoundError:
                detail = "another distribution of the same module"
            yield Check(group="Optional", name=extra, state="ok", detail=f"{detail}; {purpose}")


def _there(module: str) -> None:
    """Only looked for: some of them take ten seconds to import, and hold no native code of their own."""
    if find_spec(module) is None:
        raise ModuleNotFoundError(name=module)


def _devices() -> Iterator[Check]:
    try:
        import torch
    except Exception:  # noqa: BLE001 - already reported as broken under "Installed"
        return
    yield Check(group="Devices", name="cpu", state="ok", detail=f"{os.cpu_count()} cores")
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(number)
            detail = f"{properties.name}, {properties.total_memory / GIB:.0f} GiB"
            yield Check(group="Devices", name=f"cuda:{number}", state="ok", detail=detail)
    else:
        yield Check(group="Devices", name="cuda", state="missing", detail="no CUDA device; models run on the CPU")
    if torch.backends.mps.is_available():
        yield Check(group="Devices", name="mps", state="ok", detail="Apple GPU")


def _threads() -> Check:
    """Time a matrix product with one thread and with torch's default: on a busy machine more threads are slower."""
    try:
        import torch
    except Exception:  # noqa: BLE001 - already reported as broken under "Installed"
        return Check(group="Devices", name="threads", state="missing", detail="torch cannot be imported")
    default = torch.get_num_threads()
    if default == 1:
        return Check(group="Devices", name="threads", state="ok", detail="torch uses 1 thread")
    matrix = torch.ones(512, 512)
    times = {}
    for threads in (default, 1):
        torch.set_num_threads(threads)
        matrix @ matrix
        started = time.perf_counter()
        for _ in range(20):
            matrix @ matrix
        times[threads] = (time.perf_counter() - started) / 20 * 1000
    torch.set_num_threads(default)
    detail = f"{times[1]:.1f} ms with 1 thread, {times[default]:.1f} ms with {default}"
    if times[1] <= times[default] * 1.1:
        advice = "One thread is at least as fast here: use --threads 1 (or OMP_NUM_THREADS=1)."
        return Check(group="Devices", name="threads", state="note", detail=detail, advice=advice)
    return Check(group="Devices", name="threads", state="ok", detail=detail)


def _disk() -> Check:
    try:
        free = shutil.disk_usage(Path.cwd()).free
    except OSError as error:
        return Check(group="Disk", name="free space", state="broken", detail=str(error))
    detail = f"{free / GIB:.1f} GiB in {Path.cwd()}"
    if free < LOW_DISK:
        advice = "A model download takes up to several GB: make room, or point HF_HOME at a larger disk."
        return Check(group="Disk", name="free space", state="note", detail=detail, advice=advice)
    return Check(group="Disk", name="free space", state="ok", detail=detail)
