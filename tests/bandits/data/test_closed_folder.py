"""A folder of data is whole or refused: nothing missing, doubled, foreign, damaged, or of another run."""

import json
import multiprocessing
import os
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest

from arms.atomic_file import atomic_path, claim_file, remove_partial_files
from bandits import DecisionLog, FullInformationData, LinUCB, LoggedData
from bandits.data import FolderRewrittenError
from bandits.data.parquet_parts import part_path
from bandits.testing import example_data, example_log

DATA = example_data()


@pytest.fixture
def folder(tmp_path):
    """Three parts of twenty rows, closed."""
    write(tmp_path / "data", DATA)
    return tmp_path / "data"


def write(folder, data, generation=1):
    for index, rows in enumerate(np.array_split(np.arange(len(data)), 3)):
        data.subset(rows).write_part(folder, index, generation=generation)
    FullInformationData.close_folder(folder, generation=generation)


def copied(name):
    return lambda folder: shutil.copy(folder / "part-00000.parquet", folder / name)


def without(name):
    return lambda folder: (folder / name).unlink()


def with_manifest(text):
    return lambda folder: (folder / "manifest.json").write_text(text)


def of_another_run(folder):
    other = folder.with_name("other")
    write(other, replace(DATA, rewards=DATA.rewards + 1))
    shutil.copy(other / "part-00001.parquet", folder)


def edited_manifest(folder):
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    content["parts"] = content["parts"][:2]
    path.write_text(json.dumps(content))


