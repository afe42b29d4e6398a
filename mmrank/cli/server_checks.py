"""What ``mmrank doctor SERVER`` looks at: each check asks the server something small and says what came back."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from mmrank.cli.checks import Check, State
from mmrank.errors import MllmError, RecipeError, UsageError
from mmrank.mllm.base import Failure, PairScore, Sampling
from mmrank.mllm.prompt import ImagePart, Message, Pair, Part, Picture, Prompt, TextPart

if TYPE_CHECKING:
    from PIL.Image import Image

    from mmrank.mllm.remote.backend import RemoteMllm

MOST_PICTURES = 32
"""Pictures in one prompt that are tried: a list of 20 candidates and a query of several pictures fit."""

LIST_PICTURES = 20
"""Candidates in the usual list (METHODS.md 8.1): fewer pictures a prompt, and recipes need smaller windows."""

LIST_TOKENS = 16384
"""A list of 20 pictures of half a megapixel, with words."""

LIST_LOGPROBS = 80
"""20 labels, and room for other spellings of each."""

ALIKE = 0.1
"""Log-odds that two ways of scoring one pair may differ by in bfloat16."""

CHAT = ("--max-model-len", "32768", "--limit-mm-per-prompt", f'{{"image": {MOST_PICTURES}}}', "--max-logprobs", "128")
"""What `vllm serve` is told about a chat model, so that lists of pictures and their labels fit."""

RERANKER = "Qwen/Qwen3-VL-Reranker-8B"
"""Named where a server gives no pair scores."""

JUDGE = (
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".'
)
INSTRUCTION = "Given a search query, retrieve relevant candidates that answer the query."
"""The form of Qwen3-VL-Reranker (METHODS.md 1.5), which ``/score`` of such a server fills in by itself."""


_OTHER_NAME = "Name one of the models it lists, or serve this one with --served-model-name."


def with_model(spec: str) -> str:
    """`spec`, completed by the model's name where the server serves only one. Raises `UsageError`, `MllmError`."""
    from mmrank.mllm.remote.calls import Caller
    from mmrank.mllm.remote.probes import listed_models
    from mmrank.mllm.remote.spec import parse_spec

    if "#" in spec:
        return parse_spec(spec).spec
    server = parse_spec(f"{spec}#MODEL")
    rows = listed_models(server, Caller(retries=1))
    if len(rows) == 1:
        return f"{spec.rstrip('/')}#{rows[0]['id']}"
    names = ", ".join(str(row["id"]) for row in rows) or "none that can be listed"
    raise UsageError(f"{spec} does not name a model: add # and one of those served there ({names}).")


def server_checks(mllm: RemoteMllm) -> Iterator[Check]:
    """Every check in the order it is printed. Ends after the first when the server is not there."""
    try:
        names = [str(row["id"]) for row in mllm.listed]
    except MllmError as error:
        yield _check("reachable", "broken", str(error), essential=True)
        return
    yield _check("reachable", "ok", mllm.server.base_url, essential=True)
    model = mllm.server.model
    try:
        can = mllm.found.capabilities
    except MllmError as error:
        yield _check("model", "broken", str(error), "" if model in names else _OTHER_NAME, essential=True)
        return
    if model in names:
        yield _check("model", "ok", model, essential=True)
    else:
        listed = f"lists {', '.join(names[:5])}" if names else "lists no models"
        yield _check("model", "note", f"the server {listed}, and answers as {model}", _OTHER_NAME if names else "")
    if "generate" in can:
        yield _text(mllm)
        picture = _picture(mllm)
        yield picture
        if picture.state != "missing":
            yield _picture_limit(mllm)
    else:
        yield _check("text", "missing", mllm.found.reasons["generate"], "Only pair scores (yes_no) work here.")
    yield _context(mllm)
    if "generate" in can:
        yield _log_probabilities(mllm)
        yield _answer_prefix(mllm)
    yield _pairs(mllm)
    yield from _known_pair(mllm)


