"""What a store can do wrong: one line of the report each, and the rest goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mmrank.embed.base import Embedder
from mmrank.errors import MediaError
from mmrank.index.index import Index
from mmrank.index.report import AddReport
from mmrank.media import open_image, remote_copies, remote_stores, scan
from mmrank.media.load import digest
from mmrank.media.remote import RemoteFile, allow_remote
from mmrank.media.remote_copies import Copies
from mmrank.types import Item

Jpeg = Callable[..., bytes]


@pytest.fixture
def add(embedder: Embedder, tmp_path: Path) -> Callable[..., AddReport]:
    index = Index.create(tmp_path / "index", embedder)
    return lambda *roots: index.add(scan(roots))


def only_why(report: AddReport, uri: str) -> str:
    assert [name for name, _ in report.failed] == [uri]
    return report.failed[0][1]


def test_a_bucket_that_is_not_there(s3: Any, jpeg: Jpeg, add: Any) -> None:
    s3.put("photos", {"a.jpg": jpeg(1)})
    report = add("s3://no-such-bucket/in", "s3://photos")
    assert "there is no bucket 'no-such-bucket'" in only_why(report, "s3://no-such-bucket/in")
    assert report.added == 1


def test_nothing_at_an_address(s3: Any, jpeg: Jpeg, add: Any) -> None:
    s3.put("photos", {"a.jpg": jpeg(1)})
    report = add("s3://photos/typo", "s3://photos/a.jpg")
    assert "nothing lies there" in only_why(report, "s3://photos/typo")
    assert report.added == 1


def test_a_denied_file(s3: Any, proxy: Any, jpeg: Jpeg, add: Any) -> None:
    s3.put("photos", {"a.jpg": jpeg(1), "b.jpg": jpeg(2)})
    proxy.fault = lambda method, path: "403" if path.endswith("a.jpg") else None
    report = add("s3://photos")
    assert "the store denies it (403" in only_why(report, "s3://photos/a.jpg")
    assert report.added == 1
    assert proxy.got("a.jpg") == 1  # a denial is no accident: it is not asked again


def test_no_credentials(s3: Any, add: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "Set AWS_ACCESS_KEY_ID" in only_why(add("s3://photos"), "s3://photos")


def test_a_store_that_stalls(s3: Any, proxy: Any, jpeg: Jpeg, add: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMRANK_REMOTE_TIMEOUT", "0.5")
    s3.put("photos", {"a.jpg": jpeg(1), "b.jpg": jpeg(2)})
    proxy.fault = lambda method, path: "stall" if path.endswith("a.jpg") else None
    report = add("s3://photos")
    assert "it timed out after 0.5 s, 4 times in a row" in only_why(report, "s3://photos/a.jpg")
    assert report.added == 1


def test_half_a_picture_is_never_embedded(s3: Any, proxy: Any, jpeg: Jpeg, add: Any) -> None:
    s3.put("photos", {"a.jpg": jpeg(1), "b.jpg": jpeg(2)})
    proxy.fault = lambda method, path: "cut" if method == "GET" and path.endswith("a.jpg") else None
    report = add("s3://photos")
    assert "4 times in a row" in only_why(report, "s3://photos/a.jpg")
    assert report.added == 1


def test_trouble_that_passes_is_not_seen(s3: Any, proxy: Any, jpeg: Jpeg, add: Any) -> None:
    s3.put("photos", {"a.jpg": jpeg(1)})
    faults = ["500", "cut", None]
    proxy.fault = lambda method, path: faults.pop(0) if path.endswith("a.jpg") else None
    report = add("s3://photos/")
    assert (report.added, report.failed) == (1, ())
    assert proxy.got("a.jpg") == 3


def test_a_listing_that_breaks_off_is_said(
    s3: Any, proxy: Any, jpeg: Jpeg, add: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put("photos", {f"{i}.jpg": jpeg(40 * i) for i in range(4)})
    monkeypatch.setattr(remote_stores, "PAGE", 2)
    proxy.fault = lambda method, path: "500" if "continuation-token" in path else None
    report = add("s3://photos")
    assert "the store answered InternalError, 4 times" in only_why(report, "s3://photos")
    assert report.added == 2


def test_large_files_come_in_blocks_and_go_on_where_they_broke(
    s3: Any, proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_stores, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(remote_copies, "BLOCK_BYTES", 1000)
    data = bytes(i % 251 for i in range(4500))
    s3.put("files", {"a.bin": data})
    allow_remote("s3://files")
    faults = [None, None, "cut", None]
    proxy.fault = lambda method, path: faults.pop(0) if faults and method == "GET" else None
    with remote_copies.held("s3://files/a.bin") as copy:
        assert copy.read_bytes() == data
    assert proxy.got("a.bin") == 6


def test_a_file_that_changes_while_it_is_read(s3: Any, proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_stores, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(remote_copies, "BLOCK_BYTES", 1000)
    s3.put("files", {"a.bin": b"a" * 2000})
    allow_remote("s3://files")

    def replaced(method: str, path: str) -> None:
        if proxy.got("a.bin") == 2:
            s3.put("files", {"a.bin": b"b" * 2000})

    proxy.fault = replaced
    with pytest.raises(MediaError, match="changed while it was read"), remote_copies.held("s3://files/a.bin"):
        pass


def test_too_large_is_refused_before_it_is_fetched(s3: Any, proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_copies, "MAX_BYTES", 10)
    s3.put("photos", {"a.jpg": b"x" * 11})
    allow_remote("s3://photos")
    with pytest.raises(MediaError, match="has 11 bytes; at most 10"):
        open_image("s3://photos/a.jpg")
    assert proxy.got("a.jpg") == 0


def test_copies_are_bounded_and_those_in_use_stay(s3: Any) -> None:
    s3.put("files", {f"{i}.bin": bytes(600) for i in range(4)})
    allow_remote("s3://files")
    copies = Copies(kept_bytes=1000)
    with copies.held("s3://files/0.bin") as first:
        for i in range(1, 4):
            with copies.held(f"s3://files/{i}.bin") as later:
                assert later.stat().st_size == 600
        assert first.is_file()
        assert not later.is_file()
    assert first.is_file()


def test_errors_name_the_file_and_not_its_copy(s3: Any) -> None:
    s3.put("photos", {"a.jpg": b"no picture"})
    allow_remote("s3://photos")
    with pytest.raises(MediaError, match=r"^s3://photos/a\.jpg is not an image"):
        open_image("s3://photos/a.jpg")


@pytest.fixture
def web(jpeg: Jpeg, new_process: Callable[[], None]) -> Any:
    """A web server: one picture, an address that leads elsewhere, one that is cut."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            seen.append(self.path)
            data = jpeg(120)
            if self.path.startswith("/on/"):
                self.send_response(302)
                self.send_header("Location", "http://169.254.169.254/secrets.jpg")
                self.end_headers()
                return
            self.send_response(200 if self.path.startswith("/in/") else 404)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data[: 10 if "cut" in self.path else None])

        do_GET = do_HEAD = _answer  # noqa: N815 - the names http.server calls

        def log_message(self, format: str, *args: Any) -> None:
            pass

    new_process()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
        server.shutdown()


def test_files_of_a_web_server(web: Any, add: Any) -> None:
    address, _ = web
    files = [f"{address}/{name}" for name in ("in/a.jpg", "in/b.jpg?x=1", "on/a.jpg", "no.jpg", "in/cut.jpg")]
    report = add(*files, address)
    why = dict(report.failed)
    assert report.added == 2
    assert set(why) == {*files[2:], address}
    assert "leads on to http://169.254.169.254/secrets.jpg, which was not given" in why[files[2]]
    assert "is not there (404)" in why[files[3]]
    assert "4 times in a row" in why[files[4]]
    assert "give the addresses of files" in why[address]


def test_a_web_address_that_was_not_given(web: Any) -> None:
    address, seen = web
    with pytest.raises(MediaError, match="not given by name"):
        digest(Item(id="a", kind="image", uri=f"{address}/in/a.jpg"))
    assert seen == []


def test_a_stamp_needs_an_etag() -> None:
    assert RemoteFile(uri="https://h/a.jpg", size=3).stamp is None
