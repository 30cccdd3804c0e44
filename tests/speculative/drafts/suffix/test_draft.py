import pytest
from hypothesis import given
from hypothesis import strategies as st

from speculative.drafts.suffix.draft import SuffixDraft
from speculative.drafts.suffix.store import SuffixStore
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.settings import EngineSettings
from speculative.protocols.request import Request
from speculative.testing import check_draft
from tests.speculative.drafts.suffix.test_tree import repetitive, slow_match
from tests.support.tiny_models import N_VOCAB, Arm, bounded, greedy_text, make_tiny

PROMPTS = [(3, 1, 4, 1, 5), (2, 7, 1, 8), (9, 9, 2, 6, 9, 9), (5, 3)]


def slow_draft(prefix, stored, draft_length, max_match):
    """Token by token the best follower of the longest match, in the prefix rather than in the store; its length."""
    context, n_matched = list(prefix), None
    for _ in range(draft_length):
        own, other = slow_match([prefix], context, max_match), slow_match(stored, context, max_match)
        size, token = other if other[0] > own[0] else own
        n_matched = size if n_matched is None else n_matched
        if size == 0:
            break
        context.append(token)
    return context[len(prefix) :], n_matched


def store_of(texts, max_match=16):
    store = SuffixStore(max_match=max_match)
    for text in texts:
        store.add(text)
    return store


@bounded(max_examples=300)
@given(
    texts=st.tuples(repetitive(30).filter(bool), repetitive(30).filter(bool)),
    stored=st.lists(repetitive(20), max_size=3),
    max_match=st.integers(1, 8),
    rounds=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 7), st.integers(1, 8)), min_size=1, max_size=10),
)
def test_two_requests_in_turns_propose_what_the_slow_search_does(texts, stored, max_match, rounds):
    draft = SuffixDraft(store_of(stored, max_match))
    sessions, ends = [draft.open(text[:1]) for text in texts], [0, 0]
    for row, n_new, draft_length in rounds:
        ends[row] = min(len(texts[row]), ends[row] + n_new)
        prefix = texts[row][: ends[row]]
        expected, n_matched = slow_draft(prefix, stored, draft_length, max_match)
        assert sessions[row].match_length(prefix) == n_matched
        assert sessions[row].propose(prefix, draft_length).token_ids == expected
        assert bool(expected) == (n_matched > 0)
        assert draft.open(texts[row][:1]).propose(prefix, draft_length).token_ids == expected


@bounded(max_examples=200)
@given(texts=st.lists(repetitive(20).filter(bool), min_size=2, max_size=5), n_prompt=st.integers(0, 4))
def test_a_request_is_drafted_from_what_the_ones_before_it_generated(texts, n_prompt):
    draft, learned = SuffixDraft(learn=True), []
    running = draft.open(texts[-1][:1])
    for text in texts[:-1]:
        session = draft.open(text[:n_prompt])
        for end in range(max(1, n_prompt), len(text)):
            session.propose(text[:end], 3)
        session.close(text)  # with what the last round brought
        learned.append(text[n_prompt:])
        # a request that was open all along reads the store as it is now
        prefix = texts[-1][: len(learned)]
        assert running.propose(prefix, 4).token_ids == slow_draft(prefix, learned, 4, 16)[0]
    assert draft.store.n_tokens == sum(len(text) for text in learned)


def test_what_followed_most_often_wins_then_the_latest():
    assert SuffixDraft().open([]).propose([1, 7, 2, 1, 8, 3, 1, 7, 4, 1, 8, 5, 1, 7, 6, 1], 1).token_ids == [7]
    assert SuffixDraft().open([]).propose([1, 7, 2, 1, 8, 3, 1, 7, 4, 1, 8, 5, 1], 1).token_ids == [8]


def test_the_longest_match_wins_and_the_own_text_wins_a_tie():
    draft = SuffixDraft(store_of([[1, 2, 5], [2, 6]]))
    assert draft.open([]).propose([2, 4, 1, 2], 1).token_ids == [5]
    assert draft.open([]).propose([2, 4, 3, 2], 1).token_ids == [4]


def test_a_repetition_is_drawn_out():
    assert SuffixDraft().open([]).propose([9, 1, 2, 3, 1, 2, 3], 7).token_ids == [1, 2, 3, 1, 2, 3, 1]


def test_nothing_seen_before_gives_no_proposal():
    session = SuffixDraft().open([])
    assert session.match_length([1, 2, 3]) == 0
    assert session.propose([1, 2, 3], 4).token_ids == []


@pytest.mark.parametrize(
    ("factor", "offset", "lengths"),
    [
        (None, 0.0, [6, 6]),
        (1.0, 0.0, [1, 3]),
        (0.5, 0.0, [0, 1]),
        (1.5, 2.0, [3, 6]),
        (0.0, 1.0, [1, 1]),
        (1.0, -2.0, [0, 1]),
    ],
)
def test_a_longer_match_is_followed_further(factor, offset, lengths):
    draft = SuffixDraft(store_of([[1, 2, 3, 4, 5, 6, 7, 8, 9]]), max_tokens_per_match_token=factor, offset=offset)
    # the match of one token and of three
    for prefix, length in zip(([3], [1, 2, 3]), lengths, strict=True):
        assert draft.open([]).propose(prefix, 6).token_ids == [4, 5, 6, 7, 8, 9][:length]


