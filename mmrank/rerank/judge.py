"""The judge: an MLLM that reranks, put together from a rendering, a layout, an ask, a schedule and an aggregator.

The calls of one round run as one batch across all queries of the run, so that a backend can share pictures and
fill its batches; the rounds of the queries go on side by side until the last plan has ended.
"""

from __future__ import annotations

import math
import time
from collections import Counter
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
from mmrank.rerank.portions import Portions
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
    `deadline`: seconds for one batch of rankings, from its first picture on; what is not asked by then keeps its
    previous order behind what is, and the record says ``partial``. `strict`: raise `MllmError` for the first query that
    is not judged as asked, instead of a record.
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
    """Called with (questions answered, questions known of so far) after every portion of a round (`Portions`)."""

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
        portions = Portions(mllm=self.mllm, deadline=self.deadline, watched=self.progress is not None)
        known = self.mllm.warning
        works = self.begun(batch)
        while any(work.live for work in works):
            if portions.over:
                for work in works:
                    if work.live:
                        work.stop(f"out of time after {self.deadline:g} s")
                break
            self._ready(works)
            self._ask_portion([work for work in works if work.live], portions)
            if self.progress is not None:
                done = sum(work.answered for work in works)
                self.progress(done, done + sum(len(work.unasked) for work in works))
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
        if self.schedule.kind == "early_exit" and work.unneeded:
            work.notes.append(f"{work.unneeded} of {len(work.slots)} candidates not asked: early exit")
        return work.judgement(self.name, self.recipe.aggregator)

    def _ready(self, works: Sequence[Work]) -> None:
        """Make the prompts of rounds that have none yet; a query that cannot be asked in this way is given up, with the
        reason."""
        for work in works:
            if not work.live or work.prompts:
                continue
            try:
                prompts = [self.prompt(work, block) for block in work.waiting]
                for prompt in prompts:
                    check_prompt(self.mllm, prompt)
            except (UsageError, MllmError) as error:
                work.give_up(str(error))
            else:
                work.prompts = prompts

    def _ask_portion(self, waiting: Sequence[Work], portions: Portions) -> None:
        """Ask as much of what waits as `portions` allows, query by query; of all queries alike when time is short."""
        queue = [(work, place) for work in waiting for place in range(len(work.taken), len(work.waiting))]
        if self.deadline is not None:
            queue.sort(key=lambda one: one[1])
        size = portions.size([work.prompts[place] for work, place in queue])
        counts = Counter(id(work) for work, _ in queue[:size])
        asked = [(work, counts[id(work)]) for work in waiting if counts[id(work)]]
        started = time.monotonic()
        self._ask_batch(asked)
        portions.took(sum(count for _, count in asked), time.monotonic() - started)

    def _ask_batch(self, asked: Sequence[tuple[Work, int]]) -> None:
        """Ask so many of each query's waiting questions, all as one batch, and hand out the answers."""
        if not asked:
            return
        questions = [(work, block) for work, count in asked for block in work.unasked[:count]]
        prompts = [prompt for work, count in asked for prompt in work.prompts[len(work.taken) :][:count]]
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
        for work, count in asked:
            work.receive([next(given) for _ in range(count)])

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
        scores = self._earlier_scores(work)
        try:
            check_block(self.recipe, self.ask, self.mllm, self.form, self.schedule.largest(len(work.slots)))
            work.begin(self.schedule.plan(len(work.slots), derive_seed(self.seed, work.query.id), scores))
        except (UsageError, MllmError) as error:
            # More candidates than one prompt can hold, scores that cannot be pruned by, a server that is gone.
            work.give_up(str(error))

    def _earlier_scores(self, work: Work) -> list[float]:
        """What earlier stages gave the slots. A cascade compares them with this judge's own: what the stage right
        before this one did not score then counts as its worst, for scores of other stages say nothing beside its own.
        """
        hits = [work.hits[position] for position in work.slots]
        if getattr(self.schedule, "margin", None) is None:
            return [hit.score for hit in hits]
        return [hit.score if hit.stage == hits[0].stage else -math.inf for hit in hits]

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
