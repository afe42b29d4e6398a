"""Scanning, indexing and keeping true what lies in a bucket."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reportlab.pdfgen.canvas import Canvas

from mmrank.embed.base import Embedder
from mmrank.errors import MediaError, UsageError
from mmrank.index.index import Index
from mmrank.media import open_image, remote_stores, scan
from mmrank.media.load import digest
from mmrank.media.remote import allow_remote
from mmrank.types import Item

Jpeg = Callable[..., bytes]


def pdf(pages: int) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(200, 300))
    for page in range(1, pages + 1):
        canvas.drawString(20, 200, f"page {page}")
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def ids(index: Index) -> list[str]:
    return sorted(index._store.items.search().select(["id"]).limit(1000).to_arrow()["id"].to_pylist())


def test_a_bucket_is_listed_page_by_page(s3: Any, jpeg: Jpeg, monkeypatch: pytest.MonkeyPatch, proxy: Any) -> None:
    s3.put("photos", {f"in/{i:02}.jpg": jpeg(i) for i in range(7)} | {"in/.hidden/x.jpg": b"x", "in/a.xyz": b"x"})
    s3.put("photos", {"in/sub/": b"", "other/y.jpg": jpeg(1)})
    monkeypatch.setattr(remote_stores, "PAGE", 3)
    found = scan("S3://photos/in/")
    items = list(found)
    assert [item.uri for item in items] == [f"s3://photos/in/{i:02}.jpg" for i in range(7)]
    assert proxy.got(".jpg") == 0  # a picture is not fetched to be listed
    assert dict(items[0].meta) == {"name": "00.jpg", "bytes": len(jpeg(0)), "width": 48, "height": 40}
    assert dict(found.skipped) == {"(hidden)": 1, ".xyz": 1}
    assert found.failures == []
    assert sum("list-type=2" in path for _, path in proxy.seen) == 4  # ten names, three a page


def test_ids_tell_all_names_apart(s3: Any, jpeg: Jpeg) -> None:
    names = ["a b.jpg", "a%20b.jpg", "ä.jpg", "c#d.jpg", "e?f.jpg", "+g.jpg"]
    s3.put("photos", {name: jpeg(40 * i) for i, name in enumerate(names)})
    items = list(scan("s3://photos"))
    assert sorted(str(item.uri) for item in items) == sorted(f"s3://photos/{name}" for name in names)
    assert len({item.id for item in items}) == len(names)
    assert all(item.id.isascii() and " " not in item.id for item in items)
    assert len({digest(item) for item in items}) == len(names)  # each name leads to its own bytes


def test_folders_in_folders_are_left_out_when_asked(s3: Any, jpeg: Jpeg) -> None:
    s3.put("photos", {"a.jpg": jpeg(1), "in/b.jpg": jpeg(2)})
    assert [item.uri for item in scan("s3://photos", recursive=False)] == ["s3://photos/a.jpg"]


def test_parts_of_files_are_called_by_their_own_address(s3: Any, jpeg: Jpeg) -> None:
    table = b"image,price\none.jpg,3\n"
    s3.put(
        "docs", {"r.pdf": pdf(2), "n.txt": b"a note", "broken.pdf": b"no", "t/rows.csv": table, "t/one.jpg": jpeg(9)}
    )
    found = scan("s3://docs")
    items = {item.id: item for item in found}
    assert set(items) == {
        "s3://docs/r.pdf#page=1", "s3://docs/r.pdf#page=2", "s3://docs/n.txt", "s3://docs/t/one.jpg",
        "s3://docs/t/rows.csv#row=1",
    }  # fmt: skip
    page = items["s3://docs/r.pdf#page=2"]
    assert (page.uri, page.parent, page.meta["name"]) == ("s3://docs/r.pdf#page=2", "s3://docs/r.pdf", "r.pdf")
    assert items["s3://docs/n.txt"].text == "a note"
    assert items["s3://docs/t/rows.csv#row=1"].uri == "s3://docs/t/one.jpg"
    assert [(uri, "/tmp" in why) for uri, why in found.failures] == [("s3://docs/broken.pdf", False)]
    assert digest(page) != digest(items["s3://docs/r.pdf#page=1"])


def test_index_search_again_rename_prune(
    s3: Any, proxy: Any, jpeg: Jpeg, embedder: Embedder, tmp_path: Path, new_process: Callable[[], None]
) -> None:
    s3.put("photos", {f"{i}.jpg": jpeg(40 * i) for i in range(5)} | {"r.pdf": pdf(2)})
    index = Index.create(tmp_path / "photos.index", embedder)
    first = index.add(scan("s3://photos"), prune=True)
    assert (first.added, first.failed) == (7, ())
    assert [proxy.got(f"{i}.jpg") for i in range(5)] == [1] * 5  # hashed and decoded from one copy
    assert [path for method, path in proxy.seen if method == "HEAD"] == []  # the listing says all
    assert index.thumbnail("s3://photos/1.jpg")
    hit = index.search("red", k=1).hits[0]
    assert str(hit.item.uri).startswith("s3://photos/")

    new_process()
    proxy.seen.clear()
    again = index.add(scan("s3://photos"), prune=True)
    assert (again.unchanged, again.added, again.updated, again.removed) == (7, 0, 0, 0)
    assert sum(method == "HEAD" for method, _ in proxy.seen) <= 1
    assert proxy.got(".jpg") == 0  # told by size and ETag

    new_process()
    proxy.seen.clear()
    s3.put("photos", {"moved.jpg": jpeg(40), "2.jpg": jpeg(200)})
    s3.remove("photos", "1.jpg")
    third = index.add(scan("s3://photos"), prune=True)
    assert (third.added, third.updated, third.unchanged, third.removed, third.failed) == (1, 1, 5, 1, ())
    assert proxy.got(".jpg") == 2
    assert "s3://photos/1.jpg" not in ids(index)
    assert "s3://photos/moved.jpg" in ids(index)


def test_nothing_is_pruned_where_the_store_denies(
    s3: Any, proxy: Any, jpeg: Jpeg, embedder: Embedder, tmp_path: Path, new_process: Callable[[], None]
) -> None:
    s3.put("photos", {f"{i}.jpg": jpeg(40 * i) for i in range(3)})
    index = Index.create(tmp_path / "photos.index", embedder)
    index.add(scan("s3://photos"))
    new_process()
    proxy.fault = lambda method, path: "403"
    report = index.add(scan("s3://photos"), prune=True)
    assert report.removed == 0
    assert len(report.failed) == 1
    assert "denies" in report.failed[0][1]
    assert len(ids(index)) == 3


def test_what_was_not_given_is_not_fetched(s3: Any, proxy: Any, jpeg: Jpeg, tmp_path: Path) -> None:
    s3.put("photos", {"a.jpg": jpeg(1), "in/b.jpg": jpeg(2)})
    table = tmp_path / "rows.csv"
    table.write_text("image\ns3://photos/a.jpg\ns3://photos/in/b.jpg\n")
    items = list(scan(table))
    for item in items:
        with pytest.raises(MediaError, match="not given by name"):
            digest(item)
    assert proxy.seen == []
    allow_remote("s3://photos/in")
    digest(items[1])
    with pytest.raises(MediaError, match="not given by name"):
        digest(items[0])
    with pytest.raises(MediaError, match="not given by name"):
        open_image("s3://photos/inside.jpg")
    assert open_image("s3://photos/in/b.jpg").size == (48, 40)


def test_the_environment_allows_too(s3: Any, jpeg: Jpeg, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put("photos", {"a.jpg": jpeg(1)})
    monkeypatch.setenv("MMRANK_REMOTE", "https://example.org/ s3://photos/")
    assert digest(Item(id="a", kind="image", uri="s3://photos/a.jpg"))


@pytest.mark.parametrize(
    "address", ["s3://", "s3://photos/../x", "https://me:secret@host/a.jpg", "s3://b/a.pdf#page=2"]
)
def test_addresses_that_cannot_be_meant(address: str) -> None:
    with pytest.raises(UsageError):
        scan(address)
