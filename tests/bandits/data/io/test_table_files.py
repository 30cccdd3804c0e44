"""A table is the same from Parquet, CSV and JSON; what cannot be read is named with its line."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bandits import FullInformationData, HashingEncoder, from_long_table
from bandits.data.io.table_files import read_table

ROWS = [
    {"query_id": "q1", "query": 'say "hi",\nplease', "arm": "x", "reward": 1.5, "n": 3, "ok": True, "domain": "d"},
    {"query_id": "q1", "query": 'say "hi",\nplease', "arm": "y", "reward": -2.0, "n": 0, "ok": False, "domain": None},
]


def csv_text(rows):
    def cell(value):
        return "" if value is None else '"' + value.replace('"', '""') + '"' if isinstance(value, str) else str(value)

    return "\n".join([",".join(rows[0]), *(",".join(map(cell, row.values())) for row in rows), ""])


def write(folder, ending):
    path = folder / f"table{ending}"
    if ending == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif ending == ".csv":
        path.write_text(csv_text(ROWS), encoding="utf-8-sig")
    else:
        lines = [json.dumps(row) for row in ROWS]
        path.write_text("\n\n".join(lines) if ending == ".jsonl" else f"[{','.join(lines)}]")
    return path


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl", ".json"])
def test_every_kind_of_file_gives_the_same_table(tmp_path, ending):
    table = read_table(write(tmp_path, ending))
    assert table.to_pylist() == ROWS
    assert table.schema.field("n").type == pa.int64()
    assert table.schema.field("reward").type == pa.float64()


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl", ".json"])
def test_long_tables_are_read_from_every_kind_of_file(tmp_path, ending):
    rows = [{**row, "domain": "d"} for row in ROWS]
    path = tmp_path / f"table{ending}"
    if ending == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text(csv_text(rows) if ending == ".csv" else "\n".join(map(json.dumps, rows)))
    data = from_long_table(path, HashingEncoder(8))
    assert isinstance(data, FullInformationData)
    assert data.rewards.tolist() == [[1.5, -2.0]]


def test_ids_with_leading_zeros_stay_text(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("id,share,exponent,mixed\n007,0.5,1e3,1\n7,0,2,a\n")
    assert read_table(path).to_pydict() == {
        "id": ["007", "7"],
        "share": [0.5, 0.0],
        "exponent": [1000.0, 2.0],
        "mixed": ["1", "a"],
    }


def test_the_unnamed_index_that_pandas_writes_is_a_column(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(",arm\n0,x\n1,y\n")
    assert read_table(path).to_pydict() == {"Unnamed: 0": [0, 1], "arm": ["x", "y"]}
    path.write_text("arm,\nx,0\n")
    with pytest.raises(ValueError, match="columns must have names that differ"):
        read_table(path)


def test_a_key_that_a_line_lacks_is_missing_there(tmp_path):
    path = tmp_path / "table.jsonl"
    path.write_text('{"a": 1}\n{"b": "x"}\n')
    assert read_table(path).to_pydict() == {"a": [1, None], "b": [None, "x"]}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("table.xlsx", "", r"must end in \.parquet, \.csv, \.jsonl, \.json, \.arrow, \.feather, got"),
        ("table", "", "must end in"),
        ("table.csv", "", "must start with a line of column names, got an empty file"),
        ("table.csv", "a,b\n", "must hold at least one row, got none"),
        ("table.csv", "a,a\n1,2\n", "line 1: columns must have names that differ"),
        ("table.csv", "a,\n1,2\n", "line 1: columns must have names that differ"),
        ("table.csv", "a,b\n1,2\n1,2,3\n", "cannot be read as CSV: .*[Rr]ow #3.*Expected 2 columns, got 3"),
        ("table.jsonl", "", "must hold at least one row, got none"),
        ("table.json", "[]", "must hold at least one row, got none"),
        ("table.jsonl", '{"a": 1}\n\n{"a": \n', "line 3: must be JSON, got"),
        ("table.jsonl", '{"a": 1}\n3\n', "line 2: must be one JSON object, got 3"),
        ("table.json", '[{"a": 1}, 3]', "entry 1: must be one JSON object, got 3"),
        ("table.jsonl", '{"a": 1}\n{"a": "x"}\n', "the values of 'a' must be of one kind"),
        ("table.parquet", "not parquet", "is not a readable Parquet file"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_table(tmp_path / name)


@pytest.mark.parametrize("name", ["table.csv", "table.json"])
def test_a_file_in_another_encoding_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"a\n\xff\xfe\n")
    with pytest.raises(ValueError, match=r"UTF-?8"):
        read_table(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"table\.csv does not exist"):
        read_table(tmp_path / "table.csv")
