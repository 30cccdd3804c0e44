"""The rules every draft keeps, as a check to run on your own: `check_draft(MyDraft(), n_vocab)`."""

import random
from collections.abc import Callable

from arms.testing.assertions import checked_name, global_generators_untouched, hold, instance_of
from speculative.protocols.draft import Draft, DraftSession, Proposal
from speculative.sampling.sampling_params import SamplingParams
from speculative.sampling.token_sampler import GREEDY, CoupledSampler, DrawingSampler, SeededSource, TokenSampler

_SEED = 20
_DRAFT_LENGTHS = (3, 1, 7, 4, 2, 5, 1, 1, 6)


def check_draft(draft: Draft | Callable[[], Draft], n_vocab: int) -> None:
    """Check that a draft keeps the contract of `Draft`.

    Two requests are drafted for in turns, the prefixes growing by one to five tokens a round, as they do in
    an engine: greedily, coupled and by rejection sampling. Every proposal must be what a session that sees that prefix
    first would say: a draft's tokens are a function of the prefix and of the sampler's noise, whatever it was asked
    before. A draft of the kind "deterministic" says the same under every sampler. What a draft writes alone stays in
    its limit and ends with the token that ends it, and its logits along a text are at most one row a token.

    Args:
        draft: the draft to check, or what makes one.
        n_vocab: size of the target's vocabulary.

    Raises:
        AssertionError: saying which rule was broken, and how.
    """
    draft = instance_of(draft, Draft, "a draft")
    name = checked_name(draft)
    hold(
        draft.proposal_kind in ("deterministic", "sampled"),
        f"draft {name!r}: proposal_kind must be 'deterministic' or 'sampled', got {draft.proposal_kind!r}",
    )
    limit = draft.max_positions
    hold(limit is None or limit >= 1, f"draft {name!r}: max_positions must be None or >= 1, got {limit!r}")
    params = SamplingParams(temperature=1.0, top_p=0.9)
    with global_generators_untouched(f"draft {name!r}: "):
        greedy = _drafted(draft, n_vocab, lambda: GREEDY)
        coupled = _drafted(draft, n_vocab, lambda: CoupledSampler(params, _SEED))
        drawn = _drafted(draft, n_vocab, lambda: DrawingSampler(params, SeededSource(_SEED, 1), n_vocab))
    hold(
        draft.proposal_kind == "sampled" or greedy == coupled == drawn,
        f"draft {name!r}: a deterministic draft must propose the same under every sampler, or say 'sampled'",
    )
    _check_alone(draft, n_vocab)
    hold(draft.name == name, f"draft {name!r}: the name must not change, got {draft.name!r}")


def _check_alone(draft: Draft, n_vocab: int) -> None:
    """Check `write` and `logits_along`, which a draft may leave as they are."""
    name, [text, _] = draft.name, _texts(n_vocab, 8)
    written = draft.write(text[:2], 4)
    hold(
        written is None or (len(written) <= 4 and all(0 <= token < n_vocab for token in written)),
        f"draft {name!r}: write must return None or at most 4 ids in [0, {n_vocab}), got {written!r}",
    )
    if written:
        ended = draft.write(text[:2], 4, [written[0]])
        hold(ended == written[:1], f"draft {name!r}: write must end with a token of eos_ids, got {ended!r}")
    along = draft.logits_along(text[:2], text[2:])
    if along is not None:
        n_rows, n_columns = along.values.shape
        ids = range(n_columns) if along.entry_ids is None else along.entry_ids.tolist()
        hold(
            n_rows < len(text[2:]) and len(ids) == n_columns and all(0 <= token < n_vocab for token in ids),
            f"draft {name!r}: logits_along must have at most {len(text) - 3} rows, an id in [0, {n_vocab}) a column, "
            f"got {n_rows} rows, {n_columns} columns and {len(ids)} ids",
        )


