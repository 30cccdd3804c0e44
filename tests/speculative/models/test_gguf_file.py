"""Tensors lie in a GGUF file where the format lets them, each in bytes of its own."""

import struct

import pytest

from speculative.models.loading import load_decoder
from speculative.models.settings import ModelSettings
from tests.support.gguf_files import GgufModel


def _offset_place(content, name):
    """Return where a tensor's offset stands in a file's header."""
    at = content.index(name.encode()) + len(name)
    return at + 4 + 8 * struct.unpack_from("<I", content, at)[0] + 4


@pytest.mark.parametrize(
    ("name", "shift", "message"),
    [("blk.0.ffn_up.weight", 0, "share bytes"), ("blk.1.ffn_up.weight", 20, "must begin at a multiple of 32 bytes")],
)
def test_tensors_lie_apart_and_where_the_format_lets_them(tmp_path, name, shift, message):
    path = GgufModel().write(tmp_path / "m.gguf")
    content = bytearray(path.read_bytes())
    [offset] = struct.unpack_from("<Q", content, _offset_place(content, name))
    struct.pack_into("<Q", content, _offset_place(content, "blk.1.ffn_up.weight"), offset + shift)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_decoder(str(path), ModelSettings(cache=tmp_path / "cache"))
