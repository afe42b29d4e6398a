from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mmrank.errors import MediaError
from mmrank.media import archive
from mmrank.media.archive import open_archive, read_member

Tar = Callable[..., Path]


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def read(path: Path) -> dict[str, bytes | str]:
    with open_archive(path) as opened:
        return {m.name: m.trouble or opened.read(m.place) for m in opened.members()}


@pytest.mark.parametrize(("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tgz", "w:gz")])
def test_members_are_read_in_order_and_again_by_name(name: str, mode: str, tmp_path: Path, tar: Tar) -> None:
    long = "d/" * 80 + "ä #&.jpg"
    path = tar(tmp_path / name, ("a/1.jpg", b"one"), ("a/2.jpg", b""), (long, b"three" * 300), mode=mode)
    assert read(path) == {"a/1.jpg": b"one", "a/2.jpg": b"", long: b"three" * 300}
    assert read_member(path, long) == b"three" * 300
    assert read_member(path, "a/1.jpg") == b"one"
    with pytest.raises(MediaError, match=r"no member 'a/3\.jpg'"):
        read_member(path, "a/3.jpg")


def test_a_rewritten_archive_is_read_anew(tmp_path: Path, tar: Tar) -> None:
    path = tar(tmp_path / "a.tar", ("1.jpg", b"one"))
    assert read_member(path, "1.jpg") == b"one"
    tar(path, ("0.jpg", b"x" * 2000), ("1.jpg", b"changed"))
    assert read_member(path, "1.jpg") == b"changed"


def test_links_devices_and_names_that_lead_out_are_said_and_never_read(tmp_path: Path, tar: Tar) -> None:
    (tmp_path / "secret").write_text("secret")
    path = tar(
        tmp_path / "a.tar",
        special("link.jpg", tarfile.SYMTYPE, str(tmp_path / "secret")),
        special("hard.jpg", tarfile.LNKTYPE, "../secret"),
        special("pipe.jpg", tarfile.FIFOTYPE),
        special("folder", tarfile.DIRTYPE),
        ("/etc/passwd.jpg", b"a"),
        ("../up.jpg", b"b"),
        ("a/../../up.jpg", b"c"),
        ("C:\\x.jpg", b"d"),
        ("good.jpg", b"good"),
        ("good.jpg", b"again"),
    )
    with open_archive(path) as opened:
        members = list(opened.members())
    troubles = [(m.name, (m.trouble or "").split(",")[0]) for m in members]
    assert troubles == [
        ("link.jpg", "it is a link"),
        ("hard.jpg", "it is a link"),
        ("pipe.jpg", "it is a device"),
        ("/etc/passwd.jpg", "its name leads out of the archive (absolute"),
        ("../up.jpg", "its name leads out of the archive (absolute"),
        ("a/../../up.jpg", "its name leads out of the archive (absolute"),
        ("C:\\x.jpg", "its name leads out of the archive (absolute"),
        ("good.jpg", ""),
        ("good.jpg", "the archive has this name twice; the first one counts"),
    ]
    assert read_member(path, "good.jpg") == b"good"
    for name in ("link.jpg", "/etc/passwd.jpg", "../up.jpg"):
        with pytest.raises(MediaError, match="no member"):
            read_member(path, name)


def test_members_too_large_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tar: Tar) -> None:
    monkeypatch.setattr(archive, "MEMBER_BYTES", 10)
    path = tar(tmp_path / "a.tar", ("big.jpg", b"x" * 11), ("small.jpg", b"y" * 10))
    assert read(path) == {"big.jpg": "it has 11 bytes; at most 10 are read of a member", "small.jpg": b"y" * 10}
    monkeypatch.setattr(archive, "SKIPPED_BYTES", 10)
    with pytest.raises(MediaError, match="a member claims 11 bytes"):
        read(tar(tmp_path / "a.tar.gz", ("big.jpg", b"x" * 11), ("small.jpg", b"y"), mode="w:gz"))


@pytest.mark.parametrize(("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz")])
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_an_archive_that_breaks_off_is_an_error(name: str, mode: str, share: float, tmp_path: Path, tar: Tar) -> None:
    import random

    noise = random.Random(0)
    path = tar(tmp_path / name, *((f"{i}.jpg", noise.randbytes(5000)) for i in range(20)), mode=mode)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(MediaError, match=name):
        read(path)


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path, tar: Tar) -> None:
    path = tar(tmp_path / "a.tar", ("1.jpg", b"one"), ("2.jpg", b"two"), ("3.jpg", b"three"))
    content = bytearray(path.read_bytes())
    content[1024 + 150] ^= 0xFF  # in the checksum of the second header
    path.write_bytes(content)
    with pytest.raises(MediaError, match="damaged at byte 1,024"):
        read(path)


def test_what_is_no_archive_is_said(tmp_path: Path) -> None:
    for name, content in {"a.tar": b"no tar at all" * 100, "b.tar.gz": b"no gzip", "c.tar": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MediaError, match=name):
            read(tmp_path / name)
