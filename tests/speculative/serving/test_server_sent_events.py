"""Events are read alike however a stream is cut, and none may grow without limit."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speculative.serving.server_sent_events import event, read_events

STREAM = (
    b': ping\r\n\r\ndata: {"a": 1}\r\n\r\nevent: x\ndata:two\ndata: lines\n\n' + event("ü".encode()) + b"data: last\n"
)


def read(chunks, most_bytes=100):
    async def chunked():
        for chunk in chunks:
            yield chunk

    async def all_of_them():
        return [data async for data in read_events(chunked(), most_bytes)]

    return asyncio.run(all_of_them())


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_events_do_not_depend_on_how_the_stream_is_cut(cuts):
    edges = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[start:end] for start, end in pairwise(edges)]
    assert read(chunks) == [b'{"a": 1}', b"two\nlines", "ü".encode(), b"last"]


def test_an_event_cut_off_in_the_middle_is_none():
    assert read([b"data: one\n\ndata: tw"]) == [b"one"]


def test_an_endless_event_is_refused():
    with pytest.raises(ValueError, match="an event must have at most 100 bytes"):
        read([b"data: " + b"x" * 60, b"x" * 60])
