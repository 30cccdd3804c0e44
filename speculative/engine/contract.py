"""The rules every draft and every selector keeps, as checks to run on your own.

`check_draft(MyDraft(), n_vocab)` and `check_selector(MySelector(), n_arms)` need no test framework.
"""

import pickle
import random

import numpy as np
import torch

from speculative.engine.draft import Draft, DraftSession, Proposal
from speculative.engine.request import Request
from speculative.engine.selector import QueryState, RoundContext, RoundObservation, Selector

_SEED = 20
_DRAFT_LENGTHS = (3, 1, 7, 4, 2, 5, 1, 1, 6)


def check_draft(draft: Draft, n_vocab: int) -> None:
    """Check that a draft keeps the contract of `Draft`.

    Two requests are drafted for in turns, the prefixes growing by one to five tokens a round, as they do in
    an engine. Every proposal must be what a session that sees that prefix first would say: a draft's tokens
    are a function of the prefix, whatever it was asked before.

    Args:
        draft: the draft to check.
        n_vocab: size of the target's vocabulary.

    Raises:
        AssertionError: saying which rule was broken, and how.
    """
    _require(isinstance(draft, Draft), f"a draft must be an instance of Draft, got {draft!r}")
    name = draft.name
    _require(
        isinstance(name, str) and bool(name.strip()),
        f"{type(draft).__name__}.name must be a string and not blank, got {name!r}",
    )
    limit = draft.max_positions
    _require(limit is None or limit >= 1, f"draft {name!r}: max_positions must be None or >= 1, got {limit!r}")
    generators_before = _global_generators()
    texts = _texts(n_vocab, 48 if limit is None else min(48, limit))
    sessions = [_opened(draft, text[:1]) for text in texts]
    spare = _opened(draft, texts[0])
    n_shown = [1, 1]
    for turn, draft_length in enumerate(_DRAFT_LENGTHS * 2):
        row = turn % 2
        prefix = texts[row][: n_shown[row]]
        asked = draft_length if limit is None else min(draft_length, limit - len(prefix))
        if asked < 1:
            continue
        proposal = _proposed(name, sessions[row], prefix, asked, n_vocab)
        fresh = _opened(draft, texts[row][:1])
        again = _proposed(name, fresh, prefix, asked, n_vocab)
        fresh.close()
        _require(
            proposal.token_ids == again.token_ids,
            f"draft {name!r}: the same prefix of {len(prefix)} tokens must give the same proposal, "
            f"whatever was asked before, got {proposal.token_ids}, from a new session {again.token_ids}",
        )
        n_shown[row] = min(len(texts[row]), n_shown[row] + 1 + turn % 5)
    for session in [*sessions, spare]:
        session.close()
    _require(draft.name == name, f"draft {name!r}: the name must not change, got {draft.name!r}")
    _require(
        _global_generators() == generators_before,
        f"draft {name!r}: propose must never draw from a global generator of random, numpy or torch",
    )


def check_selector(selector: Selector, n_arms: int, n_features: int = 8) -> None:
    """Check that a selector answers as the engine asks: one arm per request, while requests join and leave.

    A selector may name an arm whose draft is not available; that round is then a plain decoding step.

    Args:
        selector: the selector to check.
        n_arms: arms it chooses from.
        n_features: size of the target's hidden states, for a selector that reads them.

    Raises:
        AssertionError: saying which rule was broken, and how.
    """
    name = type(selector).__name__
    generators_before = _global_generators()
    generator = torch.Generator().manual_seed(_SEED)
    running: list[str] = []
    for step in range(12):
        if step % 2 == 0:
            request = Request(f"query-{step % 6}", (1, 2, 3), 16, text="a question")
            if request.id in running:  # ids come back once they are free
                running.remove(request.id)
                selector.finish(request.id)
            selector.start(QueryState(request, torch.rand(n_features, generator=generator)))
            running.append(request.id)
        rounds = [RoundContext(id, 3, 1 + step, _available(step, n_arms)) for id in running]
        observations = [
            _played(request_id, action, step)
            for request_id, action in zip(running, _selected(name, selector, rounds, n_arms), strict=True)
        ]
        selector.observe(observations)
        if step % 5 == 4:
            selector.finish(running.pop(0))
    for request_id in running:
        selector.finish(request_id)
    _require(
        _global_generators() == generators_before,
        f"{name}: a selector must draw from its own generator, never from a global one",
    )


