"""Chat-IR: a dialogue about an image, searched for again after every round.

Levy et al., "Chatting Makes Perfect: Chat-based Image Retrieval", NeurIPS 2023; github levymsn/ChatIR.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmrank.evaluation.dataset import Dataset, DatasetError, Media, Task
from mmrank.evaluation.datasets.files import MediaFiles, first_existing, read_json, rows_of
from mmrank.evaluation.datasets.rows import QueryRow, make_task
from mmrank.evaluation.protocols import CHAT_IR, cumulative_hits
from mmrank.types import Item, Query

ROUNDS = 11
"""The caption and ten questions with their answers."""

JOINED = ", "
"""Between rounds, in the authors' evaluation code."""


def read(
    root: Path,
    split: str,
    media: Media,
    *,
    dialogues: str = "VisDial_v1.0_queries_val",
    turns: bool = False,
    images: Path | None = None,
) -> Dataset:
    """Read a set of dialogues: a task for each round, "round 0" (the caption) to "round 10", over the same images.

    Args:
        root: holds `ChatIR_Protocol/Search_Space_val_50k.json`, `dialogues/*.json` and `unlabeled2017/`.
        split: "val".
        media: what to do about images that are not there.
        dialogues: the name of a file in `dialogues/`, without its suffix.
        turns: give the rounds as `Query.turns` behind the caption, for composing and rerankers that know dialogues.
            Else they are one text, joined by commas as in the authors' code.
        images: the folder that holds `unlabeled2017`, or that folder itself, where it is elsewhere.

    Item ids are the paths of the search space; query ids are numbers from 0, the same in every round.
    """
    space = first_existing(
        root,
        ["ChatIR_Protocol/Search_Space_val_50k.json", "Search_Space_val_50k.json"],
        "Chat-IR's search space (ChatIR_Protocol/Search_Space_val_50k.json)",
    )
    paths = read_json(space)
    if not isinstance(paths, list) or not all(isinstance(each, str) for each in paths):
        raise DatasetError(f"{space} is no list of image paths; give the file of github levymsn/ChatIR.")
    asked = first_existing(root, [f"dialogues/{dialogues}.json", f"{dialogues}.json"], f"Chat-IR's {dialogues}.json")
    rows = [
        _checked(row, number, asked) for number, row in enumerate(rows_of(asked, read_json(asked), ["img", "dialog"]))
    ]
    files = MediaFiles(roots=[images] if images else [root, root / "coco", root / "COCO2017_unlabeled"], policy=media)
    items = {path: _image(files, path) for path in paths}
    missing = files.check("Chat-IR")
    tasks: list[Task] = []
    dropped: tuple[str, ...] = ()
    for spoken in range(ROUNDS):
        made = [_query(row, number, spoken, turns) for number, row in enumerate(rows)]
        task, dropped = make_task(made, items, CHAT_IR, name=f"round {spoken}")
        tasks.append(task)
    return Dataset(
        name="chat-ir",
        title="Chat-IR",
        split=split,
        variant=f"{dialogues} dialogues{', rounds as turns' if turns else ''}",
        tasks=tuple(tasks),
        combine_values=cumulative_hits,
        missing=missing,
        dropped=dropped,
        notes=_notes(rows),
    )


def _checked(row: dict[str, Any], number: int, path: Path) -> dict[str, Any]:
    said = row["dialog"]
    if not isinstance(said, list) or not said or not all(isinstance(each, str) for each in said):
        raise DatasetError(f"Row {number} of {path} has no list of texts as dialog; download it again.")
    return row


def _image(files: MediaFiles, path: str) -> Item | None:
    found = files.find([path, path.rpartition("/")[2]])
    return None if found is None else Item(id=path, kind="image", uri=found)


def _query(row: dict[str, Any], number: int, spoken: int, turns: bool) -> QueryRow:
    said = row["dialog"][: spoken + 1]
    text, rounds = (said[0], tuple(said[1:])) if turns else (JOINED.join(said), ())
    return QueryRow(query=Query(id=str(number), text=text, turns=rounds), relevant={row["img"]: 1.0})


def _notes(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    short = sum(len(row["dialog"]) < ROUNDS for row in rows)
    if not short:
        return ()
    return (f"Dialogues of fewer than {ROUNDS} rounds: {short}; their last round is asked again after it.",)
