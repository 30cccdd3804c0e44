"""Stop strings that hold a special token's text, or run across one."""

from hypothesis import given
from hypothesis import strategies as st

from speculative.engine.text_stream import TextStream
from tests.support.tiny_models import bounded

SPECIAL = {300: "<|im_end|>", 301: "<tool>"}
PLAIN = "ab c<|im_end>"
spoken = st.lists(st.sampled_from([*map(ord, PLAIN), *SPECIAL]), max_size=14)
stops = st.lists(
    st.one_of(
        st.sampled_from(["<|im_end|>", "|im_end|", "b<|im_end|>", "<tool>a", "ool><|", "ab", "<|im_end|><tool>"]),
        st.text("ab <|", min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=3,
).map(tuple)


def shown(tokens):
    return "".join(chr(token) for token in tokens if token not in SPECIAL)


def ends_at(tokens, stop):
    """The first token at which the text, with or without its special tokens' text, holds a stop string."""
    for n in range(1, len(tokens) + 1):
        whole = "".join(SPECIAL.get(token) or chr(token) for token in tokens[:n])
        if any(one in whole or one in shown(tokens[:n]) for one in stop):
            return n
    return None


@bounded(max_examples=500)
@given(tokens=spoken, stop=stops, sizes=st.lists(st.integers(1, 4), min_size=14, max_size=14))
def test_stop_strings_may_be_made_of_special_tokens_or_run_across_them(tokens, stop, sizes):
    stream, pieces, n_kept, done = TextStream(shown, stop, SPECIAL), [], 0, 0
    for size in sizes:
        piece = tokens[done : done + size]
        n_kept += stream.feed(piece)
        pieces.append(stream.release())
        assert shown(tokens).startswith("".join(pieces))
        done += size
        if stream.stopped is not None:
            break
    pieces.append(stream.finish())
    end = ends_at(tokens, stop)
    assert (stream.stopped is not None) == (end is not None)
    assert n_kept == (len(tokens) if end is None else end)
    if end is None:
        assert stream.text == shown(tokens)
        return
    assert "".join(pieces) == stream.text
    assert shown(tokens[:end]).startswith(stream.text)
    cut_off = shown(tokens[:end])[len(stream.text) :]
    assert len(cut_off) <= len(stream.stopped)
    assert all(one not in stream.text for one in stop)
    assert stream.stopped not in shown(tokens[:end]) or cut_off.startswith(stream.stopped[:1])
