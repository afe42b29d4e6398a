"""`mmrank index` on tables, data set folders and tar shards, and what is found in them, judged and shown."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

TOY = ("--model", "toybox", "--threads", "1")
SETTINGS = ("--threads", 1, "--device", "cpu", "--set", "max_pixels=1024")


@pytest.fixture
def photos(toy_media: Path, tmp_path: Path) -> list[Path]:
    folder = tmp_path / "pics"
    folder.mkdir()
    return [Path(shutil.copy(photo, folder)) for photo in sorted((toy_media / "photos").iterdir())[:4]]


@pytest.fixture
def products(photos: list[Path], tmp_path: Path) -> Path:
    """As a spreadsheet in Germany saves it."""
    rows = [
        "\ufeffSKU;Foto;Titel;Preis;Seit;kind",
        f'007;pics/{photos[0].name};"ein Hund,\nblau";12.50;2025-01-31;dress',
        f"008;pics/{photos[1].name};Pizza;80;2024-12-01;shirt",
        "009;pics/none.jpg;fehlt;1;2025-01-01;shirt",
        f"010;pics/{photos[2].name};zu;viel;Felder;in;dieser;Zeile",
    ]
    path = tmp_path / "products.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def hits(result) -> list[dict]:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)["hits"]


def test_a_mapped_csv_is_indexed_filtered_and_reported(run, products: Path, tmp_path: Path) -> None:
    named = ("--column", "image=foto", "--column", "id=SKU", "--column", "text=titel", "--column", "kind=")
    result = run("index", products, *named, "--to", tmp_path / "i", *TOY)
    assert result.exit_code == 0, result.stderr
    assert "2 added" in result.stdout
    assert "2 failed" in result.stdout
    assert f"row 3 of {products} names {tmp_path}/pics/none.jpg: No such file or directory" in result.stdout
    assert f"{products}#row=4: line 6 has 2 fields more than the header" in result.stdout
    where = "preis < 80 and seit >= date '2025-01-01' and meta_kind = 'dress'"
    (hit,) = hits(run("search", tmp_path / "i", "a dog", "--where", where, "--json"))
    assert (hit["id"], hit["kind"], hit["text"]) == ("007", "image", "ein Hund,\nblau")
    again = run("index", products, *named, "--to", tmp_path / "i", "--json")
    assert (json.loads(again.stdout)["added"], json.loads(again.stdout)["unchanged"]) == (0, 2)


def test_one_changed_price_is_one_row_and_no_embedding(run, products: Path, tmp_path: Path) -> None:
    named = ("--column", "image=foto", "--column", "id=SKU", "--column", "kind=")
    run("index", products, *named, "--to", tmp_path / "i", *TOY)
    products.write_text(products.read_text(encoding="utf-8").replace("12.50", "99.50"), encoding="utf-8")
    report = json.loads(run("index", products, *named, "--to", tmp_path / "i", "--json").stdout)
    assert (report["added"], report["updated"], report["unchanged"]) == (0, 1, 1)
    assert [hit["id"] for hit in hits(run("search", tmp_path / "i", "a dog", "--where", "preis > 90", "--json"))] == [
        "007"
    ]


def test_a_wrong_mapping_is_refused_before_a_model_is_loaded(run, products: Path, tmp_path: Path) -> None:
    result = run("index", products, "--column", "image=photo", "--to", tmp_path / "i", "--model", "no/such:model")
    assert result.exit_code == 2
    assert "no column 'photo', which 'image' is mapped to; its columns are SKU, Foto, Titel" in result.stderr
    assert "Did you mean 'Foto'?" in result.stderr
    for wrong, said in {"picture=Foto": "no part of an Item", "Foto": "not ROLE=NAME"}.items():
        result = run("index", products, "--column", wrong, "--to", tmp_path / "i", *TOY)
        assert result.exit_code == 2
        assert said in result.stderr
    twice = run("index", products, "--column", "id=SKU", "--column", "id=Titel", "--to", tmp_path / "i", *TOY)
    assert "given twice" in twice.stderr
    assert not (tmp_path / "i").exists()


def test_a_config_file_holds_the_mapping_and_options_go_before_it(run, products: Path, tmp_path: Path) -> None:
    config = tmp_path / "shop.toml"
    config.write_text(
        'paths = ["products.csv"]\nto = "i"\nmodel = "toybox"\nthreads = 1\n'
        '[columns]\nimage = "foto"\nid = "nr"\nkind = ""\n',
        encoding="utf-8",
    )
    refused = run("index", "--config", config)
    assert refused.exit_code == 2
    assert "no column 'nr'" in refused.stderr
    result = run("index", "--config", config, "--column", "id=sku", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["added"] == 2


@pytest.fixture
def packed(photos: list[Path], tmp_path: Path) -> Iterator[list[Path]]:
    """The photos in a tar, a tar.gz, a Parquet file and an Arrow file, and nowhere else."""
    pictures = [photo.read_bytes() for photo in photos]
    paths = [tmp_path / name for name in ("s.tar", "s.tar.gz", "t.parquet", "t.arrow")]
    for path, picture in zip(paths[:2], pictures, strict=False):
        with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as out:
            for name, content in (("a b.jpg", picture), ("a b.txt", b"a caption")):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                out.addfile(info, io.BytesIO(content))
    column = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    tables = [pa.table({"image": pa.array([{"bytes": p, "path": "x.jpg"}], column)}) for p in pictures[2:]]
    pq.write_table(tables[0], paths[2])
    with pa.OSFile(str(paths[3]), "wb") as sink, pa.ipc.new_stream(sink, tables[1].schema) as writer:
        writer.write_table(tables[1])
    shutil.rmtree(photos[0].parent)
    return paths


def test_what_lies_in_shards_and_cells_is_judged_and_shown(
    run, packed: list[Path], tiny_judge: Path, tmp_path: Path
) -> None:
    result = run("index", *packed, "--to", tmp_path / "i", *TOY, "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["added"], report["failed"], report["warnings"][1:]) == (4, [], [])
    arguments = ("--rerank", f"yes_no@{tiny_judge}", "--depth", 4, *SETTINGS)
    answer = json.loads(run("search", tmp_path / "i", "a dog", *arguments, "--json").stdout)
    assert answer["outcome"] == "ok"
    assert answer["records"][-1]["calls"] == 4
    assert {hit["uri"] for hit in answer["hits"]} == {
        f"{tmp_path}/s.tar#member=a%20b.jpg",
        f"{tmp_path}/s.tar.gz#member=a%20b.jpg",
        f"{tmp_path}/t.parquet#row=1&column=image",
        f"{tmp_path}/t.arrow#row=1&column=image",
    }
    assert {hit["stage"] for hit in answer["hits"]} == {f"yes_no@{tiny_judge}"}
    page = tmp_path / "hits.html"
    table = run("search", tmp_path / "i", "a dog", "--html", page)
    assert "a b.jpg" in table.stdout
    assert "row 1" in table.stdout
    assert page.read_text(encoding="utf-8").count('src="data:image/jpeg') == 4
    again = json.loads(run("index", *packed, "--to", tmp_path / "i", "--json").stdout)
    assert (again["added"], again["updated"], again["unchanged"]) == (0, 0, 4)


def test_a_shard_that_is_gone_is_said_by_the_judge(run, packed: list[Path], tiny_judge: Path, tmp_path: Path) -> None:
    run("index", packed[0], packed[2], "--to", tmp_path / "i", *TOY)
    packed[0].unlink()
    arguments = ("--rerank", f"yes_no@{tiny_judge}", "--depth", 2, *SETTINGS, "--json")
    answer = json.loads(run("search", tmp_path / "i", "a dog", *arguments).stdout)
    assert len(answer["hits"]) == 2
    assert answer["outcome"] != "ok"
    assert "s.tar" in json.dumps(answer["records"][-1])


def test_members_that_left_a_shard_are_pruned(run, packed: list[Path], tmp_path: Path) -> None:
    run("index", packed[0], packed[2], "--to", tmp_path / "i", *TOY)
    with tarfile.open(packed[0]) as old:
        member = old.extractfile("a b.jpg")
        assert member is not None
        content = member.read()
    with tarfile.open(packed[0], "w") as out:
        info = tarfile.TarInfo("other.jpg")
        info.size = len(content)
        out.addfile(info, io.BytesIO(content))
    report = json.loads(run("index", packed[0], packed[2], "--to", tmp_path / "i", "--prune", "--json").stdout)
    assert (report["added"], report["removed"], report["unchanged"]) == (1, 1, 1)
