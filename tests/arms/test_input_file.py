"""What is read must be a file of a size that can be read."""

import os

import pytest

from arms.input_file import read_bytes, read_text
from arms.toml_file import read_toml


def test_a_file_is_read_whole_up_to_its_limit(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes("\ufeffä\r\nb".encode())
    assert read_bytes(file) == file.read_bytes()
    assert read_text(file, encoding="utf-8-sig") == "ä\nb"
    assert read_text(str(file), 8) == "\ufeffä\nb"
    with pytest.raises(ValueError, match=r"a\.txt must have at most 7 bytes, got 8"):
        read_text(file, 7)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("nothing", FileNotFoundError, "nothing does not exist as a file"),
        ("file/below", FileNotFoundError, "below does not exist as a file"),
        ("folder", ValueError, "must be a file, got a folder"),
        ("device", ValueError, "must be a file, got a device"),
        ("latin", UnicodeDecodeError, "invalid continuation byte"),
    ],
)
def test_what_is_no_file_of_text_is_refused_by_what_it_is(tmp_path, name, error, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "device").symlink_to(os.devnull.replace("null", "zero"))
    (tmp_path / "latin").write_bytes("é1".encode("latin-1"))
    with pytest.raises(error, match=message):
        read_text(tmp_path / name)
    with pytest.raises(ValueError, match=r"^table file .*(cannot be read|must be a file|is not TOML)"):
        read_toml(tmp_path / name, "table file")


def test_a_table_is_read_and_a_long_file_is_not(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text("a.b = 1\n[c]\n'd.e.f' = '#'\n")
    assert read_toml(file, "table file") == {"a": {"b": 1}, "c": {"d.e.f": "#"}}
    file.write_text("#" * (2**20 + 1))
    with pytest.raises(ValueError, match=r"table file .*a\.toml must have at most 1048576 bytes"):
        read_toml(file, "table file")
