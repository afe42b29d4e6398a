"""One hit on a page: its picture or its words, its name, its score and where it stood before.

Everything that comes from a collection (names, captions, metadata) is a stranger's text: it is escaped, and links go
only to files and http addresses.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from html import escape
from pathlib import Path

from mmrank.cli.folded import behind
from mmrank.cli.hits import score_text
from mmrank.cli.html_shown import Shown
from mmrank.cli.output import one_line, printable, shorten_middle
from mmrank.cli.places import name_and_place
from mmrank.errors import MediaError
from mmrank.media.uri import split_uri
from mmrank.types import Hit, Item

QUOTE = 400
"""Characters of a text shown as a quotation: what fits the picture's place on a wide card."""

CAPTION = 160
"""Characters of a caption below a picture: two lines."""

NAME = 52
"""Characters of a file name below a picture: two lines."""


def escaped(value: str) -> str:
    """A stranger's text, safe inside an element or a quoted attribute."""
    return escape(printable(value), quote=True)


def card(hit: Hit, shown: Shown) -> Iterator[str]:
    item = hit.item
    right = shown.right is not None and item.id in shown.right
    name, place = name_and_place(item)
    yield f'<li class="hit kind-{item.kind}{" right" if right else ""}">\n<div class="well">'
    yield f'<span class="rank"><span aria-label="rank {hit.rank}">{hit.rank}</span></span>'
    if right:
        yield '<span class="mark" role="img" aria-label="known to be right" title="known to be right">✓</span>'
    yield _picture(item, shown.thumbnails.get(item.id), name, place)
    if place and item.kind != "text":
        yield f'<span class="span">{escaped(place)}</span>'
    yield f'</div>\n<div class="words">\n<p class="name">{_link(item, name)}</p>'
    if place and item.kind == "text":
        yield f'<p class="place">{escaped(place)}</p>'
    caption = one_line(item.text or "")
    if caption and item.kind != "text":
        yield f'<p class="text" title="{escaped(_cut(caption, QUOTE))}">{escaped(_cut(caption, CAPTION))}</p>'
    yield from _behind(hit)
    stage = f" <span>{escaped(hit.stage)}</span>" if hit.stage else ""
    yield f'<p class="score">{score_text(hit.score)}{stage}</p>'
    yield from _history(hit)
    yield "</div>\n</li>"


def _picture(item: Item, picture: bytes | None, name: str, place: str) -> str:
    if item.kind == "text":
        return f"<blockquote>{escaped(_cut(one_line(item.text or ''), QUOTE))}</blockquote>"
    if picture is None:
        return f'<span class="nothing">no thumbnail of this {item.kind}</span>'
    words = _cut(one_line(item.text or ""), CAPTION) if item.kind != "page" else ""
    what = {"image": "image", "page": "document page", "video": "frame of the video"}[item.kind]
    described = ", ".join(part for part in (f"{what} {name}", place, words) if part)
    return f'<img src="{data_uri(picture)}" alt="{escaped(described)}" loading="lazy">'


def _behind(hit: Hit) -> Iterator[str]:
    """What is folded behind the hit, each with a link to where it is."""
    for one in behind(hit):
        named = ", ".join(
            [*(_link(item, name) for item, name in one.named), *([f"{one.left:,} more"] * bool(one.left))]
        )
        yield f'<p class="behind">and {escaped(one.announced)}: {named}</p>'


def _history(hit: Hit) -> Iterator[str]:
    """Where the hit stood before, and which lists it came from."""
    if hit.trace:
        told = " → ".join(f"{t.stage} {score_text(t.score)} (rank {t.rank})" for t in hit.trace)
        yield f'<p class="trace">{escaped(f"before: {told}")}</p>'
    if len(hit.sources) > 1:
        told = " · ".join(f"{s.name} rank {s.rank} ({score_text(s.score)})" for s in hit.sources)
        yield f'<p class="trace from">{escaped(f"from: {told}")}</p>'


def _link(item: Item, name: str) -> str:
    address, short = link_address(item), escaped(shorten_middle(name, NAME))
    return f'<a href="{escaped(address)}">{short}</a>' if address else short


def link_address(item: Item) -> str | None:
    """Where a browser finds the item: an http(s) or file address, or None for anything else.

    A collection may name any uri: what is no web address is taken as a path, so ``javascript:`` and its like
    become the name of a file that is not there.
    """
    if not item.uri:
        return None
    if item.uri.lower().startswith(("http://", "https://")):
        return item.uri
    try:
        where = split_uri(item.uri)
        return Path(where.path).absolute().as_uri() + (f"#{where.fragment}" if where.fragment else "")
    except (MediaError, ValueError):
        return None


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def data_uri(picture: bytes) -> str:
    return f"data:{_media_type(picture)};base64,{base64.b64encode(picture).decode('ascii')}"


def _media_type(picture: bytes) -> str:
    """The type by the first bytes; thumbnails are JPEG unless they say otherwise."""
    if picture.startswith(b"\x89PNG"):
        return "image/png"
    if picture.startswith(b"GIF8"):
        return "image/gif"
    if picture[8:12] == b"WEBP":
        return "image/webp"
    return "image/jpeg"
