"""Tables from files: Parquet, CSV, JSON lines and Arrow, the same table whichever holds it."""

from __future__ import annotations

import csv
import json
import reprlib
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from arms.input_file import check_is_file, read_text
from bandits.data.io.arrow_files import is_saved_dataset, read_arrow, read_saved_dataset
from bandits.data.io.plain_columns import plain_columns
from bandits.data.parquet_file import open_parquet, read_batches

_NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"
ENDINGS = (".parquet", ".csv", ".jsonl", ".json", ".arrow", ".feather")
_UNNAMED = "Unnamed: 0"  # as pandas calls the column that it wrote of an index


def read_table(path: str | Path, text_columns: Collection[str] = ()) -> pa.Table:
    """Read a table with at least one row.

    A CSV file starts with a line of names, of which the first may be empty (pandas writes an index so; it is called
    "Unnamed: 0"); quoted values may span lines, an empty one is missing. A column becomes
    numbers (or true and false) if every value is written as one, without leading zeros, else text, so that the ids
    "007" and "7" stay apart. A JSON file holds one object a line, or one list of objects; a key that an object lacks
    is missing there.

    Args:
        path: ends in .parquet, .csv, .jsonl, .json, .arrow or .feather; or a folder of Parquet files, whose folders
            called domain=math become a column `domain`; or one that Hugging Face datasets' `save_to_disk` wrote.
        text_columns: columns of a CSV file, or of folders' names, that stay text as it is written: ids and names.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if its ending is another, it is a pipe or a device, it holds no row, it unfolds to far more than its
            size, or a line cannot be read; the line is named.
    """
    path = Path(path)
    readers: dict[str, Callable[[Path], pa.Table]] = {
        ".parquet": _read_parquet,
        ".csv": partial(_read_csv, text_columns=text_columns),
        ".jsonl": _read_json,
        ".json": _read_json,
        ".arrow": read_arrow,
        ".feather": read_arrow,
    }
    if path.is_dir():
        table = read_saved_dataset(path) if is_saved_dataset(path) else _read_folder(path, text_columns)
    else:
        check_is_file(path)
        if path.suffix not in readers:
            raise ValueError(f"{path} must end in {', '.join(ENDINGS)}, got {path.suffix!r}: rename or convert it")
        table = readers[path.suffix](path)
    table = plain_columns(table)
    if table.num_rows == 0 or table.num_columns == 0:
        raise ValueError(f"{path} must hold at least one row, got none")
    return table


def visible_files(folder: Path) -> list[Path]:
    """Return the Parquet files in a folder and those inside it, but those that writers hide (. and _)."""
    paths = sorted(folder.rglob("*.parquet"))
    return [path for path in paths if not any(p.startswith((".", "_")) for p in path.relative_to(folder).parts)]


def _read_parquet(path: Path) -> pa.Table:
    try:
        with open_parquet(path) as file:
            return pa.concat_tables(read_batches(path, file))
    except ValueError as error:
        raise ValueError(f"{path} is not a readable Parquet file ({error.__cause__ or error})") from error


def _read_folder(folder: Path, text_columns: Collection[str]) -> pa.Table:
    """Return the rows of a folder of Parquet files as Spark, Hive and pandas write it, with the folders' columns."""
    paths = visible_files(folder)
    if not paths:
        raise ValueError(f"{folder} holds no Parquet file: name a file, or a folder of them")
    tables = []
    for path in paths:
        table = _read_parquet(path)
        for part in path.relative_to(folder).parent.parts:
            name, equals, value = part.partition("=")
            if not (name and equals):
                raise ValueError(f"{path} lies in a folder {part!r}, which is not NAME=VALUE: what does it mean?")
            if name in table.column_names:
                raise ValueError(f"{path} has a column {name!r}, and so has its folder {part!r}: keep one")
            found = None if value == _NO_PARTITION else unquote(value)
            table = table.append_column(name, pa.array([found] * len(table), pa.string()))
        tables.append(plain_columns(table))
    try:
        joined = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise ValueError(f"the files of {folder} must have columns of the same kinds: {error}") from error
    of_folders = {part.partition("=")[0] for path in paths for part in path.relative_to(folder).parent.parts}
    untyped = of_folders.difference(text_columns)
    return pa.table({n: _typed(joined.column(n)) if n in untyped else joined.column(n) for n in joined.column_names})


def _read_csv(path: Path, text_columns: Collection[str]) -> pa.Table:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            written = next(csv.reader(lines), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} must be CSV in UTF-8 ({error})") from error
    names = [written[0] or _UNNAMED, *written[1:]] if written else []
    twice = [name for name in names if names.count(name) > 1]
    if twice or not all(names):
        raise ValueError(f"{path}, line 1: columns must have names that differ, got {reprlib.repr(names)}")
    if not names:
        raise ValueError(f"{path} must start with a line of column names, got an empty file")
    try:
        table = arrow_csv.read_csv(
            path,
            arrow_csv.ReadOptions(use_threads=False),  # with threads, errors name no row
            arrow_csv.ParseOptions(newlines_in_values=True),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(written, pa.string()), strings_can_be_null=True, null_values=[""]
            ),
        )
    except pa.ArrowException as error:
        raise ValueError(f"{path} cannot be read as CSV: {error}") from error
    columns = zip(names, table.columns, strict=True)
    return pa.table({name: column if name in text_columns else _typed(column) for name, column in columns})


def _typed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text as int64, float64 or bool where nothing of what was written is lost by that."""
    if column.null_count == len(column):
        return column
    if pc.all(pc.is_in(pc.utf8_lower(column), pa.array(["true", "false", None]))).as_py():
        return pc.equal(pc.utf8_lower(column), "true")
    if pc.any(pc.match_substring_regex(column, r"^[+-]?0\d")).as_py():
        return column
    for kind in (pa.int64(), pa.float64()):
        try:
            return column.cast(kind)
        except pa.ArrowInvalid:
            continue
    return column


def _read_json(path: Path) -> pa.Table:
    rows = _json_rows(path)
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {}
    for name in names:
        try:
            columns[name] = pa.array([row.get(name) for row in rows])
        except (pa.ArrowException, OverflowError) as error:
            raise ValueError(f"{path}: the values of {name!r} must be of one kind: {error}") from error
    return pa.table(columns)


def _json_rows(path: Path) -> list[dict[str, object]]:
    """Return a file's objects; a list of objects is one, whatever its lines."""
    try:
        text = read_text(path, encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be JSON in UTF-8 ({error})") from error
    if text.lstrip().startswith("["):
        return [_checked(f"{path}, entry {place}", row) for place, row in enumerate(_parsed(str(path), text))]
    lines = ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())
    return [_checked(f"{path}, line {number}", _parsed(f"{path}, line {number}", line)) for number, line in lines]


def _parsed(where: str, text: str) -> list[object]:
    try:
        parsed: list[object] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: must be JSON, got {reprlib.repr(text)} ({error})") from error
    return parsed


def _checked(where: str, row: object) -> dict[str, object]:
    if not isinstance(row, dict):
        raise ValueError(f"{where}: must be one JSON object, got {reprlib.repr(row)}")
    return row
