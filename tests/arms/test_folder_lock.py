"""One holder at a time, and a file of the user's is never taken for a lock."""

import os
import signal
from contextlib import closing

import pytest

from arms.folder_lock import FolderInUseError, FolderLock


def test_a_folder_is_held_until_it_is_closed(tmp_path):
    with closing(FolderLock(tmp_path / "new", "job")), pytest.raises(FolderInUseError, match=r"by this process itself"):
        FolderLock(tmp_path / "new", "job")
    FolderLock(tmp_path / "new", "job").close()


def test_a_dead_process_holds_nothing(tmp_path):
    child = os.fork()
    if child == 0:
        FolderLock(tmp_path, "job")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    FolderLock(tmp_path, "job").close()


@pytest.mark.parametrize("content", [b"my notes", b"1" * 50, b"12 monkeys", b"\xff\xfe\x00"])
def test_a_file_that_is_no_lock_is_kept(tmp_path, content):
    (tmp_path / "lock").write_bytes(content)
    with pytest.raises(ValueError, match="is a file of another kind, which would be lost"):
        FolderLock(tmp_path, "job")
    assert (tmp_path / "lock").read_bytes() == content
