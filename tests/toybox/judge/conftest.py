"""A judge of the bundled sample, a larger collection with near-duplicates, and requests built by hand."""

from __future__ import annotations

import base64
import io
import json
import urllib.error
import urllib.request

import pytest
from PIL import Image

from mmrank.media import open_image, open_page, s_grid, sample_frames
from mmrank.toybox import write_toybox
from mmrank.toybox.assets import sample_queries_file
from mmrank.toybox.judge import Reader, serve_truth
from mmrank.toybox.judge.known import read_knowledge
from mmrank.toybox.judge.sight import Sight
from mmrank.toybox.manifest import read_queries


@pytest.fixture(scope="session")
def reader():
    return Reader(read_knowledge())


@pytest.fixture(scope="session")
def sight(reader):
    return Sight(reader.gallery)


@pytest.fixture(scope="session")
def queries():
    return read_queries(sample_queries_file())


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_toybox(folder, images=300, videos=12, pages=12, notes=4, seed=5)
    return folder


@pytest.fixture(scope="session")
def world_reader(world):
    return Reader(read_knowledge(world))


@pytest.fixture(scope="session")
def server(reader):
    with serve_truth(reader) as running:
        yield running


def jpeg(image, quality=90):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue()))


def picture_of(item, side=160):
    """An item's picture as a judge is sent it, its shorter side `side` pixels; clips as an S-Grid of that side."""
    if item.kind == "video":
        return s_grid(sample_frames(item.file, frames=9).images, 3, side)
    if item.page is not None:
        image = open_page(item.file, item.page, size=max(side, 448)).image
    else:
        image = open_image(item.file)
    scale = side / min(image.size)
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)


def url_of(image, form="PNG"):
    file = io.BytesIO()
    image.convert("RGB").save(file, form)
    return f"data:image/{form.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


class Asking:
    """Requests by hand, through plain HTTP."""

    def __init__(self, reader):
        self.items = reader.known.items
        self._urls = {}

    def image(self, key, side=160):
        if (key, side) not in self._urls:
            self._urls[key, side] = url_of(picture_of(self.items[key], side))
        return {"type": "image_url", "image_url": {"url": self._urls[key, side]}}

    def part(self, key):
        """A candidate: its picture, or the words of a note."""
        item = self.items[key]
        if item.kind == "text":
            return {"type": "text", "text": f"<text>{item.file.read_text()}</text>"}
        return self.image(key)

    def listed(self, head, keys, tail, label="[{}] ", names=None):
        """A list prompt: words, a labelled line for each candidate, words."""
        content = [{"type": "text", "text": head + "\n"}]
        for name, key in zip(names or range(1, len(keys) + 1), keys, strict=True):
            content += [{"type": "text", "text": "\n" + label.format(name)}, self.part(key)]
        return [{"role": "user", "content": [*content, {"type": "text", "text": "\n" + tail}]}]

    @staticmethod
    def body(messages, **more):
        return {"model": "toybox-truth", "messages": messages, "max_tokens": 300, **more}

    @staticmethod
    def post(server, body, path="/chat/completions"):
        """(HTTP status, JSON)."""
        data = json.dumps(body).encode()
        request = urllib.request.Request(f"{server}{path}", data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def text(self, server, messages, **more):
        status, answer = self.post(server, self.body(messages, **more))
        assert status == 200, answer
        return answer["choices"][0]["message"]["content"]

    def tops(self, server, messages, count=20, **more):
        more = {"max_tokens": 1, "logprobs": True, "top_logprobs": count} | more
        status, answer = self.post(server, self.body(messages, **more))
        assert status == 200, answer
        rows = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        assert len(rows) == count
        return {row["token"]: row["logprob"] for row in rows}

    def rivals(self, query, count, rng):
        """The answer among `count - 1` other items of its kind, in random order."""
        others = [k for k, i in self.items.items() if i.kind == query.kind and k not in (query.answer, query.reference)]
        keys = [query.answer, *rng.sample(others, count - 1)]
        rng.shuffle(keys)
        return keys


@pytest.fixture(scope="session")
def asking(reader):
    return Asking(reader)


@pytest.fixture(scope="session")
def asked(queries):
    """One query of each task."""
    return {query.task: query for query in queries}


@pytest.fixture
def recoded():
    return jpeg


@pytest.fixture
def pictured():
    return picture_of
