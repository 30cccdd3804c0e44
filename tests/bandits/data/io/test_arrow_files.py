"""A table is the same from Arrow files, folders of Hugging Face datasets, and frames that export Arrow."""

import json
from dataclasses import dataclass

import pyarrow as pa
import pytest

from bandits import from_long_table
from bandits.data import parquet_file
from bandits.data.io.table_files import read_table

TABLE = pa.table({"arm": ["x", "y"], "reward": [1.5, -2.0], "propensity": [0.5, 0.5], "context_0": [1, 2]})


def write(path, table=TABLE, new=pa.ipc.new_stream):
    with pa.OSFile(str(path), "wb") as file, new(file, table.schema) as writer:
        writer.write_table(table)
    return path


def save_dataset(folder):
    """A folder as `datasets.Dataset.save_to_disk` leaves it, of two files."""
    folder.mkdir(parents=True)
    files = [write(folder / f"data-0000{part}-of-00002.arrow", TABLE.slice(part, 1)).name for part in (0, 1)]
    state = {"_data_files": [{"filename": name} for name in files], "_format_type": None, "_split": "train"}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")
    return folder


@dataclass(frozen=True)
class Frame:
    """A frame as polars has it: no mapping, and columns by Arrow's stream."""

    table: pa.Table

    @property
    def columns(self):
        return self.table.column_names

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize("new", [pa.ipc.new_stream, pa.ipc.new_file])
@pytest.mark.parametrize("ending", [".arrow", ".feather"])
def test_both_formats_of_arrow_give_the_table(tmp_path, ending, new):
    assert read_table(write(tmp_path / f"table{ending}", new=new)).equals(TABLE)


def test_a_saved_dataset_is_its_files_in_order(tmp_path):
    assert read_table(save_dataset(tmp_path / "saved")).to_pydict() == TABLE.to_pydict()


def test_a_frame_that_exports_arrow_is_read_with_its_views_and_categories():
    views = TABLE.set_column(0, "arm", TABLE["arm"].cast(pa.string_view()))
    for table in (TABLE, views, TABLE.set_column(0, "arm", TABLE["arm"].dictionary_encode())):
        log = from_long_table(Frame(table))
        assert (log.arm_names, log.rewards.tolist()) == (("x", "y"), [1.5, -2.0])


def test_splits_are_named(tmp_path):
    save_dataset(tmp_path / "train")
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(ValueError, match=r"holds the splits train, test: name one, such as .*train$"):
        read_table(tmp_path)


@pytest.mark.parametrize(
    "state", ["", "[]", '{"_data_files": [{}]}', '{"_data_files": []}'], ids=["empty", "list", "unnamed", "none"]
)
def test_a_state_that_lists_no_files_is_named(tmp_path, state):
    folder = save_dataset(tmp_path / "saved")
    (folder / "state.json").write_text(state)
    with pytest.raises(ValueError, match=r"state\.json must list"):
        read_table(folder)


def test_a_missing_or_damaged_file_is_named(tmp_path):
    folder = save_dataset(tmp_path / "saved")
    whole = (folder / "data-00001-of-00002.arrow").read_bytes()
    for damaged in (b"", whole[:-30], b"ARROW1" + whole):
        (folder / "data-00001-of-00002.arrow").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"data-00001-of-00002\.arrow is not a readable Arrow file"):
            read_table(folder)
    (folder / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(FileNotFoundError, match="data-00001-of-00002"):
        read_table(folder)


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
@pytest.mark.parametrize("new", [pa.ipc.new_stream, pa.ipc.new_file])
@pytest.mark.parametrize("stored", ["as it is", "dictionary"])
def test_a_compressed_file_is_read_unless_it_unfolds_to_far_more_than_its_size(
    tmp_path, monkeypatch, new, codec, stored
):
    long = pa.array(["x" * 200_000] * 20)
    table = pa.table({"arm": long.dictionary_encode() if stored == "dictionary" else long, "reward": range(20)})
    path, options = tmp_path / "table.arrow", pa.ipc.IpcWriteOptions(compression=codec)
    with pa.OSFile(str(path), "wb") as file, new(file, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=5)
    assert read_table(path).to_pydict() == table.to_pydict()
    monkeypatch.setattr(parquet_file, "MOST_BYTES", 2**10)
    monkeypatch.setattr(parquet_file, "MOST_GROWTH", 10)
    with pytest.raises(ValueError, match=r"must unfold to at most .* bytes, .* it was made to fill memory"):
        read_table(path)


@pytest.mark.parametrize("kind", ["dictionary", "views", "runs"])
def test_a_column_that_unfolds_to_far_more_than_its_table_is_named(monkeypatch, kind):
    monkeypatch.setattr(parquet_file, "MOST_BYTES", 2**10)
    monkeypatch.setattr(parquet_file, "MOST_GROWTH", 10)
    long = pa.array(["x" * 1000])
    _, view, text = long.cast(pa.string_view()).buffers()
    views = [None, pa.py_buffer(view.to_pybytes()[:16] * 5000), text]
    packed = {
        "dictionary": pa.DictionaryArray.from_arrays(pa.array([0] * 5000, pa.int8()), long),
        "views": pa.Array.from_buffers(pa.string_view(), 5000, views),
        "runs": pa.RunEndEncodedArray.from_arrays(pa.array([5000], pa.int32()), long),
    }[kind]
    with pytest.raises(ValueError, match=r"column 'arm' must unfold to at most .* got 5,000,000: it was made to fill"):
        from_long_table(pa.table({"arm": packed}))
