"""Workers of a Ray cluster: every one a process with its own model, on whatever computer has room for it.

Planning and writing stay in the process that builds: one writer, the same look-ups, the same commits, so that a build
on a cluster is resumed, killed and kept true like any other, and gives the same rows in the same order. What travels is
items and hashes to the workers, and vectors and thumbnails back; pictures and videos are read where they are decoded.

These are Ray's actors and not Ray Data's stages: a dataset must be known before it runs and loads the model anew for
every run, while a build plans what it embeds as it goes, by what earlier items turned out to be.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import socket
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import Any

from mmrank.embed.base import Embedder
from mmrank.embed.registry import load_embedder
from mmrank.errors import EmbedderError, MissingDependencyError, MmrankError, UsageError, WorkersError
from mmrank.index.hand import Hand, MakeEmbedder
from mmrank.index.ray_crew import CALLS_EACH, HASHING, RayCrew
from mmrank.index.ray_hands import Hands, cause
from mmrank.index.workers import Crew, pool

log = logging.getLogger("mmrank.index.build")

START_SECONDS = 600.0
"""How long workers may take to start: a cluster that grows when asked needs minutes for a new machine."""

CONNECT_SECONDS = 10.0
"""How long the head of a cluster may take to accept a connection."""

MOST_DECODING = 8
"""CPUs of a worker with a GPU: more decoding threads wait for each other in Python."""


class RayWorkers:
    """Workers on a Ray cluster, for ``index.add(items, workers=...)``.

    `address`: of a cluster (``auto``, ``head:6379``, ``ray://head:10001``); None takes the one in ``RAY_ADDRESS`` or
    around this process, and otherwise starts Ray on this computer for as long as the build runs. `count`: how many; by
    default one for every GPU of the cluster, or for every CPU where there is none. `gpus` and `cpus` of each: one GPU
    by default where there are any, and the CPUs shared out, at most 8. `device`, `precision` and `threads` are those of
    `mmrank.load_embedder` in a worker, where `threads` is its CPUs when None. `embedder`: loads the model there
    instead, where the index's own spec does not. `start_seconds`: how long workers may take to start, or to come back.
    mmrank must be installed on every node, and files must have the same paths there (docs/cluster.md).

    Raises `MissingDependencyError` without Ray, `UsageError` for numbers that cannot be.

    >>> index.add(mmrank.scan("s3://bucket/photos"), workers=mmrank.RayWorkers("auto"))  # doctest: +SKIP
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        count: int | None = None,
        cpus: float | None = None,
        gpus: float | None = None,
        device: str | None = None,
        precision: str | None = None,
        threads: int | None = None,
        embedder: MakeEmbedder | None = None,
        start_seconds: float = START_SECONDS,
    ) -> None:
        for name, value, least in (("count", count, 1), ("cpus", cpus, 0), ("gpus", gpus, 0)):
            if value is not None and value < least:
                raise UsageError(f"{name} is {value}; it must be at least {least}, or None.")
        if find_spec("ray") is None:
            raise MissingDependencyError("Ray", "ray", "a build on a cluster")
        self._address = address
        self._count, self._cpus, self._gpus = count, cpus, gpus
        self._device, self._precision, self._threads = device, precision, threads
        self._make = embedder
        self._patience = start_seconds

    @contextmanager
    def started(self, embedder: Embedder) -> Iterator[Crew]:
        """The crew. Ray is asked for workers when there is more than a little to do (`ray_crew.LITTLE`)."""
        cluster = _Cluster(self, embedder)
        try:
            with pool(HASHING, "digest") as hashing:
                yield RayCrew(embedder, cluster.hands, hashing)
        finally:
            cluster.close()

    def connect(self) -> bool:
        """True when this call connected to Ray, or started it, so that its caller is to shut it down."""
        import ray

        if ray.is_initialized():
            return False
        _connect(self._address)
        return True

    def workers(self, embedder: Embedder) -> tuple[list[Any], float]:
        """Actors that will load the model, and how long to wait for them, in seconds."""
        import ray

        count, cpus, gpus = self.shares(ray.cluster_resources())
        log.info("starting %d Ray workers with %g CPUs and %g GPUs each", count, cpus, gpus)
        make = self._make or partial(
            load_embedder,
            embedder.spec,
            device=self._device,
            precision=self._precision,
            threads=self._threads or max(int(cpus), 1),
        )
        # A worker that died comes back, wherever there is room, and loads its model again.
        options = {"num_cpus": cpus, "num_gpus": gpus, "max_restarts": -1, "max_concurrency": CALLS_EACH + 1}
        actor = ray.remote(Hand).options(**options)
        decoding = min(max(int(cpus), 1), MOST_DECODING)
        return [actor.remote(make, decoding=decoding, home=platform.node()) for _ in range(count)], self._patience

    def shares(self, there: dict[str, float]) -> tuple[int, float, float]:
        """How many workers, and the CPUs and GPUs of each."""
        all_cpus, all_gpus = there.get("CPU", 1), there.get("GPU", 0)
        gpus = self._gpus if self._gpus is not None else float(all_gpus > 0)
        room = all_gpus / gpus if gpus else all_cpus / (self._cpus or 1)
        count = self._count or max(int(room), 1)
        if self._cpus is not None:
            return count, self._cpus, gpus
        cpus = float(min(max(all_cpus // count, 1), MOST_DECODING)) if gpus else 1.0
        return count, cpus, gpus


class _Cluster:
    """The workers of one build, started when they are first needed."""

    def __init__(self, wanted: RayWorkers, embedder: Embedder) -> None:
        self._wanted = wanted
        self._embedder = embedder
        self._lock = threading.Lock()
        self._hands: Hands | MmrankError | None = None
        self._actors: list[Any] = []
        self._own = False

    def hands(self) -> Hands:
        """The workers, each with the index's own model. Raises `WorkersError` and `EmbedderError` when they are not.

        They are started once: what went wrong then is raised for whoever asks later, without another wait.
        """
        with self._lock:
            if self._hands is None:
                try:
                    self._hands = self._started()
                except MmrankError as error:
                    self._hands = error
            if isinstance(self._hands, MmrankError):
                raise self._hands
            return self._hands

    def _started(self) -> Hands:
        self._own = self._wanted.connect()
        self._actors, patience = self._wanted.workers(self._embedder)
        _greet(self._actors, self._embedder, patience)
        return Hands(self._actors, patience)

    def close(self) -> None:
        if self._actors or self._own:
            import ray

            for actor in self._actors:
                ray.kill(actor)
            if self._own:
                ray.shutdown()


def _greet(hands: Sequence[Any], embedder: Embedder, patience: float) -> None:
    """Wait until every worker has its model, and raise unless it is the index's."""
    import ray

    waiting = [hand.introduce.remote() for hand in hands]
    _, late = ray.wait(waiting, num_returns=len(waiting), timeout=patience)
    if late:
        raise WorkersError(
            f"{len(late)} of {len(hands)} Ray workers did not start within {patience:g} s. The cluster has "
            f"{_told(ray.cluster_resources())}, of which {_told(ray.available_resources())} are free. Ask for "
            "fewer workers, or for less CPU and GPU each."
        )
    for ready in waiting:
        try:
            where, spec, fingerprint = ray.get(ready)
        except ray.exceptions.RayError as error:
            raise WorkersError(
                f"A Ray worker could not load {embedder.spec}. On every node mmrank must be installed and the "
                f"model's weights within reach. {cause(error)}"
            ) from error
        if (spec, fingerprint) != (embedder.spec, embedder.fingerprint):
            raise EmbedderError(
                f"The Ray worker on {where} has another model than this process: {spec} with {fingerprint}, and "
                f"not {embedder.spec} with {embedder.fingerprint}. Put the same weights and versions there."
            )
        log.info("Ray worker ready on %s", where)


def _connect(address: str | None) -> None:
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody who indexes pictures asked to report it
    where = address or os.environ.get("RAY_ADDRESS") or None
    here: dict[str, Any] = {} if where else {"include_dashboard": False}
    try:
        if where and (listens := re.fullmatch(r"(?:ray://)?([^/]+):(\d+)", where)):
            # Ray itself looks for minutes for a cluster that is not there, and fills the screen meanwhile.
            socket.create_connection((listens[1].strip("[]"), int(listens[2])), CONNECT_SECONDS).close()
        with warnings.catch_warnings():
            # LanceDB warns of any fork; Ray's children become other programs at once.
            warnings.filterwarnings("ignore", message="lancedb fork support")
            ray.init(where, log_to_driver=False, logging_level=logging.ERROR, **here)
    except Exception as error:  # gRPC's, Ray's and the system's own, for one cause: it is not there
        raise WorkersError(
            f"The Ray cluster at {where or 'this computer'} cannot be reached: {type(error).__name__}: {error}. "
            "Start one with `ray start --head`, or leave the address out."
        ) from error


def _told(resources: dict[str, float]) -> str:
    return f"{resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} GPUs"