FAULTS = {
    "the last part is missing": (
        lambda folder: (folder / "part-00002.parquet").unlink(),
        "part-00002.parquet is missing",
    ),
    "a part within is missing": (
        lambda folder: (folder / "part-00001.parquet").unlink(),
        "part-00001.parquet is missing",
    ),
    "the run was stopped": (without("manifest.json"), "is not closed: it holds 3 part"),
    "a part twice": (copied("part-000000.parquet"), "part-000000.parquet is not called like a part"),
    "a copy": (copied("part-00000 (1).parquet"), "is not called like a part"),
    "a part more": (copied("part-00003.parquet"), "part-00003.parquet is there, and manifest.json does not list it"),
    "a part in another's place": (copied("part-00001.parquet"), "part-00001.parquet is damaged"),
    "a part of another run": (of_another_run, "part-00001.parquet (is damaged|must hold)"),
    "another file": (lambda folder: (folder / "x.parquet").touch(), "x.parquet is not called like a part"),
    "an edited manifest": (edited_manifest, "manifest.json is damaged"),
    "a list as manifest": (with_manifest("[]"), "manifest.json is damaged"),
    "half a manifest": (with_manifest('{"a'), "manifest.json is damaged"),
    "a deep manifest": (
        lambda folder: (folder / "manifest.json").write_text("[" * 100_000),
        "manifest.json is damaged",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_that_is_not_as_it_was_closed_is_refused_by_name(folder, fault):
    spoil, message = FAULTS[fault]
    spoil(folder)
    with pytest.raises(ValueError, match=message):
        FullInformationData.load(folder)
    with pytest.raises(ValueError, match=message):
        LinUCB().fit_stream(FullInformationData.stream(folder, 7))


def test_no_flipped_bit_is_read_as_data(folder):
    rng = np.random.default_rng(0)
    path = folder / "part-00001.parquet"
    sound = path.read_bytes()
    for _ in range(100):
        damaged = bytearray(sound)
        damaged[rng.integers(len(sound))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"part-00001.parquet"):
            FullInformationData.load(folder)


def test_a_folder_with_a_gap_cannot_be_closed(tmp_path):
    DATA.write_part(tmp_path, 0)
    DATA.write_part(tmp_path, 2)
    with pytest.raises(ValueError, match=r"part-00001.parquet is missing, and part-00002.parquet is there"):
        FullInformationData.close_folder(tmp_path)
    with pytest.raises(ValueError, match="is not closed: it holds 2 part"):
        FullInformationData.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="nothing to close"):
        FullInformationData.close_folder(tmp_path / "nowhere")


def test_a_folder_with_a_part_twice_cannot_be_closed(tmp_path):
    for index in range(2):
        example_log().write_part(tmp_path, index)
    with pytest.raises(ValueError, match=r"part-00001.parquet holds what part-00000.parquet does, byte for byte"):
        LoggedData.close_folder(tmp_path)


def test_a_decision_log_is_named_where_data_are_expected(tmp_path):
    DecisionLog(tmp_path / "log").close()
    with pytest.raises(ValueError, match=r"log is a decision log: read it with DecisionLog\.load"):
        LoggedData.load(tmp_path / "log")


def test_a_closed_folder_takes_no_part_and_no_other_data(folder):
    with pytest.raises(ValueError, match="is closed, and holds 3 part"):
        DATA.write_part(folder, 3)
    with pytest.raises(ValueError, match="holds part files already"):
        DATA.save(folder)
    with pytest.raises(ValueError, match="holds FullInformationData, expected LoggedData"):
        LoggedData.load(folder)


def test_while_a_new_generation_is_written_the_old_one_is_read_whole(folder):
    new = replace(DATA, rewards=DATA.rewards + 1)
    for index, rows in enumerate(np.array_split(np.arange(len(new)), 3)):
        new.subset(rows).write_part(folder, index, generation=2)
        np.testing.assert_array_equal(FullInformationData.load(folder).rewards, DATA.rewards)
    FullInformationData.close_folder(folder, generation=2)
    np.testing.assert_array_equal(FullInformationData.load(folder).rewards, new.rewards)
    assert sorted(path.name for path in folder.glob("*.parquet")) == [f"part-0000{i}.2.parquet" for i in range(3)]


def test_a_reader_that_a_new_generation_overtakes_says_so_or_reads_again(folder, monkeypatch):
    stream = iter(FullInformationData.stream(folder))
    next(stream)
    write(folder, replace(DATA, rewards=DATA.rewards + 1), generation=2)
    with pytest.raises(FolderRewrittenError, match="written anew while it was read"):
        list(stream)

    streams = [FullInformationData.stream(folder)]
    write(folder, DATA, generation=3)
    opened = FullInformationData.stream
    monkeypatch.setattr(FullInformationData, "stream", lambda place: streams.pop() if streams else opened(place))
    np.testing.assert_array_equal(FullInformationData.load(folder).rewards, DATA.rewards)


def _save(folder, number, results):
    try:
        replace(DATA, rewards=DATA.rewards + number).save(folder)
        results.put(number)
    except ValueError:
        results.put(None)


def test_of_two_processes_that_save_in_one_folder_one_is_refused(tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=_save, args=(tmp_path / "data", number, results)) for number in (1, 2)]
    for process in processes:
        process.start()
    told = {results.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    [winner] = told - {None}
    np.testing.assert_array_equal(FullInformationData.load(tmp_path / "data").rewards, DATA.rewards + winner)


def test_a_failed_save_leaves_the_folder_free(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("bandits.data.parquet_parts.write_parquet", lambda table, file: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            DATA.save(tmp_path)
    DATA.save(tmp_path)
    assert len(FullInformationData.load(tmp_path)) == len(DATA)


def test_what_made_the_data_and_foreign_files_are_kept(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    example_log().write_part(tmp_path, 0)
    LoggedData.close_folder(tmp_path, made_of={"target": "abc"})
    assert LoggedData.stream(tmp_path).manifest.made_of == {"target": "abc"}
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_temporary_files_of_dead_processes_are_removed_and_others_kept(tmp_path):
    path = part_path(tmp_path, 0)
    assert claim_file(path)
    assert not claim_file(path)
    path.unlink()
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_die_while_writing, args=(path,))
    process.start()
    process.join()
    (tmp_path / ".notes.partial").write_text("mine")
    assert len(list(tmp_path.iterdir())) == 2
    remove_partial_files(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == [".notes.partial"]


def _die_while_writing(path):
    with atomic_path(path) as partial:
        partial.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)