def _opened(draft: Draft, prompt: list[int]) -> DraftSession:
    before = list(prompt)
    session = draft.open(prompt)
    _require(
        isinstance(session, DraftSession),
        f"draft {draft.name!r}: open must return a DraftSession, got {session!r}",
    )
    _require(prompt == before, f"draft {draft.name!r}: open must leave the prompt unmodified")
    return session


def _proposed(name: str, session: DraftSession, prefix: list[int], draft_length: int, n_vocab: int) -> Proposal:
    """Ask once and check everything that one answer can show."""
    before = list(prefix)
    try:
        proposal = session.propose(prefix, draft_length)
    except Exception as error:
        raise AssertionError(
            f"draft {name!r}: propose must answer for {len(prefix)} tokens and draft_length {draft_length}, "
            f"but raised {error!r}"
        ) from error
    _require(isinstance(proposal, Proposal), f"draft {name!r}: propose must return a Proposal, got {proposal!r}")
    _require(prefix == before, f"draft {name!r}: propose must leave the prefix unmodified")
    token_ids = proposal.token_ids
    _require(
        isinstance(token_ids, list) and len(token_ids) <= draft_length,
        f"draft {name!r}: token_ids must be a list of at most {draft_length} ids, got {token_ids!r}",
    )
    _require(
        all(isinstance(token, int) and 0 <= token < n_vocab for token in token_ids),
        f"draft {name!r}: token_ids must be ints in [0, {n_vocab}), got {token_ids!r}",
    )
    _require(
        0 <= proposal.n_read <= len(prefix),
        f"draft {name!r}: n_read must lie in [0, {len(prefix)}], got {proposal.n_read!r}",
    )
    _require(
        0.0 <= proposal.read_s < float("inf"),
        f"draft {name!r}: read_s must be finite and >= 0, got {proposal.read_s!r}",
    )
    return proposal


def _selected(name: str, selector: Selector, rounds: list[RoundContext], n_arms: int) -> list[int]:
    before = list(rounds)
    choices = selector.select(rounds)
    _require(rounds == before, f"{name}: select must leave the list of rounds unmodified")
    _require(
        len(choices) == len(rounds),
        f"{name}: select must give one choice per request, got {len(choices)} for {len(rounds)}",
    )
    actions = [choice.action for choice in choices]
    _require(
        all(isinstance(action, int | np.integer) and 0 <= action < n_arms for action in actions),
        f"{name}: an action must be an arm index in [0, {n_arms}), got {actions!r}",
    )
    return [int(action) for action in actions]


def _played(request_id: str, action: int, step: int) -> RoundObservation:
    n_accepted = step % 4
    return RoundObservation(request_id, action, 3, n_accepted, n_accepted + 1, 0.01 * (1 + n_accepted))


def _available(step: int, n_arms: int) -> tuple[bool, ...]:
    return tuple(arm == 0 or (step + arm) % 4 != 0 for arm in range(n_arms))


def _texts(n_vocab: int, length: int) -> tuple[list[int], list[int]]:
    """Two texts with many repetitions, so that look-ups find something."""
    rng = random.Random(_SEED)
    words = [rng.randrange(n_vocab) for _ in range(4)]
    return [rng.choice(words) for _ in range(length)], [rng.randrange(n_vocab) for _ in range(length)]


def _global_generators() -> bytes:
    # The legacy generator is read here only to prove that nobody else touched it.
    numpy_state = np.random.get_state()  # noqa: NPY002
    return pickle.dumps((random.getstate(), numpy_state, torch.get_rng_state().tolist()))


def _require(condition: bool, message: str) -> None:
    """Raise rather than `assert`, which `python -O` would drop."""
    if not condition:
        raise AssertionError(message)
