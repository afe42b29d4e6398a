"""Captions of what a composed query is after: written by an MLLM and kept on disk, or given by the caller."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

from mmrank.errors import MediaError, MllmError, MmrankError, RecipeError, UsageError
from mmrank.mllm.base import MLLM, Failure, Generated, Sampling
from mmrank.types import Cost, Query

if TYPE_CHECKING:
    from mmrank.compose.caption_cache import CaptionCache
    from mmrank.mllm.prompt import Prompt

MAX_TOKENS = 512
"""A caption of 40 words takes 60; a model that thinks first takes more. One that ends here was not a caption."""

BLOCK = 64
"""Queries captioned at a time; what a killed run had finished is on disk up to the last block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Captioned:
    """A caption, never empty, and what it cost."""

    text: str
    cost: Cost = Cost()


Outcome: TypeAlias = Captioned | MmrankError


@runtime_checkable
class Captioner(Protocol):
    """Says in words what composed queries are after."""

    def write(self, queries: Sequence[Query]) -> Sequence[Outcome]:
        """One caption per query, in order, or why there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GivenCaptions:
    """Captions one has already, by query id: made offline by another program, or known to be true.

    >>> GivenCaptions(captions={"q1": "a dog at night"}).write([Query(text="at night", id="q1")])[0].text
    'a dog at night'
    """

    captions: Mapping[str, str] = field(repr=False)

    def write(self, queries: Sequence[Query]) -> list[Outcome]:
        return [self._of(query) for query in queries]

    def _of(self, query: Query) -> Outcome:
        said = self.captions.get(query.id, "").strip()
        if said:
            return Captioned(text=said)
        fault = "an empty caption" if query.id in self.captions else "no caption"
        return UsageError(f"Query {query.id!r} has {fault} among the {len(self.captions)} given; add it under that id.")


CAPTION_FILE = ".jsonl"
"""How the name of a file of captions ends, where a model could be named: ``sqaf@./captions.jsonl``."""


class CaptionFile:
    """Captions made offline, in a file of JSON lines: ``{"id": "q1", "caption": "a dog at night"}``, by query id.

    The file is read with the first query. Raises `UsageError` then, when it cannot be read or a line is no such object.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().absolute()
        self._given: GivenCaptions | None = None

    def __repr__(self) -> str:
        return f"CaptionFile({self.path.name!r})"

    def write(self, queries: Sequence[Query]) -> list[Outcome]:
        """One caption per query, in order, or why there is none."""
        if self._given is None:
            self._given = GivenCaptions(captions=self._read())
        return self._given.write(queries)

    def _read(self) -> dict[str, str]:
        captions: dict[str, str] = {}
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"The captions in {self.path} cannot be read: {error}.") from None
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                name, caption = row["id"], row["caption"]
            except (ValueError, KeyError, TypeError):
                name = caption = None
            if not isinstance(name, str | int) or not isinstance(caption, str):
                raise UsageError(
                    f'Line {number} of {self.path} is no caption; write one object a line, as in {{"id": "q1", '
                    '"caption": "a dog at night"}.'
                )
            captions[str(name)] = caption
        return captions


