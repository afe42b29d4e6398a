"""The judge: an MLLM that reranks, put together from a rendering, a layout, an ask, a schedule and an aggregator.

The calls of one round run as one batch across all queries of the run, so that a backend can share pictures and
fill its batches; the rounds of the queries go on side by side until the last plan has ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from mmrank.errors import MediaError, MllmError, RecipeError, UsageError
from mmrank.mllm.base import MLLM
from mmrank.mllm.prompt import ImagePart, Prompt
from mmrank.mllm.transcript import Recording
from mmrank.pipeline import check_depth
from mmrank.rerank.asks import Ask
from mmrank.rerank.base import Judgement, Reranker
from mmrank.rerank.forms import Form
from mmrank.rerank.layouts import Layout, Slot, query_kind
from mmrank.rerank.limits import check_block, check_prompt
from mmrank.rerank.parts import Answer, Block
from mmrank.rerank.recipe import Recipe
from mmrank.rerank.renderings import Renderer, Rendering
from mmrank.rerank.schedules import Schedule, agreement, derive_seed
from mmrank.rerank.slots import expanded
from mmrank.rerank.work import Work
from mmrank.types import Hit, Query

RENDER_THREADS = 4
"""Files decoded side by side; Pillow, PDFium and FFmpeg release the interpreter while they work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MllmReranker(Reranker):
    """A recipe with a model: reorders the first `depth` hits of each Ranking. Made by `mmrank.load_reranker`.

    `layouts`: one per kind of query, ``text`` for kinds not named. `seed` and the query's id decide all shuffles.
    `deadline`: seconds for one batch of rankings; rounds not begun by then are not asked, and the record says
    ``partial``. `strict`: raise `MllmError` for the first query that is not judged as asked, instead of a record.
    """

    recipe: Recipe = field(hash=False)
    mllm: MLLM = field(repr=False)
    layouts: Mapping[str, Layout] = field(repr=False, hash=False)
    ask: Ask = field(repr=False)
    schedule: Schedule = field(repr=False)
    renderer: Renderer = field(repr=False, compare=False)
    form: Form | None = field(default=None, repr=False, hash=False)
    """The checkpoint row by which the recipe was changed."""
    depth: int | None = None
    seed: int = 0
    deadline: float | None = None
    strict: bool = False
    progress: Callable[[int, int], None] | None = field(default=None, repr=False, compare=False)
    """Called with (questions answered, questions known of so far) after every round."""

    def __post_init__(self) -> None:
        check_depth(self.depth)

    @property
    def name(self) -> str:
        return f"{self.recipe.name}@{self.mllm.spec}"

    @property
    def warning(self) -> str | None:
        """What to know before trusting this model on this recipe; None when there is nothing to say."""
        said = [self.mllm.warning, self.form.warning if self.form else None]
        if getattr(self.ask, "json", False) and not self.mllm.limits.json:
            said.append(
                f"{self.recipe.name} asks for JSON, to which {self.mllm.spec} cannot hold its texts: one that is none "
                "is read as far as it goes, or asked for again."
            )
        return " ".join(filter(None, said)) or None

    def __repr__(self) -> str:
        return f"load_reranker({self.name!r}, depth={self.depth})"

    def judge(self, batch: Sequence[tuple[Query, Sequence[Hit]]]) -> list[Judgement]:
        started = time.monotonic()
        known = self.mllm.warning
        works = self.begun(batch)
        while waiting := [work for work in works if work.live]:
            if self.deadline is not None and time.monotonic() - started > self.deadline:
                for work in waiting:
                    work.stop(f"out of time after {self.deadline:g} s")
                break
            self._ask_batch(self._prompts(waiting))
            if self.progress is not None:
                done = sum(len(work.answers) for work in works)
                self.progress(done, done + sum(len(work.waiting) for work in works))
        learnt = self.mllm.warning
        if learnt is not None and learnt != known:  # a server shows some of its ways only when it is asked
            for work in works:
                work.notes.append(learnt)
        judgements = [self._judgement(work) for work in works]
        if self.strict:
            _raise_first(batch, judgements)
        return judgements

    def _judgement(self, work: Work) -> Judgement:
        agreed = agreement(work.blocks, work.answers)
        if agreed is not None:
            work.notes.append(f"both orders agree on {agreed:.0%} of pairs")
        return work.judgement(self.name, self.recipe.aggregator)

    def _ask_batch(self, asked: Sequence[tuple[Work, list[Prompt]]]) -> None:
        """Ask a round as one batch, and hand out the answers."""
        questions = [(work, block) for work, _ in asked for block in work.waiting]
        prompts = [prompt for _, prompts in asked for prompt in prompts]
        try:
            answers = self.ask.ask(self.mllm, prompts, [block.seed for _, block in questions])
        except RecipeError as error:
            # Some prompt cannot be asked of this model, such as a label that is two tokens there. Nothing was asked
            # yet, and the other queries can be: the batch is halved until the one at fault stands alone.
            if len(asked) <= 1:
                for work, _ in asked:
                    work.give_up(str(error))
                return
            half = len(asked) // 2
            self._ask_batch(asked[:half])
            self._ask_batch(asked[half:])
            return
        except MllmError as error:  # the backend as a whole is gone: every query keeps its previous order
            for work, _ in asked:
                work.give_up(str(error))
            return
        if isinstance(self.mllm, Recording):
            told = zip(questions, answers, strict=True)
            self.mllm.note([(a.call, _parsed(work.query, block, a)) for (work, block), a in told if a.call])
        given = iter(answers)
        for work, _ in asked:
            work.receive([next(given) for _ in work.waiting])

    def _prompts(self, waiting: Sequence[Work]) -> list[tuple[Work, list[Prompt]]]:
        """The prompts of each query's round; a query that cannot be asked in this way is given up, with the reason."""
        made: list[tuple[Work, list[Prompt]]] = []
        for work in waiting:
            try:
                prompts = [self.prompt(work, block) for block in work.waiting]
                for prompt in prompts:
                    check_prompt(self.mllm, prompt)
            except (UsageError, MllmError) as error:
                work.give_up(str(error))
            else:
                made.append((work, prompts))
        return made

    def prompt(self, work: Work, block: Block) -> Prompt:
        """The prompt that shows a block of a query's slots."""
        layout = self.layouts.get(query_kind(work.query), self.layouts["text"])
        positions = [work.slots[slot] for slot in block.slots]
        shown = [Slot(hit=work.hits[position], parts=work.shown[position]) for position in positions]
        return layout(work.query, work.reference, shown)

    def begun(self, batch: Sequence[tuple[Query, Sequence[Hit]]]) -> list[Work]:
        """Every query with its slots rendered and its first round waiting; what cannot be opened is left out and named.

        A picture's size is known afterwards, its pixels lie in the renderer's bounded cache.
        """
        with ThreadPoolExecutor(RENDER_THREADS, thread_name_prefix="render") as pool:
            works = list(pool.map(self._opened, batch))
            wanted = [(work, position) for work in works for position in dict.fromkeys(work.slots)]
            for (work, position), rendering in zip(wanted, pool.map(self._shown, wanted), strict=True):
                work.show(position, rendering)
        for work in works:
            self._begin(work)
        return works

    def _opened(self, given: tuple[Query, Sequence[Hit]]) -> Work:
        """A query with its own pictures opened, and the hits that each slot is to show."""
        query, hits = given
        work = Work(query=query, hits=hits)
        try:
            reference = self.renderer.query(query)
        except MediaError as error:
            work.give_up(f"the query's own picture or video cannot be opened: {error}")
            return work
        work.reference = reference
        work.notes += reference.warnings
        work.slots = expanded(hits, self.recipe)
        return work

    def _shown(self, wanted: tuple[Work, int]) -> Rendering | MediaError:
        work, position = wanted
        try:
            rendering = self.renderer.item(work.hits[position])
        except MediaError as error:
            return error
        if self.recipe.layout.kind == "sheet" and [type(part) for part in rendering] != [ImagePart]:
            return MediaError("a sheet shows each candidate as one picture without words, and it is none")
        return rendering

    def _begin(self, work: Work) -> None:
        """Start the plan over the slots that can be shown."""
        if work.broken:
            return
        if not work.slots:
            work.give_up("none of the candidates can be shown")
            return
        scores = [work.hits[position].score for position in work.slots]
        try:
            check_block(self.recipe, self.ask, self.mllm, self.form, self.schedule.largest(len(work.slots)))
            work.begin(self.schedule.plan(len(work.slots), derive_seed(self.seed, work.query.id), scores))
        except (UsageError, MllmError) as error:
            # More candidates than one prompt can hold, scores that cannot be pruned by, a server that is gone.
            work.give_up(str(error))

    def with_depth(self, depth: int | None) -> MllmReranker:
        """The same judge looking at another number of hits."""
        return replace(self, depth=depth)


def _parsed(query: Query, block: Block, answer: Answer) -> dict[str, object]:
    """What the transcript keeps of how an answer was read."""
    return {
        "query": query.id,
        "slots": list(block.slots),
        "variant": block.variant,
        "order": list(answer.order),
        "named": answer.named,
        "scores": list(answer.scores),
        "status": answer.status,
        "dropped": answer.dropped,
        "appended": answer.appended,
        "retries": answer.retries,
        "error": answer.error,
    }


def _raise_first(batch: Sequence[tuple[Query, Sequence[Hit]]], judgements: Sequence[Judgement]) -> None:
    for (query, _), judgement in zip(batch, judgements, strict=True):
        record = judgement.record
        if record.status in ("partial", "fell_back", "failed") or record.error:
            raise MllmError(f"Query {query.id!r} ended as {record.status}: {record.error or 'no cause was kept'}.")
