from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mmrank.index.failures import FailureLog
from mmrank.index.store import Store


def _kept(store: Store) -> dict[str, str]:
    return {row["uri"]: row["why"] for row in store.failures.to_arrow().to_pylist()}


def test_failures_are_kept_by_uri_with_the_time(store: Store) -> None:
    log = FailureLog(store.failures)
    log.record({"/a.jpg": "empty", "/b.jpg": "truncated"})
    log.record({"/a.jpg": "still empty"})
    log.record({})
    assert _kept(store) == {"/a.jpg": "still empty", "/b.jpg": "truncated"}
    for row in store.failures.to_arrow().to_pylist():
        assert abs(row["at"] - datetime.now(UTC)) < timedelta(minutes=5)


def test_success_clears_them_in_a_later_build_too(store: Store) -> None:
    FailureLog(store.failures).record({"/it's.jpg": "empty", "/report.pdf": "broken", "/c.jpg": "empty"})
    log = FailureLog(store.failures)
    assert log.holds("/it's.jpg")
    assert log.holds("/report.pdf#page=2")  # a page can be read, so the file can
    assert not log.holds("/other.jpg")
    log.clear(["/it's.jpg", "/report.pdf#page=2", "/other.jpg"])
    assert _kept(store) == {"/c.jpg": "empty"}
    assert not log.holds("/it's.jpg")


def test_nothing_to_clear_writes_nothing(store: Store) -> None:
    log = FailureLog(store.failures)
    before = store.failures.version
    log.clear(["/a.jpg"])
    assert store.failures.version == before