def _drafted(draft: Draft, n_vocab: int, make_sampler: Callable[[], TokenSampler]) -> list[list[int]]:
    """Everything a draft proposes for two growing texts, checked round by round."""
    name, limit = draft.name, draft.max_positions
    texts = _texts(n_vocab, 48 if limit is None else min(48, limit))
    sessions = [_opened(draft, text[:1]) for text in texts]
    spare = _opened(draft, texts[0])
    n_shown = [1, 1]
    proposals = []
    for turn, draft_length in enumerate(_DRAFT_LENGTHS * 2):
        row = turn % 2
        prefix = texts[row][: n_shown[row]]
        asked = draft_length if limit is None else min(draft_length, limit - len(prefix))
        if asked < 1:
            continue
        proposal = _proposed(draft, sessions[row], prefix, asked, n_vocab, make_sampler())
        fresh = _opened(draft, texts[row][:1])
        again = _proposed(draft, fresh, prefix, asked, n_vocab, make_sampler())
        _close(name, fresh, prefix)
        proposals.append(proposal.token_ids)
        hold(
            proposal.token_ids == again.token_ids,
            f"draft {name!r}: the same prefix of {len(prefix)} tokens must give the same proposal, "
            f"whatever was asked before, got {proposal.token_ids}, from a new session {again.token_ids}",
        )
        n_shown[row] = min(len(texts[row]), n_shown[row] + 1 + turn % 5)
    for session, text in zip([*sessions, spare], [*texts, texts[0]], strict=True):
        _close(name, session, text)
    return proposals


def _opened(draft: Draft, prompt: list[int]) -> DraftSession:
    before = list(prompt)
    session = draft.open(prompt, None)
    hold(
        isinstance(session, DraftSession),
        f"draft {draft.name!r}: open must return a DraftSession, got {session!r}",
    )
    hold(prompt == before, f"draft {draft.name!r}: open must leave the prompt unmodified")
    return session


def _close(name: str, session: DraftSession, text: list[int]) -> None:
    before = list(text)
    try:
        session.close(text)
    except Exception as error:
        raise AssertionError(f"draft {name!r}: close must take the whole text, but raised {error!r}") from error
    hold(text == before, f"draft {name!r}: close must leave the text unmodified")


def _proposed(
    draft: Draft, session: DraftSession, prefix: list[int], draft_length: int, n_vocab: int, sampler: TokenSampler
) -> Proposal:
    """Ask once and check everything that one answer can show."""
    name, before = draft.name, list(prefix)
    try:
        found = session.match_length(prefix)
        proposal = session.propose(prefix, draft_length, sampler)
    except Exception as error:
        raise AssertionError(
            f"draft {name!r}: propose must answer for {len(prefix)} tokens and draft_length {draft_length}, "
            f"but raised {error!r}"
        ) from error
    hold(isinstance(proposal, Proposal), f"draft {name!r}: propose must return a Proposal, got {proposal!r}")
    hold(prefix == before, f"draft {name!r}: propose must leave the prefix unmodified")
    token_ids = proposal.token_ids
    hold(
        isinstance(token_ids, list) and len(token_ids) <= draft_length,
        f"draft {name!r}: token_ids must be a list of at most {draft_length} ids, got {token_ids!r}",
    )
    hold(
        all(isinstance(token, int) and 0 <= token < n_vocab for token in token_ids),
        f"draft {name!r}: token_ids must be ints in [0, {n_vocab}), got {token_ids!r}",
    )
    _check_match_length(draft, found, len(prefix))
    drawn = sampler.drawn().token_ids
    hold(
        not drawn or tuple(token_ids) == drawn,
        f"draft {name!r}: token_ids must be all that the sampler drew, {drawn}, got {token_ids!r}",
    )
    hold(
        0 <= proposal.n_read <= len(prefix),
        f"draft {name!r}: n_read must lie in [0, {len(prefix)}], got {proposal.n_read!r}",
    )
    hold(
        0.0 <= proposal.read_s < float("inf"),
        f"draft {name!r}: read_s must be finite and >= 0, got {proposal.read_s!r}",
    )
    return proposal


def _check_match_length(draft: Draft, found: int | None, n_prefix: int) -> None:
    name, longest = draft.name, draft.max_match_length
    hold(
        found is None or 0 <= found <= n_prefix,
        f"draft {name!r}: match_length must be None or lie in [0, {n_prefix}], got {found!r}",
    )
    hold(
        found is None or found <= longest,
        f"draft {name!r}: match_length must not exceed max_match_length, {longest}, got {found!r}",
    )


def _texts(n_vocab: int, length: int) -> tuple[list[int], list[int]]:
    """Two texts with many repetitions, so that look-ups find something."""
    rng = random.Random(_SEED)
    words = [rng.randrange(n_vocab) for _ in range(4)]
    return [rng.choice(words) for _ in range(length)], [rng.randrange(n_vocab) for _ in range(length)]
