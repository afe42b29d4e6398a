"""The report: whole, self-contained, deaf to what strangers write, and working in a browser."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmrank.errors import UsageError
from mmrank.evaluation.dataset import Dataset, Task
from mmrank.evaluation.report import write_report
from mmrank.evaluation.results import Evaluation

VOID = {"meta", "img", "input", "path", "circle", "rect", "br", "hr", "link"}
NAMES = ("reranking", "directions", "kinds", "evil")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on this machine")


class Page(HTMLParser):
    """Reads a page strictly enough to see whether its elements close, and keeps attributes, words and data blocks."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            attributes = next(attributes for tag, attributes in reversed(self.tags) if tag == "script")
            self.scripts.append((attributes, data))
        else:
            self.words.append(data)

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]

    def data(self, name: str) -> Any:
        return json.loads(next(text for attributes, text in self.scripts if attributes.get("id") == name))


@pytest.fixture(scope="session")
def reports(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    for name in NAMES:
        write_report(request.getfixturevalue(name), folder / f"{name}.html", queries=30)
    return {name: folder / f"{name}.html" for name in NAMES}


@pytest.fixture(scope="session")
def pages(reports: dict[str, Path]) -> dict[str, Page]:
    return {name: Page(path.read_text(encoding="utf-8")) for name, path in reports.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_page_parses_and_loads_nothing(pages: dict[str, Page], name: str) -> None:
    page = pages[name]
    assert not {tag for tag, _ in page.tags} & {
        "iframe",
        "object",
        "embed",
        "link",
        "form",
        "base",
        "video",
        "img",
        "a",
    }
    for tag, attributes in page.tags:
        assert not [key for key in attributes if key.startswith("on") or key in ("src", "href", "action", "srcset")], (
            tag
        )
    assert "url(" not in page.text
    assert "@import" not in page.text
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", NAMES)
def test_only_the_pages_own_script_may_run(pages: dict[str, Page], name: str) -> None:
    page = pages[name]
    running = [text for attributes, text in page.scripts if attributes.get("type") != "application/json"]
    assert len(running) == 1
    digest = base64.b64encode(hashlib.sha256(running[0].encode()).digest()).decode()
    policy = next(a["content"] for a in page.of("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}';" in policy
    assert "innerHTML" not in running[0]
    assert len(page.of("script")) == 3


def test_the_head_says_what_was_measured_and_how(pages: dict[str, Page], reranking: Evaluation) -> None:
    said = " ".join(pages["reranking"].words)
    dataset = reranking.dataset
    for part in (dataset.protocol, "averaging", "none", "yes_no", "square", "gain over first stage", "95.00 at 10"):
        assert part in said
    assert "R@1 87.1 on MSR-VTT" in said
    assert "Vote-in-Context" in said
    assert "Significance" in said
    assert not [a for a in pages["reranking"].of("p") if a.get("class") == "loud"]
    loud = [a for a in pages["evil"].of("p") if a.get("class") == "loud"]
    assert len(loud) == 3
    assert {"NOT OFFICIAL", "SAMPLE", "POST-PROCESSED"} <= set(pages["evil"].words)
    assert "dual softmax" in " ".join(pages["directions"].words)


def test_every_figure_of_the_table_is_on_the_page(pages: dict[str, Page], directions: Evaluation) -> None:
    words = pages["directions"].words
    for each in directions.systems:
        for value in each.figures.values():
            assert f"{value:.2f}" in words


def test_the_rows_hold_the_real_ranks_and_answers(pages: dict[str, Page], reranking: Evaluation) -> None:
    data = pages["reranking"].data("rows-data")
    (task,) = data["tasks"]
    (asked,) = reranking.dataset.tasks
    first, yes_no, square = task["sides"]
    assert [first["name"], yes_no["name"], square["name"]] == ["first stage", "yes_no", "square"]
    assert (task["before"], task["after"]) == (0, 1)
    for row, query in enumerate(task["queries"]):
        (answer,) = asked.relevant[query["id"]]
        assert [data["items"][item]["id"] for item in query["answers"]] == [answer]
        for side, run in ((first, reranking.systems[0].first), (yes_no, reranking.systems[0].run)):
            assert run is not None
            names = run.ids(query["id"])
            assert side["ranks"][row] == names.index(answer) + 1
            assert [data["items"][item]["id"] for item in side["tops"][row]] == list(names[:6])
    hits = [rank == 1 for rank in square["ranks"]]
    assert 100 * sum(hits) / len(hits) == pytest.approx(reranking.systems[1].figures["R@1"])


def test_pictures_are_there_once_and_are_pictures(pages: dict[str, Page]) -> None:
    pictures = pages["reranking"].data("pictures-data")
    assert len(pictures) == len(set(pictures))
    data = pages["reranking"].data("rows-data")
    used = {item["picture"] for item in data["items"]}
    used |= {held["picture"] for query in data["tasks"][0]["queries"] for held in query["pictures"]}
    assert used == set(range(len(pictures)))
    assert len(pictures) <= len(data["items"]) + 1  # a reference is an item too, and not there twice
    for coded in pictures:
        with Image.open(io.BytesIO(base64.b64decode(coded))) as image:
            assert image.format == "JPEG"
            assert max(image.size) <= 112


def test_what_cannot_be_read_keeps_its_cause(pages: dict[str, Page]) -> None:
    data = pages["evil"].data("rows-data")
    told = {item["id"]: item for item in data["items"]}
    assert "picture" not in told["gone"]
    assert "gone/" in told["gone"]["cause"]
    assert told["bytes"]["cause"]
    assert "cause" not in told["text"]
    assert data["unread"].startswith("3 of 3 pictures could not be read.")
    assert all(query["pictures"][0]["cause"] for query in data["tasks"][0]["queries"])


def test_a_budget_of_none_leaves_the_tables(reranking: Evaluation, tmp_path: Path) -> None:
    write_report(reranking, tmp_path / "r.html", queries=0)
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert not page.of("script")
    assert page.of("table")
    assert [file.name for file in tmp_path.iterdir()] == ["r.html"]
    with pytest.raises(UsageError, match="queries is -1"):
        write_report(reranking, tmp_path / "r.html", queries=-1)


def test_the_budget_is_kept_over_all_tasks_and_said(directions: Evaluation, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    write_report(directions, tmp_path / "r.html", queries=5, progress=lambda done, total: told.append((done, total)))
    data = Page((tmp_path / "r.html").read_text(encoding="utf-8")).data("rows-data")
    assert [len(task["queries"]) for task in data["tasks"]] == [2, 3]
    assert all(task["said"].startswith("Of 6 queries") for task in data["tasks"])
    assert [done for done, _ in told] == list(range(1, told[-1][1] + 1))


def test_a_split_without_answers_shows_lists_and_no_ranks(reranking: Evaluation, tmp_path: Path) -> None:
    (task,) = reranking.dataset.tasks
    hidden = Task(queries=task.queries, gallery=task.gallery, relevant={}, metrics=task.metrics)
    dataset: Dataset = replace(reranking.dataset, tasks=(hidden,))
    blind = tuple(replace(e, figures={}, values={}, first_figures={}, ceiling=None) for e in reranking.systems)
    write_report(Evaluation(dataset=dataset, systems=blind), tmp_path / "r.html")
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "not public" in " ".join(page.words)
    assert not page.of("figure")
    data = page.data("rows-data")
    assert set(data["tasks"][0]["sides"][0]["ranks"]) == {0}
    assert all(len(top) == 6 for top in data["tasks"][0]["sides"][1]["tops"])


# --------------------------------------------------------------------------------------------------- in a browser

Look = Callable[..., "Seen"]


class Seen(HTMLParser):
    """The document after its script ran."""

    def __init__(self, text: str, errors: list[str]) -> None:
        super().__init__()
        self.errors = errors
        self.body: dict[str, str | None] = {}
        self.rows: list[dict[str, str | None]] = []
        self.images = 0
        self.elements: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.add(tag)
        if tag == "body":
            self.body = attributes
        if tag == "img":
            self.images += 1
            assert (attributes["src"] or "").startswith("data:image/jpeg;base64,")
        if tag == "li" and attributes.get("class") == "row":
            self.rows.append(attributes)

    @property
    def changes(self) -> list[float]:
        return [float(row["data-change"] or "nan") for row in self.rows]


def dumped(address: str, folder: Path) -> tuple[str, list[str]]:
    """The document after its script ran, and what the browser's console said."""
    assert CHROMIUM is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    command = [CHROMIUM, *options, f"--user-data-dir={folder / 'profile'}", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    return done.stdout, re.findall(r"^.*CONSOLE.*$", done.stderr, re.MULTILINE)


@pytest.fixture
def look(reports: dict[str, Path], tmp_path: Path) -> Look:
    def opened(name: str, view: str = "") -> Seen:
        return Seen(*dumped(reports[name].as_uri() + (f"#{view}" if view else ""), tmp_path))

    return opened


@browser
@pytest.mark.parametrize("name", NAMES)
def test_the_page_opens_without_an_error_and_shows_every_picture(look: Look, pages: dict[str, Page], name: str) -> None:
    seen = look(name)
    assert seen.errors == []
    assert seen.body["data-ready"] == "true"
    assert "data-broken" not in seen.body
    assert int(seen.body["data-loaded"] or 0) == int(seen.body["data-pictures"] or 0) == seen.images
    assert len(seen.rows) == min(25, len(pages[name].data("rows-data")["tasks"][0]["queries"]))
    assert "b" in seen.elements
    if name != "evil":
        assert seen.images > len(seen.rows)


STEPS = """
<script>
const steps = %s, trail = [];
for (const step of steps) {
  for (const [id, value] of Object.entries(step.set ?? {})) {
    const control = document.getElementById(id);
    control.value = value;
    control.dispatchEvent(new Event(id === "find" ? "input" : "change"));
  }
  if (step.click) document.querySelector(`[data-step="${step.click}"]`).click();
  const rows = [...document.querySelectorAll("li.row")];
  trail.push({
    rows: rows.map((row) => [row.dataset.id, Number(row.dataset.change)]),
    counted: document.getElementById("counted").textContent,
    hash: location.hash,
  });
}
document.body.append(Object.assign(document.createElement("pre"), { id: "trail", textContent: JSON.stringify(trail) }));
</script>
"""


def walked(report: Path, folder: Path, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the page shows after each step of somebody who uses its controls: a copy that lets another script run."""
    text = report.read_text(encoding="utf-8")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    copy = folder / "walked.html"
    copy.write_text(text.replace("</body>", STEPS % json.dumps(steps) + "</body>"), encoding="utf-8")
    dom, errors = dumped(copy.as_uri(), folder)
    assert errors == []
    trail: list[dict[str, Any]] = json.loads(unescape(dom.split('<pre id="trail">')[1].split("</pre>")[0]))
    return trail


def ids(step: dict[str, Any]) -> list[str]:
    return [name for name, _ in step["rows"]]


def changes(step: dict[str, Any]) -> list[float]:
    return [change for _, change in step["rows"]]


@browser
def test_rows_are_sorted_filtered_and_paged(reports: dict[str, Path], pages: dict[str, Page], tmp_path: Path) -> None:
    (task,) = pages["kinds"].data("rows-data")["tasks"]
    wanted = task["queries"][7]
    gains, second, back, losses, named, fallen, found, none, lost = walked(
        reports["kinds"],
        tmp_path,
        [
            {"set": {"sort": "gain"}},
            {"click": "1"},
            {"click": "-1"},
            {"set": {"sort": "loss"}},
            {"set": {"sort": "id"}},
            {"set": {"outcome": "fell_back"}},
            {"set": {"outcome": "", "find": wanted["text"].upper()}},
            {"set": {"find": "no such words"}},
            {"set": {"find": "", "moved": "lost"}},
        ],
    )
    assert changes(gains) == sorted(changes(gains), reverse=True)
    assert changes(gains)[0] > 0
    assert (len(ids(gains)), len(ids(second))) == (25, 5)
    assert not set(ids(gains)) & set(ids(second))
    assert back["rows"] == gains["rows"]
    assert changes(losses) == sorted(changes(losses))
    assert changes(losses)[0] < 0
    assert "sort=loss" in losses["hash"]
    assert ids(named) == sorted(query["id"] for query in task["queries"])[:25]
    outcomes = task["sides"][task["after"]]["outcomes"]
    expected = {q["id"] for q, outcome in zip(task["queries"], outcomes, strict=True) if outcome == "fell_back"}
    assert expected
    assert set(ids(fallen)) == expected
    assert wanted["id"] in ids(found)
    assert none["rows"] == []
    assert none["counted"] == "0 queries"
    assert lost["rows"]
    assert all(change < 0 for change in changes(lost))


@browser
def test_any_two_sides_can_be_compared(reports: dict[str, Path], tmp_path: Path) -> None:
    straight, turned, systems, alone = walked(
        reports["reranking"],
        tmp_path,
        [
            {"set": {"sort": "order"}},
            {"set": {"before": "1", "after": "0"}},
            {"set": {"before": "1", "after": "2"}},
            {"set": {"before": "-1"}},
        ],
    )
    assert changes(turned) == [-change for change in changes(straight)]
    assert changes(systems) != changes(straight)
    assert set(changes(alone)) == {0}


@browser
def test_another_task_has_its_own_rows(reports: dict[str, Path], tmp_path: Path) -> None:
    t2v, v2t = walked(reports["directions"], tmp_path, [{"set": {"task": "0"}}, {"set": {"task": "1"}}])
    assert all(name.startswith("ret") for name in ids(t2v))
    assert all(name.startswith("video") for name in ids(v2t))


@browser
def test_an_address_leads_to_a_view_and_nonsense_in_it_does_no_harm(look: Look) -> None:
    losses = look("kinds", "sort=loss&page=2&moved=lost")
    assert all(change < 0 for change in losses.changes)
    odd = look("reranking", "task=9&before=77&after=-1&sort=up&page=-4&outcome=never&__proto__=1")
    assert odd.errors == []
    assert len(odd.rows) == 20
