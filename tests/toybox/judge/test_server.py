"""The judge over HTTP, in every form of answer, by requests built by hand."""

import json
import re
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from mmrank.toybox.judge import Noise, serve_truth

FORMS = {
    "arrows": ("Write the numbers in the form [2] > [1] > [3].", r"\[(\w+)\]"),
    "list": ("Answer with the list of all numbers in square brackets, such as [2, 1, 3].", r"[\[ ](\d+)"),
    "json": ('Answer with {"top_10_indices": [...]}.', r"\d+"),
    "answer_list": ("<think>why</think><answer>[id_1, id_2]</answer>", r"\d+"),
    "choice": ("respond with the number of the best candidate, (1) or another", r"\((\d+)\)"),
    "spaces": ("Write the numbers separated by spaces. If none is relevant, write NONE.", r"\d+"),
}
TASKS = ("text_to_image", "composed", "text_to_page", "page_question", "text_to_video", "text_to_note")


def _after_thinking(text):
    return text.split("</think>")[-1].split(":")[-1] if "indices" in text else text.split("</think>")[-1]


def _query(asking, query):
    """The query as parts of a message."""
    reference = [asking.image(query.reference)] if query.reference else []
    return [{"type": "text", "text": "Query: "}, *reference, {"type": "text", "text": f" {query.text}\n"}]


