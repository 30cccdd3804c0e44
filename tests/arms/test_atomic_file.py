import os
import subprocess
import sys

import pytest

from arms.atomic_file import atomic_file, atomic_folder, atomic_path, write_file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_with_its_folders(tmp_path):
    path = tmp_path / "a" / "b.txt"
    with atomic_file(path) as file:
        file.write(b"new")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"new"
    write_file(str(path), "näive\r\n")
    assert path.read_bytes() == "näive\r\n".encode()
    assert names(path.parent) == ["b.txt"]


@pytest.mark.parametrize("writer", [atomic_file, atomic_path, atomic_folder])
def test_a_writer_that_raises_changes_nothing(tmp_path, writer):
    path = tmp_path / "kept"
    if writer is atomic_folder:
        path.mkdir()
        (path / "old").write_text("old")
    else:
        path.write_text("old")
    with pytest.raises(RuntimeError, match="midway"), writer(path):
        raise RuntimeError("midway")
    assert names(tmp_path) == ["kept"]
    assert (path / "old" if writer is atomic_folder else path).read_text() == "old"


def test_a_folder_takes_the_place_of_the_older_one(tmp_path):
    path = tmp_path / "model"
    for content in ("first", "second"):
        with atomic_folder(path) as folder:
            (folder / "deep").mkdir()
            (folder / "deep" / f"{content}.txt").write_text(content)
            assert not (path / "deep" / f"{content}.txt").exists()
        assert names(tmp_path) == ["model"]
        assert names(path / "deep") == [f"{content}.txt"]


DIE_WHILE_WRITING = """
import os, sys
from arms.atomic_file import atomic_file, atomic_folder
with atomic_{kind}(sys.argv[1]) as written:
    os._exit(9)
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_dead_process_left_is_removed_by_the_next_writer(tmp_path, kind):
    path = tmp_path / "result"
    code = DIE_WHILE_WRITING.format(kind=kind)
    assert subprocess.run([sys.executable, "-c", code, path], check=False, timeout=60).returncode == 9
    assert len(names(tmp_path)) == 1
    if kind == "file":
        write_file(path, "x")
    else:
        with atomic_folder(path):
            pass
    assert names(tmp_path) == ["result"]


def test_what_a_live_process_or_another_path_writes_is_left_alone(tmp_path):
    with atomic_file(tmp_path / "a") as first:
        (tmp_path / ".a.notes").write_text("not ours")
        with atomic_file(tmp_path / "ab") as second:
            second.write(b"2")
        first.write(b"1")
    assert (tmp_path / "a").read_bytes() == b"1"
    assert names(tmp_path) == [".a.notes", "a", "ab"]


@pytest.mark.skipif(os.name != "posix", reason="folders are flushed where the system can")
def test_file_and_folder_are_flushed_to_the_disk(tmp_path, monkeypatch):
    flushed = []
    fsync = os.fsync

    def record(descriptor):
        flushed.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    write_file(tmp_path / "a", "x")
    assert flushed == [(tmp_path / "a").stat().st_ino, tmp_path.stat().st_ino]
