"""What an index says about itself: its format, and the embedder its vectors came from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from mmrank.embed.base import Embedder, Fingerprint
from mmrank.errors import IndexStoreError, MmrankError
from mmrank.index.schema import FORMAT_VERSION

METADATA_KEY = b"mmrank"
"""Where the manifest lies in the Arrow schema metadata of `items`. LanceDB keeps it through every write, added
column and compaction (tested), and it is there from the table's first version on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The identity card of an index, readable without loading the embedder.

    `embedder`: the spec that loads it again. `revision`: the one pinned in the spec, if any. `fingerprint`: what
    decides whether vectors compare. `created`: when, in UTC.
    """

    format: int
    embedder: str
    revision: str | None
    fingerprint: Fingerprint
    created: datetime

    @classmethod
    def of(cls, embedder: Embedder) -> Manifest:
        """The manifest of a new index for this embedder."""
        return cls(
            format=FORMAT_VERSION,
            embedder=embedder.spec,
            revision=_revision(embedder.spec),
            fingerprint=embedder.fingerprint,
            created=datetime.now(UTC).replace(microsecond=0),
        )

    @classmethod
    def read(cls, schema: pa.Schema, uri: str) -> Manifest:
        """The manifest in a table's schema.

        Raises `IndexStoreError` when there is none, it cannot be read, or a newer mmrank wrote it.
        """
        raw = (schema.metadata or {}).get(METADATA_KEY)
        if raw is None:
            raise IndexStoreError(
                f"The table 'items' at {uri} was not made by mmrank: it has no manifest. "
                "Give the folder of an mmrank index, or a new folder to build one in."
            )
        try:
            kept: dict[str, Any] = json.loads(raw)
            form = int(kept["format"])
            if form > FORMAT_VERSION:
                raise IndexStoreError(
                    f"The index at {uri} has format {form}; this mmrank reads formats up to {FORMAT_VERSION}. "
                    "Upgrade mmrank, or build the index again with this one."
                )
            return cls(
                format=form,
                embedder=kept["embedder"],
                revision=kept["revision"],
                fingerprint=Fingerprint(**kept["fingerprint"]),
                created=datetime.fromisoformat(kept["created"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise IndexStoreError(
                f"The manifest of the index at {uri} cannot be read ({type(error).__name__}: {error}). "
                "The index is damaged; build it again in a new folder."
            ) from error

    def to_json(self) -> str:
        """The form in which it is stored."""
        return json.dumps({**asdict(self), "created": self.created.isoformat()})

    def stamped(self, schema: pa.Schema) -> pa.Schema:
        """The schema with this manifest in its metadata."""
        return schema.with_metadata({**(schema.metadata or {}), METADATA_KEY: self.to_json().encode()})

    def check(self, embedder: Embedder, uri: str = "this index") -> None:
        """Raise `IndexStoreError` unless the embedder's vectors compare with those in the index.

        The fingerprint decides, not the spec: a folder that has moved, or an alias, is the same embedder.
        """
        mine, other = self.fingerprint, embedder.fingerprint
        if mine == other:
            return
        parts = {
            "dimension": (mine.dimension, other.dimension),
            "preprocessing": (mine.preprocessing, other.preprocessing),
            "weights": (mine.weights, other.weights),
        }
        name, (there, here) = next((name, pair) for name, pair in parts.items() if pair[0] != pair[1])
        raise IndexStoreError(
            f"The vectors in {uri} were made by {self.embedder}; {embedder.spec} makes others, and the two do not "
            f"compare ({name}: {there} in the index, {here} now). Use {self.embedder} for this index, or build a new "
            f"index in another folder for {embedder.spec}."
        )


def _revision(spec: str) -> str | None:
    from mmrank.embed.registry import parse_spec

    try:
        return parse_spec(spec).revision
    except MmrankError:  # an embedder of the caller's own, with a spec only the caller can read
        return None
