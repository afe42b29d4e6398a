"""One call that writes a toy collection of any size: plain media with the truth about it, and data set layouts."""

from collections.abc import Collection
from pathlib import Path
from typing import Literal, get_args

from mmrank.toybox.cirr_layout import write_cirr
from mmrank.toybox.errors import ToyboxError
from mmrank.toybox.manifest import ToyboxManifest, write_jsonl
from mmrank.toybox.media_layout import write_media
from mmrank.toybox.msrvtt_layout import write_msrvtt

Layout = Literal["media", "cirr", "msrvtt"]


def write_toybox(
    folder: str | Path,
    *,
    images: int = 120,
    videos: int = 16,
    pages: int = 16,
    notes: int = 12,
    seed: int = 0,
    layouts: Collection[Layout] = ("media", "cirr", "msrvtt"),
) -> ToyboxManifest:
    """Write a toy collection. The same arguments give the same bytes, on one machine.

    ```
    folder/media/{photos,clips,reports,notes}/   plain files, nothing else: the folder to index
    folder/captions.jsonl                        a true sentence about each item, and its objects and ground
    folder/queries.jsonl                         queries, each with its one right answer
    folder/cirr/                                 CIRR's layout (val with about `images` pictures, test1 with half)
    folder/msrvtt/                               MSR-VTT's layout with `videos` test clips
    ```

    Args:
        folder: made if it is not there; files of an earlier toy collection in it are replaced.
        images: photos, and pictures of the CIRR val split.
        videos: clips, and test videos of the MSR-VTT layout.
        pages: PDF pages, six to a report.
        notes: Markdown files.
        seed: everything follows from it.
        layouts: which of the three to write.

    Raises:
        ToyboxError: a negative count, an unknown layout, or more items than the grammar has different scenes.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made = write_toybox(folder, images=4, videos=0, pages=1, notes=1, layouts=["media"])
        ...     sorted({item.kind for item in made.items})
        ['image', 'page', 'text']
    """
    _check({"images": images, "videos": videos, "pages": pages, "notes": notes}, layouts)
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    manifest = ToyboxManifest(root, (), ())
    if "media" in layouts:
        made = write_media(root / "media", images=images, videos=videos, pages=pages, notes=notes, seed=seed)
        manifest = ToyboxManifest(root, tuple(made.items), tuple(made.queries))
        write_jsonl(manifest.items, root / "captions.jsonl")
        write_jsonl(manifest.queries, root / "queries.jsonl")
    cirr = write_cirr(root, images, seed) if "cirr" in layouts and images else None
    msrvtt = write_msrvtt(root, videos, seed) if "msrvtt" in layouts and videos else None
    return ToyboxManifest(root, manifest.items, manifest.queries, cirr, msrvtt)


def _check(counts: dict[str, int], layouts: Collection[str]) -> None:
    for name, count in counts.items():
        if count < 0:
            raise ToyboxError(f"{name} is {count}; give 0 or more")
    unknown = set(layouts) - set(get_args(Layout))
    if unknown:
        raise ToyboxError(f"no layout is called {sorted(unknown)[0]!r}; there are: {', '.join(get_args(Layout))}")
