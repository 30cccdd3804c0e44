"""A job goes on only with what it was begun with."""

import pytest

from arms.manifest import check_manifest


def test_the_same_goes_on_and_another_is_refused_by_what_differs(tmp_path):
    check_manifest(tmp_path / "job.json", {"model": "a", "seed": 1})
    check_manifest(tmp_path / "job.json", {"model": "a", "seed": 1})
    with pytest.raises(ValueError, match="was begun with other seed"):
        check_manifest(tmp_path / "job.json", {"model": "a", "seed": 2})


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000])
def test_a_damaged_one_is_refused_by_name(tmp_path, content):
    (tmp_path / "job.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"job\.json is damaged"):
        check_manifest(tmp_path / "job.json", {})


def test_a_folder_of_its_name_is_refused(tmp_path):
    (tmp_path / "job.json").mkdir()
    with pytest.raises(ValueError, match=r"job\.json is damaged .*must be a file, got a folder"):
        check_manifest(tmp_path / "job.json", {})