def serve_line(model: str) -> str:
    """The command that serves `model` so that every recipe that fits it works.

    >>> serve_line("Qwen/Qwen3-VL-8B-Instruct")
    'vllm serve Qwen/Qwen3-VL-8B-Instruct --max-model-len 32768 --limit-mm-per-prompt \\'{"image": 32}\\' \
--max-logprobs 128'
    """
    from mmrank.rerank.forms import form_for

    form = form_for(model)
    return shlex.join(["vllm", "serve", model, *((form and form.serve) or CHAT)])


def _check(name: str, state: State, detail: str, advice: str = "", *, essential: bool = False) -> Check:
    return Check(group="Server", name=name, state=state, detail=detail, advice=advice, essential=essential)


def _text(mllm: RemoteMllm) -> Check:
    said = _asked(mllm, _prompt(TextPart(text="Say hello in one word.")))
    if isinstance(said, Failure):
        return _check("text", "broken", said.error, essential=True)
    return _check("text", "ok", f"says {said!r}", essential=True)


def _picture(mllm: RemoteMllm) -> Check:
    said = _asked(mllm, _prompt(ImagePart(picture=_coloured("red")), TextPart(text="Which colour is this? One word.")))
    if isinstance(said, Failure):
        return _check("pictures", "missing", said.error, "Serve a vision-language model to judge pictures.")
    if "red" in said.lower():
        return _check("pictures", "ok", f"a red picture is called {said!r}")
    return _check(
        "pictures",
        "note",
        f"a red picture is called {said!r}",
        "The model may be too small, or its chat template loses pictures.",
    )


def _picture_limit(mllm: RemoteMllm) -> Check:
    taken, number, refusal = 0, 1, ""
    while number <= MOST_PICTURES:
        shown = [ImagePart(picture=_coloured(f"hsl({11 * place}, 80%, 50%)")) for place in range(number)]
        said = _asked(mllm, _prompt(*shown, TextPart(text="How many pictures?")))
        if isinstance(said, Failure):
            refusal = said.error
            break
        taken, number = number, number * 2
    named = mllm.limits.images
    if not refusal:
        return _check("picture limit", "ok", f"{taken} pictures in one prompt are taken")
    most = named if named is not None else taken
    return _check(
        "picture limit",
        "ok" if most >= LIST_PICTURES else "note",
        f"{most} pictures in one prompt: {refusal}",
        "" if most >= LIST_PICTURES else f"""Start with --limit-mm-per-prompt '{{"image": {MOST_PICTURES}}}'.""",
    )


def _context(mllm: RemoteMllm) -> Check:
    tokens = mllm.limits.tokens_in
    if tokens is None:
        return _check("context", "note", "the server does not say how many tokens it takes")
    if tokens < LIST_TOKENS:
        advice = f"Lists of pictures may not fit: start with --max-model-len {2 * LIST_TOKENS}, or use smaller windows."
        return _check("context", "note", f"{tokens:,} tokens", advice)
    return _check("context", "ok", f"{tokens:,} tokens")


def _log_probabilities(mllm: RemoteMllm) -> Check:
    cap = mllm.max_logprobs
    if not cap:
        return _check(
            "log-probabilities",
            "missing",
            mllm.found.reasons["choices"],
            "Recipes that read them (yes_no, first) need vLLM, SGLang or llama.cpp.",
        )
    if cap < LIST_LOGPROBS:
        advice = f"Some of {LIST_PICTURES} labels may be missing among so few: start with --max-logprobs 128."
        return _check("log-probabilities", "note", f"of the {cap} likeliest tokens", advice)
    return _check("log-probabilities", "ok", f"of the {cap} likeliest tokens, or more")


def _answer_prefix(mllm: RemoteMllm) -> Check:
    prefix = mllm.answer_prefix
    if prefix is True:
        return _check("answer prefix", "ok", "answers can begin with given words")
    return _check("answer prefix", "missing", str(prefix), "Recipes with an answer prefix need vLLM or SGLang.")


