from __future__ import annotations

from collections.abc import Callable, Hashable

from mmrank.mllm.local.backend import LocalMLLM
from mmrank.mllm.local.cuts import WORTH, Cut, cuts
from mmrank.mllm.prompt import Prompt

QUERY = "two dogs and a cat above the blue pizza, left of the red boat at night"


def cut(mllm: LocalMLLM, prompts: list[Prompt], known: dict[Hashable, Cut] | None = None) -> list[Cut | None]:
    drafts = [mllm._drafter.draft(prompt) for prompt in prompts]
    assert mllm._tower is not None
    return cuts(drafts, picture_id=mllm._tower.image_token, known=(known or {}).get)


def test_prompts_of_a_query_are_cut_behind_it(tiny: Callable[[str], LocalMLLM], pair: Callable[..., Prompt]) -> None:
    mllm = tiny("qwen3_vl")
    documents = [("cat", ()), ("dog", ()), ("", (1,))]
    prompts = [pair(QUERY, words, reference=(3,), pictures=shown) for words, shown in documents]
    (first, *others) = cut(mllm, prompts)
    assert first is not None
    assert others == [first, first]
    words = mllm._tokenizer.decode([i for i in first.spelling if isinstance(i, int)])
    assert words.endswith(f"{QUERY}\nDocument:") or words.endswith(f"{QUERY}\nDocument: ")
    assert first.pictures == 1
    assert first.length == len(first.spelling) - 1 + mllm._drafter.draft(prompts[0]).visual[0]


def test_the_words_of_a_cut_are_the_wholes_own_tokens_where_the_tokenizer_joins(
    tiny: Callable[[str], LocalMLLM], pair: Callable[..., Prompt]
) -> None:
    """A space before a word belongs to the word's token: the shared part's last space is left out of the prefix."""
    mllm = tiny("qwen3_vl")
    prompts = [pair(QUERY, words) for words in ("cat", "dog", "boat")]
    found = cut(mllm, prompts)[0]
    assert found is not None
    for prompt in prompts:
        assert mllm._drafter.draft(prompt).ids[: len(found.spelling)] == found.spelling
    joined = mllm._tokenizer(" cat", add_special_tokens=False)["input_ids"]
    assert len(joined) == 1
    assert mllm._drafter.draft(prompts[0]).ids[len(found.spelling)] == joined[0]


def test_equal_placeholders_with_other_pixels_are_not_shared(
    tiny: Callable[[str], LocalMLLM], pair: Callable[..., Prompt]
) -> None:
    """Both pictures are as large, so the token ids are the same."""
    from dataclasses import replace

    mllm = tiny("qwen3_vl")
    one, other = ([pair(QUERY, words, reference=(seed,)) for words in "abcde"] for seed in (0, 15))
    assert mllm._drafter.draft(one[0]).ids == mllm._drafter.draft(other[0]).ids
    assert cut(mllm, one)[0] != cut(mllm, other)[0]
    # Even for a layout that counts a part too many as shared, such as one that differs.
    wrong = [replace(prompt, shared=2) for prompt in (*one, *other)]
    first = cut(mllm, wrong)[0]
    assert first is not None
    assert first.pictures == 0


def test_nothing_is_cut_where_nothing_is_gained(tiny: Callable[[str], LocalMLLM], pair: Callable[..., Prompt]) -> None:
    mllm = tiny("qwen3_vl")
    assert cut(mllm, [pair(QUERY, "cat")]) == [None]
    assert cut(mllm, [pair(QUERY, "cat", shared=False)] * 5) == [None] * 5
    short = [pair("cat", "dog"), pair("cat", "boat")]
    assert mllm.count_tokens(short[0]) < WORTH
    assert cut(mllm, short) == [None, None]


def test_equal_prompts_keep_a_token_to_go_on_with(
    tiny: Callable[[str], LocalMLLM], pair: Callable[..., Prompt], log_odds: Callable[..., list[float]]
) -> None:
    from dataclasses import replace

    mllm = tiny("qwen3_vl")
    same = [replace(prompt, shared=len(list(prompt.parts()))) for prompt in [pair(QUERY, "cat")] * 4]
    assert len({*log_odds(mllm, same)}) == 1


def test_a_known_cut_is_used_again_and_not_by_a_prompt_it_does_not_fit(
    tiny: Callable[[str], LocalMLLM], pair: Callable[..., Prompt]
) -> None:
    mllm = tiny("qwen3_vl")
    first = cut(mllm, [pair(QUERY, words) for words in ("cat", "dog", "red", "blue")])[0]
    assert first is not None
    known = {first.group: first}
    assert cut(mllm, [pair(QUERY, "boat"), pair("cat", "boat")], known) == [first, None]