def _with_query(asking, query, messages):
    messages[0]["content"] = [*_query(asking, query), *messages[0]["content"]]
    return messages


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("form", FORMS)
def test_the_answer_is_first_in_every_form(server, asking, asked, form, task):
    words, pattern = FORMS[form]
    for seed in range(3):
        keys = asking.rivals(asked[task], 5, Random(f"{form}{task}{seed}"))
        text = asking.text(server, _with_query(asking, asked[task], asking.listed("Candidates:", keys, words)))
        named = re.findall(pattern, _after_thinking(text))
        assert keys[int(named[0]) - 1] == asked[task].answer
        if form not in {"choice", "spaces"}:
            assert sorted(map(int, named)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("label", ["Image {}: ", "({}) ", "{}. ", "Candidate {}:\n"])
def test_labels_as_they_stand(server, asking, asked, label):
    query = asked["text_to_image"]
    keys = asking.rivals(query, 4, Random(label))
    names = [9, 4, 7, 2]
    text = asking.text(
        server, _with_query(asking, query, asking.listed("Candidates:", keys, FORMS["arrows"][0], label, names))
    )
    assert int(re.findall(r"\d+", text)[0]) == names[keys.index(query.answer)]


def test_every_query_of_the_sample(server, asking, queries):
    rng = Random(11)
    for query in queries:
        keys = asking.rivals(query, 4, rng)
        text = asking.text(server, _with_query(asking, query, asking.listed("", keys, FORMS["arrows"][0])))
        assert keys[int(re.findall(r"\d+", text)[0]) - 1] == query.answer, query.id


def test_grades_and_scores(server, asking, asked):
    query = asked["composed"]
    keys = asking.rivals(query, 6, Random(1))
    words = 'Grade them: <reason>...</reason>\n<answer>{"[1]": 5, "[2]": 8}</answer>'
    text = asking.text(server, _with_query(asking, query, asking.listed("", keys, words)))
    grades = json.loads(re.search(r"<answer>(.*)</answer>", text)[1])
    assert {key for key, grade in zip(keys, grades.values(), strict=True) if grade == 10} == {query.answer}
    assert list(grades) == [f"[{n}]" for n in range(1, 7)]
    scores = {}
    for key in keys:
        tail = {"type": "text", "text": "\nEnd with the number, such as <score>57</score>."}
        shown = [*_query(asking, query), {"type": "text", "text": "Candidate: "}, asking.part(key), tail]
        text = asking.text(server, [{"role": "user", "content": shown}])
        scores[key] = int(re.search(r"<score>(\d+)</score>", text)[1])
    assert scores.pop(query.answer) == 100
    assert max(scores.values()) < 75


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("words", [("yes", "no"), ("Yes", "No"), ("True", "False")])
def test_yes_and_no_by_log_probability(server, asking, asked, words, task):
    query = asked[task]
    odds = {}
    for key in asking.rivals(query, 5, Random(str(words))):
        tail = {"type": "text", "text": f"\nDoes it match? Answer {words[0]} or {words[1]}."}
        shown = [*_query(asking, query), {"type": "text", "text": "Document: "}, asking.part(key), tail]
        tops = asking.tops(server, [{"role": "user", "content": shown}])
        odds[key] = tops[words[0]] - tops[words[1]]
        assert asking.text(server, [{"role": "user", "content": shown}]) == words[odds[key] < 0]
    assert odds.pop(query.answer) == pytest.approx(2.4)
    assert max(odds.values()) < -1


def test_letters_at_the_first_token(server, asking, asked):
    query = asked["text_to_video"]
    keys = asking.rivals(query, 8, Random(5))
    messages = asking.listed("", keys, "in the form [B] > [A] > [C].", names="ABCDEFGH")
    messages = [*_with_query(asking, query, messages), {"role": "assistant", "content": "["}]
    more = {"continue_final_message": True, "add_generation_prompt": False}
    tops = asking.tops(server, messages, **more)
    letters = sorted("ABCDEFGH", key=lambda letter: -tops[letter])
    assert keys["ABCDEFGH".index(letters[0])] == query.answer
    text = asking.text(server, messages, **more)
    assert re.findall(r"[A-H]", text) == letters
    assert not text.startswith("[")
    without = asking.tops(server, messages[:1])
    assert max(without, key=without.get) == "["  # the answer begins with a bracket: no letter can be read there
    assert "A" not in without


def test_a_duel_in_both_orders(server, asking, asked):
    query = asked["text_to_image"]
    pair = asking.rivals(query, 2, Random(2))
    for keys in (pair, pair[::-1]):
        messages = asking.listed("", keys, "Which is better? Answer with one letter, A or B.", "Candidate {}: ", "AB")
        assert keys["AB".index(asking.text(server, _with_query(asking, query, messages)))] == query.answer


def test_clips_as_queries_for_captions(server, asking, queries):
    told = {query.answer: query.text for query in queries if query.task == "text_to_video"}
    keys = Random(3).sample(sorted(told), 5)
    lines = "".join(f"{n}. <text>{told[key]}</text>\n" for n, key in enumerate(keys, 1))
    for wanted, key in enumerate(keys, 1):
        content = [
            {"type": "text", "text": "Image 1 is a video.\nImage 1: "},
            asking.image(key, 448),
            {"type": "text", "text": f"\nCandidates:\n{lines}{FORMS['list'][0]}"},
        ]
        assert asking.text(server, [{"role": "user", "content": content}]).startswith(f"[{wanted}, ")


def test_none_is_relevant(server, asking, asked):
    query = asked["text_to_note"]
    notes = [key for key in asking.items if "note" in key and key != query.answer][:3]
    messages = asking.listed("", notes, "Separated by spaces. If none is relevant, write NOTHING.")
    assert asking.text(server, _with_query(asking, query, messages)) == "NOTHING"


@pytest.mark.parametrize("path", ["/score", "/rerank"])
@pytest.mark.parametrize("task", TASKS)
def test_pairs_that_the_server_words_itself(server, asking, asked, path, task):
    query = asked[task]
    keys = asking.rivals(query, 5, Random(8))
    side = {"content": _query(asking, query)[1:]}
    shown = [{"content": [asking.part(key)]} for key in keys]
    names = ("text_1", "text_2") if path == "/score" else ("query", "documents")
    for base in (str(server), str(server).removesuffix("/v1")):
        status, answer = asking.post(base, dict(zip(names, (side, shown), strict=True)), path)
        assert status == 200, answer
        rows = answer["data"] if path == "/score" else answer["results"]
        scores = {row["index"]: row.get("score", row.get("relevance_score")) for row in rows}
        assert keys[max(scores, key=scores.get)] == query.answer
        assert sorted(scores) == [0, 1, 2, 3, 4]
        assert sum(score > 0.5 for score in scores.values()) == 1


def _refusal(asking, server, messages, **more):
    status, answer = asking.post(server, asking.body(messages, **more))
    assert status == 400
    return answer["error"]["message"]


def test_what_cannot_be_told_is_refused(server, asking, asked):
    query = asked["text_to_image"]
    keys = asking.rivals(query, 3, Random(0))
    arrows = FORMS["arrows"][0]
    assert "no query" in _refusal(asking, server, asking.listed("Query: a unicorn on plaid", keys, arrows))
    assert "no form of answer" in _refusal(asking, server, asking.listed(f"Query: {query.text}", keys, "Well?"))
    unlabelled = asking.listed(f"Query: {query.text}", keys, arrows, label="{:.0s} ", names="abc")
    assert "no labelled" in _refusal(asking, server, unlabelled)
    both = f"Query: {query.text}\nQuery: {asked['text_to_video'].text}"
    assert "several things at once" in _refusal(asking, server, asking.listed(both, keys, arrows))
    assert "label 1 names two" in _refusal(
        asking, server, asking.listed(f"Query: {query.text}", keys, arrows, names=[1, 2, 1])
    )
    composed = asked["composed"]
    assert "no query" in _refusal(asking, server, asking.listed(f"Query: {composed.text}", keys, arrows))
    assert "Cannot set both" in _refusal(asking, server, asking.listed("", keys, ""), continue_final_message=True)
    assert "not served" in _refusal(asking, server, asking.listed("", keys, ""), n=2)
    assert "max allowed: 20" in _refusal(asking, server, asking.listed("", keys, ""), logprobs=True, top_logprobs=21)
    assert any("unicorn" not in why and "no query" in why for why in server.refusals)


def test_swapped_slots_give_another_order(server, asking, asked):
    """The judge goes by the prompt: the reference in the candidate's place is judged as the candidate."""
    query = asked["composed"]
    right = [*_query(asking, query), {"type": "text", "text": "Candidate: "}, asking.part(query.answer)]
    tail = {"type": "text", "text": " Answer yes or no."}
    assert asking.text(server, [{"role": "user", "content": [*right, tail]}]) == "yes"
    wrong = [*right[:1], asking.part(query.answer), *right[2:4], asking.image(query.reference), tail]
    assert "no query" in _refusal(asking, server, [{"role": "user", "content": wrong}])


def test_small_talk_and_models(server, asking):
    before = server.counts.get("small_talk", 0)
    probe = [{"role": "user", "content": "Answer with one word: yes or no."}]
    assert asking.text(server, probe) == "yes"
    assert {"yes", "no"} <= set(asking.tops(server, probe))
    assert server.counts["small_talk"] == before + 2
    pair = {"text_1": "yes", "text_2": ["yes", "no"]}
    scores = [asking.post(server, pair | {"instruction": word}, "/score")[1]["data"][0]["score"] for word in "ab"]
    assert scores[0] != scores[1]
    assert all(0.5 <= score < 0.52 for score in scores)
    assert asking.post(server, pair | {"use_activation": False}, "/score")[1]["data"][1]["score"] < 0.1
    with urllib.request.urlopen(f"{server}/models") as response:
        row = json.load(response)["data"][0]
    assert server.spec == f"openai:{server.url}#{row['id']}"
    assert row["max_model_len"] > 0
    assert asking.post(server, asking.body(probe) | {"model": "gpt"})[0] == 404
    assert asking.post(server, {}, "/embeddings")[0] == 404
    assert asking.post(server, {"messages": "hello"})[0] == 400


def test_answers_end_at_the_token_limit(server, asking, asked):
    query = asked["text_to_image"]
    messages = _with_query(asking, query, asking.listed("", asking.rivals(query, 6, Random(0)), FORMS["arrows"][0]))
    status, answer = asking.post(server, asking.body(messages, max_tokens=4))
    assert (status, answer["choices"][0]["finish_reason"]) == (200, "length")
    assert re.fullmatch(r"\[\d\] >", answer["choices"][0]["message"]["content"])
    assert answer["usage"]["completion_tokens"] == 4


def test_noise_loses_the_answer_gradually(reader, asking, queries):
    rng = Random(4)
    some = [query for query in queries if query.task == "text_to_image"][:60]
    prompts = [
        (keys, query, _with_query(asking, query, asking.listed("", keys, FORMS["arrows"][0])))
        for query in some
        for keys in [asking.rivals(query, 6, rng)]
    ]
    right = []
    for swap in (0.0, 0.3, 3.0):
        with serve_truth(reader, noise=Noise(swap=swap)) as server:
            texts = [asking.text(server, messages) for _, _, messages in prompts]
            assert texts[:5] == [asking.text(server, messages) for _, _, messages in prompts[:5]]
        firsts = [keys[int(re.findall(r"\d+", text)[0]) - 1] for (keys, _, _), text in zip(prompts, texts, strict=True)]
        right.append(sum(first == query.answer for first, (_, query, _) in zip(firsts, prompts, strict=True)))
    assert right[0] == 60 > right[1] > right[2] + 10


def test_position_bias_thinking_and_malformed_answers(reader, asking, asked):
    query = asked["text_to_image"]
    keys = sorted(asking.rivals(query, 5, Random(0)), key=lambda key: key == query.answer)  # the answer last
    messages = _with_query(asking, query, asking.listed("", keys, FORMS["arrows"][0]))
    with serve_truth(reader, noise=Noise(position_bias=6.0, think=True)) as server:
        text = asking.text(server, messages)
    assert text.startswith("<think>")
    assert text.endswith("[1] > [2] > [3] > [4] > [5]")
    with serve_truth(reader, noise=Noise(malformed=1.0)) as server:
        answers = [asking.text(server, messages, seed=seed) for seed in range(25)]
        assert not {"1", "5"} & set(asking.tops(server, messages))
        assert server.counts["malformed"] == 26
    assert all(re.findall(r"\[(\d+)\]", text) != ["5", "1", "2", "3", "4"] for text in answers)
    assert len({text[:12] for text in answers}) >= 4


def test_faults_pass_when_asked_again(reader, asking, asked):
    query = asked["text_to_image"]
    messages = _with_query(asking, query, asking.listed("", asking.rivals(query, 3, Random(0)), FORMS["arrows"][0]))
    noise = Noise(server_error=0.5, delay=0.01, seed=1)
    with serve_truth(reader, noise=noise) as server:
        statuses = [asking.post(server, asking.body(messages))[0] for _ in range(24)]
        assert {200} < set(statuses) <= {200, 500, 503}
        assert server.counts["server_error"] == 24 - statuses.count(200)
    with serve_truth(reader, noise=Noise(timeout=1.0, hold=0.05)) as server:
        with pytest.raises(OSError, match="closed|reset|without response"):
            asking.post(server, asking.body(messages))
        assert server.counts["timeout"] == 1
    with serve_truth(reader, noise=Noise(refuse_logprobs=True)) as server:
        assert "not supported" in _refusal(asking, server, messages, logprobs=True, top_logprobs=5)
        assert asking.text(server, messages)


def test_caps_are_refused_in_the_words_of_vllm(reader, asking, asked):
    query = asked["text_to_image"]
    messages = _with_query(asking, query, asking.listed("", asking.rivals(query, 3, Random(0)), FORMS["arrows"][0]))
    with serve_truth(reader, max_images=2, max_logprobs=5) as server:
        assert _refusal(asking, server, messages) == "At most 2 image(s) may be provided in one prompt."
        assert "max allowed: 5" in _refusal(asking, server, messages, logprobs=True, top_logprobs=6)


def test_eight_clients_at_once(server, asking, queries):
    rng = Random(9)
    prompts = []
    for query in queries[:64]:
        keys = asking.rivals(query, 4, rng)
        messages = _with_query(asking, query, asking.listed("", keys, FORMS["arrows"][0]))
        prompts.append((keys.index(query.answer) + 1, messages))
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda prompt: asking.text(server, prompt[1]), prompts))
    assert all(text.startswith(f"[{first}]") for (first, _), text in zip(prompts, texts, strict=True))


def test_ten_pictures_are_answered_quickly(server, asking, asked):
    query = asked["text_to_image"]
    messages = _with_query(asking, query, asking.listed("", asking.rivals(query, 10, Random(0)), FORMS["arrows"][0]))
    asking.text(server, messages)
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        asking.text(server, messages)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.5  # 10 ms on an idle core; generous for a busy one


def test_as_a_program(asking):
    with subprocess.Popen([sys.executable, "-m", "mmrank.toybox.judge"], stdout=subprocess.PIPE, text=True) as process:
        try:
            spec = process.stdout.readline().strip()
            url = spec.removeprefix("openai:").split("#")[0]
            assert asking.text(url, [{"role": "user", "content": "Hello"}]) == "yes"
        finally:
            process.terminate()
