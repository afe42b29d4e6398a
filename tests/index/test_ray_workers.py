"""Builds on two workers of a local Ray: the same rows as a build here, and nothing lost to workers that die."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mmrank
from mmrank.embed.base import Embedder
from mmrank.errors import EmbedderError, MissingDependencyError, UsageError, WorkersError
from mmrank.index import ray_crew, ray_hands
from mmrank.index.build import add
from mmrank.index.hand import Failed, Hand
from mmrank.index.ray_workers import RayWorkers
from mmrank.index.store import Store
from mmrank.media.scan import scan
from mmrank.types import Item

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow

HERE = str(Path(__file__).parent)
NOTE = [Item(id="note", kind="text", text="a kite")]
RED = [Item(id="red", kind="image", image=Image.new("RGB", (40, 30), "red"))]
TABLES = ("items", "thumbnails", "frames", "tokens", "failures", "settings")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Two CPUs, whatever the computer has; builds use the Ray that is there, and leave it."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    assert ray.is_initialized()
    ray.shutdown()


@pytest.fixture(autouse=True)
def nothing_is_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else these small builds would be done here."""
    monkeypatch.setattr(ray_crew, "LITTLE", 0)


def pixels(*, deadly: str = "", weights: str = "seed 0") -> Embedder:
    """A small embedder made in a worker; one picture (by file name) ends the process that embeds it."""
    found = importlib.util.spec_from_file_location("pixels", Path(HERE) / "pixels.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)

    class Deadly(module.PixelEmbedder):  # type: ignore[misc, name-defined]
        def prepare(self, loaded: Any) -> Any:
            if deadly and str(loaded.item.uri).endswith(deadly):
                os._exit(1)
            return super().prepare(loaded)

    made: Any = Deadly()
    made.fingerprint = replace(made.fingerprint, weights=weights)
    return made  # type: ignore[no-any-return]


def tables(store: Store) -> dict[str, Any]:
    """All rows, in the order they were written; failures without their time."""
    store.refresh()
    found = {name: getattr(store, name) for name in TABLES}
    read = {name: table.to_arrow() for name, table in found.items() if table is not None}
    return {**read, "failures": read["failures"].drop_columns(["at"])}


def both(tmp_path: Path, embedder: Embedder, items: Callable[[], Any], workers: RayWorkers, **options: Any) -> Any:
    """Reports and tables of the same build here and there."""
    here, there = (Store.create(tmp_path / name, embedder) for name in ("here", "there"))
    reports = (
        add(here, embedder, items(), workers=1, **options),
        add(there, embedder, items(), workers=workers, **options),
    )
    return reports, (tables(here), tables(there))


def test_the_same_rows_as_here(
    cluster: None,
    tmp_path: Path,
    embedder: Embedder,
    media: Path,
    write_images: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = write_images(tmp_path / "more", 150, seed=3)
    (folder / "twin.jpg").write_bytes((folder / "0003.jpg").read_bytes())
    (folder / "broken.jpg").write_bytes((folder / "0004.jpg").read_bytes()[:300])
    (folder / "empty.png").write_bytes(b"")
    old = time.time() - 60
    for path in [*folder.iterdir(), *media.iterdir()]:
        os.utime(path, (old, old))  # files changed just now have no stamp yet

    def items() -> list[Item]:
        return [*scan([folder, media]), Item(id="note", kind="text", text="a kite")]

    workers = RayWorkers(count=2)
    (here, there), (one, other) = both(tmp_path, embedder, items, workers)
    assert replace(here, seconds=0, recall=None) == replace(there, seconds=0, recall=None)
    assert here.added > 150
    assert len(here.failed) == 2
    assert one.keys() == other.keys()
    for name, table in one.items():
        assert [c for c in table.column_names if not table[c].equals(other[name][c])] == [], name

    elsewhere = RayWorkers("127.0.0.1:9")
    monkeypatch.setattr(elsewhere, "connect", pytest.fail)  # nothing to do is no reason to ask a cluster for anything
    good = [item for item in items() if not str(item.uri).endswith((".png", "broken.jpg"))]
    again = add(Store.open(tmp_path / "there"), embedder, good, workers=elsewhere)
    assert (again.added, again.updated, again.unchanged) == (0, 0, here.added)


def test_pictures_in_memory(cluster: None, tmp_path: Path) -> None:
    """They travel to the workers, in smaller batches."""
    model = pixels()
    colours = [(10 * n, 255 - 10 * n, 90) for n in range(20)]
    items = [Item(id=str(n), kind="image", image=Image.new("RGB", (40, 30), c)) for n, c in enumerate(colours)]
    workers = RayWorkers(count=2, embedder=pixels)
    (_, there), (one, other) = both(tmp_path, model, lambda: items, workers)
    assert (there.added, there.failed) == (20, ())
    vectors = [np.array(table["items"]["vector"].to_pylist()) for table in (one, other)]
    np.testing.assert_allclose(*vectors, atol=1e-6)
    assert one["thumbnails"].equals(other["thumbnails"])


def test_a_cluster_is_not_asked_for_little(tmp_path: Path, write_images: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few new files, and those that fail every night."""
    monkeypatch.setattr(ray_crew, "LITTLE", 5)
    folder = write_images(tmp_path / "photos", 4)
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    model = pixels()
    store = Store.create(tmp_path / "index", model)
    nowhere = RayWorkers(embedder=pixels)
    monkeypatch.setattr(nowhere, "connect", refuse)
    for added, unchanged in ((4, 0), (0, 4)):
        report = add(store, model, scan(folder), workers=nowhere)
        assert (report.added, report.unchanged, len(report.failed)) == (added, unchanged, 1)
    write_images(folder / "more", 6, seed=1)
    with pytest.raises(WorkersError, match="asked"):
        add(store, model, scan(folder), workers=nowhere)


def refuse() -> bool:
    raise WorkersError("the cluster was asked")


def test_what_a_first_run_left_is_gone_on_with(cluster: None, tmp_path: Path, write_images: Any) -> None:
    folder = write_images(tmp_path / "photos", 40)
    model = pixels()
    store = Store.create(tmp_path / "index", model)
    workers = RayWorkers(count=2, cpus=1, embedder=pixels)
    add(store, model, list(scan(folder))[:15], workers=workers)
    report = add(
        store, model, [replace(item, meta={**item.meta, "price": 1}) for item in scan(folder)], workers=workers
    )
    assert (report.added, report.updated, report.failed) == (25, 15, ())
    rows = store.items.to_arrow()
    assert sorted(rows["id"].to_pylist()) == sorted(item.id for item in scan(folder))
    assert rows["price"].null_count == 0


def test_a_file_that_kills_workers_takes_nothing_along(
    cluster: None, tmp_path: Path, write_images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_hands, "ASK_AGAIN", 0.2)
    folder = write_images(tmp_path / "photos", 30)
    model = pixels()
    store = Store.create(tmp_path / "index", model)
    workers = RayWorkers(count=2, embedder=lambda: pixels(deadly="0011.jpg"))
    report = add(store, model, scan(folder), workers=workers, batch_size=8)
    ((uri, why),) = report.failed
    assert uri.endswith("0011.jpg")
    assert why.startswith("2 workers died over it.")
    assert report.added == store.items.count_rows() == 29


def test_when_no_worker_comes_back_the_build_ends(cluster: None, tmp_path: Path, write_images: Any) -> None:
    """The first picture is deadly, and workers that are back after seconds are not waited for."""
    folder = write_images(tmp_path / "photos", 3)
    model = pixels()
    store = Store.create(tmp_path / "index", model)

    def once() -> Embedder:
        """Loads in the first two processes, and never again: as when a node is gone."""
        mark = tmp_path / f"loaded-{os.getpid()}"
        if len(list(tmp_path.glob("loaded-*"))) >= 2:
            time.sleep(60)
        mark.touch()
        return pixels(deadly=".jpg")

    workers = RayWorkers(count=2, embedder=once, start_seconds=8)
    with pytest.raises(WorkersError, match="All 2 Ray workers were lost, and none came back within 8 s"):
        add(store, model, scan(folder), workers=workers)


def test_another_model_in_a_worker_is_refused(cluster: None, tmp_path: Path) -> None:
    model = pixels()
    store = Store.create(tmp_path / "index", model)
    workers = RayWorkers(count=1, embedder=partial(pixels, weights="seed 1"))
    with pytest.raises(EmbedderError, match=r"has another model than this process: pixels .*seed 1.* not .*seed 0"):
        add(store, model, RED, workers=workers)


def test_a_model_that_does_not_load_there(cluster: None, tmp_path: Path) -> None:
    model = pixels()
    store = Store.create(tmp_path / "index", model)
    with pytest.raises(WorkersError, match=r"could not load pixels\. .* must be installed .*'pixels'"):
        add(store, model, RED, workers=RayWorkers(count=1))


def test_no_room(cluster: None, tmp_path: Path) -> None:
    model = pixels()
    store = Store.create(tmp_path / "index", model)
    workers = RayWorkers(count=3, embedder=pixels, start_seconds=2)
    with pytest.raises(WorkersError, match=r"\d of 3 Ray workers did not start within 2 s\. The cluster has 2 CPUs"):
        add(store, model, RED, workers=workers)
    workers = RayWorkers(gpus=1, embedder=pixels, start_seconds=1)
    with pytest.raises(WorkersError, match=r"1 of 1 Ray workers did not start"):
        add(store, model, RED, workers=workers)


def test_what_keeps_workers_from_starting_is_waited_for_once(
    tmp_path: Path, write_images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many calls for hashes are under way then; each of them would wait its ten minutes."""
    asked = []

    def connect() -> bool:
        asked.append(1)
        return refuse()

    model = pixels()
    store = Store.create(tmp_path / "index", model)
    workers = RayWorkers(embedder=pixels)
    monkeypatch.setattr(workers, "connect", connect)
    with pytest.raises(WorkersError, match="asked"):
        add(store, model, scan(write_images(tmp_path / "photos", 200)), workers=workers)
    assert asked == [1]


def test_options_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="count is 0; it must be at least 1, or None"):
        RayWorkers(count=0)
    with pytest.raises(UsageError, match="gpus is -1; it must be at least 0, or None"):
        RayWorkers(gpus=-1)
    monkeypatch.setattr("mmrank.index.ray_workers.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'mmrank\[ray\]'"):
        RayWorkers()


@pytest.mark.parametrize(
    ("there", "asked", "shares"),
    [
        ({"CPU": 2}, {}, (2, 1, 0)),
        ({"CPU": 64, "GPU": 8}, {}, (8, 8, 1)),
        ({"CPU": 8, "GPU": 4}, {}, (4, 2, 1)),
        ({"CPU": 2, "GPU": 8}, {}, (8, 1, 1)),
        ({"CPU": 64, "GPU": 8}, {"gpus": 0.5}, (16, 4, 0.5)),
        ({"CPU": 64, "GPU": 8}, {"gpus": 0, "cpus": 4}, (16, 4, 0)),
        ({"CPU": 64, "GPU": 8}, {"gpus": 0}, (64, 1, 0)),
        ({"CPU": 16}, {"count": 3}, (3, 1, 0)),
        ({}, {}, (1, 1, 0)),
    ],
)
def test_how_a_cluster_is_shared_out(there: dict[str, float], asked: dict[str, Any], shares: tuple[float, ...]) -> None:
    assert RayWorkers(**asked).shares(there) == shares


def test_a_hand_says_what_failed_and_where(tmp_path: Path, write_images: Any) -> None:
    folder = write_images(tmp_path / "photos", 2)
    (folder / "0001.jpg").write_bytes(b"\xff\xd8\xff")
    items = [Item(id=str(n), kind="image", uri=str(folder / f"000{n}.jpg")) for n in range(3)]
    hand = Hand(pixels, decoding=2, home="elsewhere")
    hashes = hand.hashes(items, frozenset())
    assert [type(found) for found in hashes] == [str, str, Failed]
    made = hand.embed([(item, str(n)) for n, item in enumerate(items)], frozenset(), thumbnails=True)
    assert made[0].error is None
    assert made[0].embedded is not None
    assert made[0].thumbnail is not None
    for content in made[1:]:
        assert content.error is not None
        assert content.error.endswith(f"(on {os.uname().nodename})")


KILLED = """
import sys
here, address, uri, folder = sys.argv[1:]
sys.path.insert(0, here)
from pixels import PixelEmbedder
from mmrank.index.build import add
from mmrank.index.ray_workers import RayWorkers
from mmrank.index.store import Store
from mmrank.media.scan import scan

def there():
    sys.path.insert(0, here)
    from pixels import PixelEmbedder
    return PixelEmbedder()

model = PixelEmbedder()
add(Store.create(uri, model), model, scan(folder), workers=RayWorkers(address, count=2, embedder=there), batch_size=4)
"""


def test_a_killed_build_is_gone_on_with(cluster: None, tmp_path: Path, write_images: Any) -> None:
    """A process of its own builds on a cluster, by its address, and is killed; then a build here, without Ray."""
    folder = write_images(tmp_path / "photos", 1500)
    address = str(ray.get_runtime_context().gcs_address)
    given = [HERE, address, str(tmp_path / "index"), str(folder)]
    build = subprocess.Popen([sys.executable, "-c", KILLED, *given], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while build.poll() is None and time.monotonic() < until and not [*(tmp_path / "index/items.lance").glob("data/*")]:
        time.sleep(0.01)
    while build.poll() is None and not _rows(tmp_path / "index"):  # the first file is there, and soon its rows
        time.sleep(0.05)
    os.kill(build.pid, signal.SIGKILL)
    _, said = build.communicate()
    assert "Traceback" not in said
    left = _rows(tmp_path / "index")
    assert 0 < left < 1500
    store = Store.open(tmp_path / "index")
    report = add(store, pixels(), scan(folder), workers=1)
    assert (report.added + report.unchanged, report.updated, report.failed) == (1500, 0, ())
    assert report.unchanged >= left
    assert sorted(store.items.to_arrow()["id"].to_pylist()) == sorted(item.id for item in scan(folder))


def _rows(uri: Path) -> int:
    try:
        return int(Store.open(uri).items.count_rows())
    except mmrank.MmrankError:
        return 0