def _pairs(mllm: RemoteMllm) -> Check:
    route = mllm.found.route
    if route is None:
        advice = "" if "choices" in mllm.found.capabilities else f"A reranker is served by: {serve_line(RERANKER)}"
        return _check("pair scores", "missing", mllm.found.reasons["pairs"], advice)
    url = route.url(mllm.server.base_url, mllm.server.root_url)
    if mllm.found.instruction_used is False:
        return _check(
            "pair scores", "note", url, "The instruction of a query changes nothing: its template has its own."
        )
    return _check("pair scores", "ok", url)


def _known_pair(mllm: RemoteMllm) -> Iterator[Check]:
    """Whether a red picture fits "a red picture" better than a blue one, by ``/score`` and by the log-odds of yes
    against no; and, of a server that gives both, whether the two agree."""
    prompts = [_pair_prompt("a red picture", colour) for colour in ("red", "blue")]
    can = mllm.found.capabilities
    scored = _by_score(mllm, prompts) if "pairs" in can else None
    said = _by_choice(mllm, prompts) if "choices" in can else None
    if scored is not None:
        yield _order("pair of pictures", scored, "Was --chat-template given? Without it the model is asked nothing.")
    if said is not None:
        yield _order("yes or no", said, "Recipes that read yes and no (yes_no) will not work well with this model.")
    if isinstance(scored, list) and isinstance(said, list):
        apart = max(abs(a - b) for a, b in zip(scored, said, strict=True))
        advice = "" if apart <= ALIKE else "The prompts differ: use the one that the checkpoint was trained with."
        yield _check("score parity", "note" if advice else "ok", f"{apart:.2f} apart in log-odds", advice)


def _order(name: str, odds: list[float] | str, advice: str) -> Check:
    """A check of the log-odds that a red and a blue picture got, or of why they got none."""
    if isinstance(odds, str):
        broken = name == "pair of pictures"
        why = "Pairs of words work: is the model made for pictures?" if broken else advice
        return _check(name, "broken" if broken else "note", odds, why)
    right = odds[0] > odds[1]
    shown = f'"a red picture": red {odds[0]:+.2f}, blue {odds[1]:+.2f} (log-odds)'
    return _check(name, "ok" if right else "note", shown, "" if right else advice)


def _by_score(mllm: RemoteMllm, prompts: list[Prompt]) -> list[float] | str:
    scored = mllm.pair_scores(prompts)
    values = [result.log_odds for result in scored if isinstance(result, PairScore)]
    errors = "; ".join(dict.fromkeys(result.error for result in scored if isinstance(result, Failure)))
    return errors or values


def _by_choice(mllm: RemoteMllm, prompts: list[Prompt]) -> list[float] | str:
    try:
        answers = mllm.choice_logprobs(prompts, [["yes", "no"]] * len(prompts))
    except RecipeError as error:
        return str(error)
    values: list[float] = []
    for answer in answers:
        if isinstance(answer, Failure):
            return answer.error
        yes, no = answer.logprobs
        if yes is None or no is None:
            return "the chat endpoint does not give both yes and no for the same pair"
        values.append(yes - no)
    return values


def _asked(mllm: RemoteMllm, prompt: Prompt) -> str | Failure:
    try:
        result = mllm.generate([prompt], Sampling(max_tokens=16))[0]
    except RecipeError as error:
        return Failure(error=str(error))
    return result if isinstance(result, Failure) else result.text.strip()


def _prompt(*parts: Part) -> Prompt:
    return Prompt(messages=(Message(role="user", parts=parts),))


def _pair_prompt(query: str, colour: str) -> Prompt:
    picture = ImagePart(picture=_coloured(colour))
    words = f"<Instruct>: {INSTRUCTION}<Query>:{query}\n<Document>:"
    return Prompt(
        messages=(
            Message(role="system", parts=(TextPart(text=JUDGE),)),
            Message(role="user", parts=(TextPart(text=words), picture)),
        ),
        pair=Pair(query=(TextPart(text=query, data=True),), document=(picture,), instruction=INSTRUCTION),
    )


def _coloured(colour: str) -> Picture:
    """A made-up picture of one colour."""

    def opened() -> Image:
        from PIL import Image

        return Image.new("RGB", (64, 64), colour)

    opener: Callable[[], Image] = opened
    return Picture(key=f"doctor:{colour}", width=64, height=64, open=opener)
