"""Part files: whole or not at all; damage is named."""

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bandits import FullInformationData, LoggedData
from bandits.data import part_indices
from bandits.testing import example_data, example_log


def test_a_collection_goes_on_where_it_stopped(tmp_path):
    data = example_data()
    assert part_indices(tmp_path / "none yet") == []
    data.subset(np.arange(0, 20)).write_part(tmp_path, 0)
    data.subset(np.arange(40, 60)).write_part(tmp_path, 2)
    assert part_indices(tmp_path) == [0, 2]
    data.subset(np.arange(20, 40)).write_part(tmp_path, 1)
    FullInformationData.close_folder(tmp_path)
    assert FullInformationData.load(tmp_path).query_ids == data.query_ids
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["manifest.json", *(f"part-0000{i}.parquet" for i in range(3))]


def test_a_crash_while_writing_leaves_no_part(tmp_path, monkeypatch):
    def fail(table, file, **options):
        file.write(b"PAR1 half")
        raise OSError("disk full")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        example_data().write_part(tmp_path, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", [0, 10, 400])
def test_a_half_written_part_is_named(tmp_path, keep):
    path = example_data().write_part(tmp_path, 0)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"part-00000.parquet is unreadable or half-written.*delete it"):
        FullInformationData.close_folder(tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere holds no part files"):
        LoggedData.load(tmp_path / "nowhere")


def test_foreign_wrong_and_newer_files_are_refused(tmp_path):
    example_log().save(tmp_path / "log")
    with pytest.raises(ValueError, match="holds LoggedData, expected FullInformationData"):
        FullInformationData.load(tmp_path / "log")
    table = pa.table({"x": [1]})
    cases = {
        "was not written by draftpick": None,
        "format version 99": {"format_version": 99},
        "damaged header": [],
        "arm_names": {"format_version": 1, "kind": "LoggedData"},
    }
    for message, header in cases.items():
        metadata = None if header is None else {b"draftpick": json.dumps(header).encode()}
        pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "part-00000.parquet")
        with pytest.raises(ValueError, match=message):
            LoggedData.close_folder(tmp_path)
    pq.write_table(table.replace_schema_metadata({b"draftpick": b"{"}), tmp_path / "part-00000.parquet")
    with pytest.raises(ValueError, match="damaged header"):
        LoggedData.close_folder(tmp_path)


def test_a_bad_row_in_a_part_names_the_file(tmp_path):
    example_log().write_part(tmp_path, 0)
    path = tmp_path / "part-00000.parquet"
    table = pq.read_table(path)
    broken = table.set_column(
        table.schema.get_field_index("propensities"), "propensities", pa.array(np.zeros(len(table)))
    )
    pq.write_table(broken, path)
    LoggedData.close_folder(tmp_path)
    with pytest.raises(ValueError, match=r"part-00000.parquet: propensities must be in \(0, 1\]: row 0"):
        LoggedData.load(tmp_path)


def test_part_index_must_not_be_negative(tmp_path):
    with pytest.raises(ValueError, match="part_index must be an integer >= 0, got -1"):
        example_data().write_part(tmp_path, -1)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"arm_names": [["a"], ["b"]]}, "arm_names"),
        ({"arm_names": {"a": 1}}, "arm_names"),
        ({"arm_names": [1, 2]}, "arm_names"),
        ({"encoder": -1}, "encoder"),
        ({"encoder": [[]]}, "encoder"),
        ({"format_version": True}, "damaged header"),
        ({"format_version": 0}, "format_version must be >= 1, got 0"),
        ({"format_version": -5}, "format_version must be >= 1, got -5"),
    ],
)
def test_headers_whose_values_are_no_names_are_refused(tmp_path, changes, named):
    path = example_log().write_part(tmp_path, 0)
    table = pq.read_table(path)
    header = json.loads(table.schema.metadata[b"draftpick"]) | changes
    pq.write_table(table.replace_schema_metadata({b"draftpick": json.dumps(header).encode()}), path)
    with pytest.raises(ValueError, match=rf"part-00000.parquet has a damaged header.*{named}|{named}"):
        LoggedData.close_folder(tmp_path)


def test_deep_observations_name_the_file(tmp_path):
    data = example_data()
    path = data.write_part(tmp_path, 0)
    deep = pa.array(["[" * 100_000] * len(data))
    pq.write_table(pq.read_table(path).append_column("observations", deep), path)
    FullInformationData.close_folder(tmp_path)
    with pytest.raises(ValueError, match=r"part-00000.parquet: maximum recursion"):
        FullInformationData.load(tmp_path)


def test_a_pipe_called_like_a_part_is_refused_at_once(tmp_path):
    example_log().write_part(tmp_path, 0)
    os.mkfifo(tmp_path / "part-00001.parquet")
    with pytest.raises(ValueError, match=r"part-00001.parquet must be a file, got a pipe"):
        LoggedData.close_folder(tmp_path)