@pytest.mark.parametrize("factor", [-1.0, float("nan"), float("inf")])
def test_a_factor_or_an_offset_that_says_no_number_of_tokens_is_refused(factor):
    with pytest.raises(ValueError, match="max_tokens_per_match_token must be a finite number >= 0, got"):
        SuffixDraft(max_tokens_per_match_token=factor)
    with pytest.raises(ValueError, match="offset must be a finite number, got"):
        SuffixDraft(offset=factor if factor != -1.0 else -float("inf"))


def test_what_was_read_since_the_last_proposal_is_counted_once():
    session = SuffixDraft().open([1, 2])
    assert session.propose([1, 2, 1], 2).n_read == 3
    session.match_length([1, 2, 1, 2, 1])
    late = session.propose([1, 2, 1, 2, 1, 2], 2)
    assert late.n_read == 3
    assert late.read_s > 0.0
    assert session.propose([1, 2, 1, 2, 1, 2], 2).n_read == 0


@pytest.mark.parametrize(
    "draft",
    [
        SuffixDraft(),
        SuffixDraft(store_of([[5, 1, 2], list(range(N_VOCAB)) * 3])),
        SuffixDraft(max_tokens_per_match_token=0.5),
    ],
    ids=["empty", "stored", "short"],
)
def test_the_contract_is_kept(draft):
    check_draft(draft, N_VOCAB)


def test_a_learning_draft_keeps_the_contract_while_its_store_is_frozen():
    draft = SuffixDraft(learn=True)
    with draft.store.frozen():
        check_draft(draft, N_VOCAB)
    assert draft.store.n_tokens == 0


def test_nothing_is_learned_unless_asked_for():
    draft = SuffixDraft()
    session = draft.open([1])
    session.propose([1, 2, 3], 2)
    session.close([1, 2, 3])
    assert draft.store.n_tokens == 0


@pytest.mark.parametrize("moment", ["at its start", "in between", "at its end"])
def test_a_request_that_touches_a_measurement_is_never_learned(moment):
    draft = SuffixDraft(learn=True)
    frozen = draft.store.frozen()
    if moment == "at its start":
        frozen.__enter__()
    session = draft.open([1])
    session.propose([1, 2], 2)
    if moment != "at its start":
        frozen.__enter__()
    if moment != "at its end":
        frozen.__exit__(None, None, None)
    session.propose([1, 2, 3], 2)
    session.close([1, 2, 3])
    assert draft.store.n_tokens == 0


def test_a_judged_text_is_not_learned():
    draft = SuffixDraft(learn=True)
    draft.trace([1, 2], [3, 4, 5, 3, 4], 3)
    assert draft.store.n_tokens == 0
    assert not draft.store.is_frozen


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return make_tiny("llama", tmp_path_factory.mktemp("target"))


def answers(target, draft, prompts):
    engine = Engine(target.decoder, [Arm(draft, 3)], settings=EngineSettings(max_batch=2))
    requests = [Request(f"q{i}", prompt, 16) for i, prompt in enumerate(prompts)]
    return [generation.token_ids for generation in generate(engine, requests)]


def test_no_held_out_output_is_in_a_frozen_store_after_generating(target):
    draft = SuffixDraft(learn=True)
    texts = [greedy_text(target.reference, prompt, 16) for prompt in PROMPTS]
    assert answers(target, draft, PROMPTS[:2]) == texts[:2]
    assert all(draft.store.contains(text) for text in texts[:2])
    n_tokens = draft.store.n_tokens
    assert n_tokens == 2 * 16
    with draft.store.frozen():
        assert answers(target, draft, PROMPTS[2:]) == texts[2:]
    assert draft.store.n_tokens == n_tokens
    assert not any(draft.store.contains(text[:10]) for text in texts[2:])


@bounded(max_examples=100)
@given(
    text=repetitive(30).filter(lambda text: len(text) > 2),
    stored=repetitive(20).filter(bool),
    n_prompt=st.integers(1, 5),
)
def test_its_confidence_is_the_share_of_the_matchs_occurrences_that_its_token_followed(text, stored, n_prompt):
    draft, n_prompt = SuffixDraft(store_of([stored], 4)), min(n_prompt, len(text) - 2)
    found = draft.trace(text[:n_prompt], text[n_prompt:], 3)
    for j in range(1, len(text) - n_prompt):
        prefix = text[: n_prompt + j]
        (own, token), (other, other_token) = slow_match([prefix], prefix, 4), slow_match([stored], prefix, 4)
        (size, token), where = ((other, other_token), stored) if other > own else ((own, token), prefix)
        match = tuple(prefix[len(prefix) - size :])
        followed = [where[i] for i in range(size, len(where)) if tuple(where[i - size : i]) == match]
        expected = followed.count(token) / len(followed) if size else 0.0
        assert found.confidences[j] == pytest.approx(expected)
