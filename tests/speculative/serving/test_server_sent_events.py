"""Events are read alike however a stream is cut, and none may grow without limit."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speculative.serving.problem import ArmFailure
from speculative.serving.server_sent_events import EventReader, event

STREAM = (
    b': ping\r\n\r\ndata: {"a": 1}\r\n\r\nevent: x\ndata:two\ndata: lines\n\n' + event("ü".encode()) + b"data: last\n"
)


def read(chunks, most_bytes=100):
    reader = EventReader(most_bytes)
    return [data for chunk in chunks for data in reader.read(chunk)] + list(reader.end())


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_events_do_not_depend_on_how_the_stream_is_cut(cuts):
    edges = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[start:end] for start, end in pairwise(edges)]
    assert read(chunks) == [b'{"a": 1}', b"two\nlines", "ü".encode(), b"last"]


def test_an_event_cut_off_in_the_middle_is_none():
    assert read([b"data: one\n\ndata: tw"]) == [b"one"]


def test_an_endless_event_is_refused():
    with pytest.raises(ArmFailure, match="an event must have at most 100 bytes"):
        read([b"data: " + b"x" * 60, b"x" * 60])