class TargetCaptions:
    """Captions written by an MLLM.

    Args:
        model: a loaded MLLM, or what `mmrank.load_mllm` takes; then it is loaded with the first caption that is not on
            disk.
        prompt: a prompt file of layout "query", by name or path.
        cache: the folder captions are kept in, "user" (the user's cache) or None (nothing is kept). A caption is found
            again by the query's content, the model's spec, the prompt file and `max_tokens`; a model whose weights
            change under the same spec needs another folder.
        max_tokens: where the model is cut off, which is a failure.
    """

    def __init__(
        self,
        model: MLLM | str,
        *,
        prompt: str = "target_caption",
        cache: str | Path | Literal["user"] | None = "user",
        max_tokens: int = MAX_TOKENS,
    ) -> None:
        from mmrank.compose.caption_cache import CaptionCache, default_folder
        from mmrank.prompts.file import load_prompt

        self.spec = _checked_spec(model)
        self.prompt = load_prompt(prompt)
        if self.prompt.layout != "query":
            raise RecipeError(
                f"Prompt {self.prompt.name!r} is written for layout {self.prompt.layout}; captions need 'query'."
            )
        self.cache: CaptionCache | None = None
        if cache is not None:
            self.cache = CaptionCache(default_folder() if cache == "user" else Path(cache).expanduser())
        self._sampling = Sampling(max_tokens=max_tokens)
        self._asked: Any = [self.spec, self.prompt.model_dump(mode="json"), max_tokens]
        self._model = model
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"TargetCaptions({self.spec!r}, prompt={self.prompt.name!r})"

    def write(self, queries: Sequence[Query]) -> list[Outcome]:
        """One caption per query, or why there is none: an unreadable reference, a model that failed or said nothing.

        Queries of equal content are asked about once. A model that cannot be loaded or reached fails those queries that
        need it. Raises `RecipeError` for a model that writes no text, `UsageError` when the cache cannot be written.
        """
        if self.cache is not None:
            self.cache.prepare()
        return [
            outcome
            for start in range(0, len(queries), BLOCK)
            for outcome in self._block(queries[start : start + BLOCK])
        ]

    def _block(self, queries: Sequence[Query]) -> Iterator[Outcome]:
        from mmrank.compose.caption_cache import caption_key

        keys: list[str | MediaError] = []
        for query in queries:
            try:
                keys.append(caption_key(query, self._asked))
            except MediaError as error:
                keys.append(error)
        named = {key: query for key, query in zip(keys, queries, strict=True) if isinstance(key, str)}
        known = {key: said for key in named if self.cache is not None and (said := self.cache.get(key)) is not None}
        new = self._ask({key: query for key, query in named.items() if key not in known})
        for key, query in zip(keys, queries, strict=True):
            if isinstance(key, MediaError):
                yield MediaError(f"Query {query.id!r}: {key}")
            elif key in known:
                yield Captioned(text=known[key], cost=Cost(cache_hits=1))
            else:
                made = new[key]
                yield made if isinstance(made, Captioned) else type(made)(f"Query {query.id!r}: {made}")
                if isinstance(made, Captioned):
                    known[key] = made.text  # of equal queries the first one pays

    def _ask(self, queries: Mapping[str, Query]) -> dict[str, Captioned | MediaError | MllmError]:
        """Captions by key from the model; kept as they come."""
        from mmrank.compose.caption_prompt import caption_prompt

        prompts: dict[str, Prompt] = {}
        out: dict[str, Captioned | MediaError | MllmError] = {}
        for key, query in queries.items():
            try:
                prompts[key] = caption_prompt(query, self.prompt)
            except MediaError as error:
                out[key] = error
        try:
            results = self._loaded().generate([*prompts.values()], self._sampling) if prompts else []
        except MllmError as error:  # a server that is gone, weights that cannot be read: captions on disk still serve
            return out | dict.fromkeys(prompts, error)
        for key, result in zip(prompts, results, strict=True):
            out[key] = said = self._read(result)
            if isinstance(said, Captioned) and self.cache is not None:
                self.cache.put(key, said.text, model=self.spec, prompt=self.prompt.name, text=queries[key].text or "")
        return out

    def _read(self, result: Generated | Failure) -> Captioned | MllmError:
        from mmrank.rerank.answer_text import without_reasoning

        if isinstance(result, Failure):
            return MllmError(f"no caption came from {self.spec}: {result.error}")
        if result.cut:
            return MllmError(
                f"the caption of {self.spec} did not end within {self._sampling.max_tokens} tokens; "
                "raise max_tokens of TargetCaptions."
            )
        said = " ".join(without_reasoning(result.text).split()).strip('"“”')
        if not said:
            return MllmError(f"{self.spec} wrote no caption; it answered {result.text[:80]!r}.")
        return Captioned(text=said, cost=result.cost)

    def _loaded(self) -> MLLM:
        with self._lock:
            if isinstance(self._model, str):
                from mmrank.mllm.registry import load_mllm

                self._model = load_mllm(self._model)
            if "generate" not in self._model.capabilities:
                raise RecipeError(f"{self.spec} writes no text, so it cannot write captions; name a chat model.")
            return self._model


def _checked_spec(model: MLLM | str) -> str:
    if not isinstance(model, str):
        return model.spec
    from mmrank.mllm.registry import parse_mllm_spec

    return parse_mllm_spec(model).text


def captioner_of(given: Captioner | MLLM | str) -> Captioner:
    """A captioner as it is; an MLLM or its spec as `TargetCaptions`, the name of a JSONL file as `CaptionFile`.

    Raises `UsageError` for anything else.
    """
    if isinstance(given, str):
        return CaptionFile(given) if given.endswith(CAPTION_FILE) else TargetCaptions(given)
    if isinstance(given, Captioner):
        return given
    if isinstance(given, MLLM):
        return TargetCaptions(given)
    raise UsageError(
        f"The captioner is {given!r}; give a model loaded with mmrank.load_mllm, its spec, TargetCaptions or "
        "GivenCaptions."
    )
