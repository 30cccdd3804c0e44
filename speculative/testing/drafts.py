"""The rules every draft and every selector keeps, as checks to run on your own.

`check_draft(MyDraft(), n_vocab)` and `check_selector(MySelector(), n_arms)` need no test framework.
"""

import pickle
import random
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch

from speculative.protocols.draft import Draft, DraftSession, Proposal
from speculative.protocols.request import Request
from speculative.protocols.selector import QueryState, RoundContext, RoundObservation, Selector
from speculative.sampling.sampling_params import SamplingParams
from speculative.sampling.token_sampler import GREEDY, CoupledSampler, DrawingSampler, RandomDice, TokenSampler

_SEED = 20
_DRAFT_LENGTHS = (3, 1, 7, 4, 2, 5, 1, 1, 6)
_Told = TypeVar("_Told")
_Answer = TypeVar("_Answer")


def check_draft(draft: Draft, n_vocab: int) -> None:
    """Check that a draft keeps the contract of `Draft`.

    Two requests are drafted for in turns, the prefixes growing by one to five tokens a round, as they do in
    an engine: greedily, coupled and by rejection sampling. Every proposal must be what a session that sees that prefix
    first would say: a draft's tokens are a function of the prefix and of the sampler's noise, whatever it was asked
    before. A draft of law "point" says the same under every sampler.

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
    _require(draft.law in ("point", "sampled"), f"draft {name!r}: law must be 'point' or 'sampled', got {draft.law!r}")
    limit = draft.max_positions
    _require(limit is None or limit >= 1, f"draft {name!r}: max_positions must be None or >= 1, got {limit!r}")
    generators_before = _global_generators()
    params = SamplingParams(1.0, top_p=0.9)
    greedy = _drafted(draft, n_vocab, lambda: GREEDY)
    coupled = _drafted(draft, n_vocab, lambda: CoupledSampler(params, _SEED))
    drawn = _drafted(draft, n_vocab, lambda: DrawingSampler(params, RandomDice(_SEED, 1), n_vocab))
    _require(
        draft.law == "sampled" or greedy == coupled == drawn,
        f"draft {name!r}: a law of 'point' must propose the same under every sampler, or say 'sampled'",
    )
    _require(draft.name == name, f"draft {name!r}: the name must not change, got {draft.name!r}")
    _require(
        _global_generators() == generators_before,
        f"draft {name!r}: propose must never draw from a global generator of random, numpy or torch",
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
        proposal = _proposed(name, sessions[row], prefix, asked, n_vocab, make_sampler())
        fresh = _opened(draft, texts[row][:1])
        again = _proposed(name, fresh, prefix, asked, n_vocab, make_sampler())
        _close(name, fresh, prefix)
        proposals.append(proposal.token_ids)
        _require(
            proposal.token_ids == again.token_ids,
            f"draft {name!r}: the same prefix of {len(prefix)} tokens must give the same proposal, "
            f"whatever was asked before, got {proposal.token_ids}, from a new session {again.token_ids}",
        )
        n_shown[row] = min(len(texts[row]), n_shown[row] + 1 + turn % 5)
    for session, text in zip([*sessions, spare], [*texts, texts[0]], strict=True):
        _close(name, session, text)
    return proposals


def check_selector(selector: Selector, n_arms: int, n_features: int = 8) -> None:
    """Check that a selector answers as the engine asks: one arm per request, while requests join and leave.

    Requests change places, end before their first round, come back under an id that is free again, and are greedy
    or sampled. The first arm looks nothing up; the others' match lengths come and go, as do their drafts. A
    selector may name an arm whose draft is not available; that round is then a plain decoding step.

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

    running: list[Request] = []
    for step in range(12):
        if step % 2 == 0:
            request_id = f"query-{step % 6}"
            ids = [request.id for request in running]
            if request_id in ids:  # ids come back once they are free
                _leave(name, selector, running, ids.index(request_id))
            running.append(_joined(name, selector, request_id, step, torch.rand(n_features, generator=generator)))
        rounds = [_MatchLengths(request, step, n_arms, len(running)) for request in running]
        actions = _selected(name, selector, rounds, n_arms)
        observations = [_played(r.context, action, step) for r, action in zip(rounds, actions, strict=True)]
        _asked(name, selector.observe, observations)
        for round_ in rounds:
            round_.check(name)
        if step % 5 == 4:
            _leave(name, selector, running, 0)
            ended = _joined(name, selector, "ends-at-once", step, torch.rand(n_features, generator=generator))
            _asked(name, selector.finish, ended.id)
    while running:
        _leave(name, selector, running, 0)
    _require(
        _global_generators() == generators_before,
        f"{name}: a selector must draw from its own generator, never from a global one",
    )


def _opened(draft: Draft, prompt: list[int]) -> DraftSession:
    before = list(prompt)
    session = draft.open(prompt, None)
    _require(
        isinstance(session, DraftSession),
        f"draft {draft.name!r}: open must return a DraftSession, got {session!r}",
    )
    _require(prompt == before, f"draft {draft.name!r}: open must leave the prompt unmodified")
    return session


def _close(name: str, session: DraftSession, text: list[int]) -> None:
    before = list(text)
    try:
        session.close(text)
    except Exception as error:
        raise AssertionError(f"draft {name!r}: close must take the whole text, but raised {error!r}") from error
    _require(text == before, f"draft {name!r}: close must leave the text unmodified")


def _proposed(
    name: str, session: DraftSession, prefix: list[int], draft_length: int, n_vocab: int, sampler: TokenSampler
) -> Proposal:
    """Ask once and check everything that one answer can show."""
    before = list(prefix)
    try:
        found = session.match_length(prefix)
        proposal = session.propose(prefix, draft_length, sampler)
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
        found is None or 0 <= found <= len(prefix),
        f"draft {name!r}: match_length must be None or lie in [0, {len(prefix)}], got {found!r}",
    )
    _require_laws(name, proposal, n_vocab)
    _require(
        0 <= proposal.n_read <= len(prefix),
        f"draft {name!r}: n_read must lie in [0, {len(prefix)}], got {proposal.n_read!r}",
    )
    _require(
        0.0 <= proposal.read_s < float("inf"),
        f"draft {name!r}: read_s must be finite and >= 0, got {proposal.read_s!r}",
    )
    return proposal


def _require_laws(name: str, proposal: Proposal, n_vocab: int) -> None:
    """What was drawn must come with the law that it was drawn from."""
    if proposal.probs is None:
        return
    shape = (len(proposal.token_ids), n_vocab)
    _require(
        proposal.probs.shape == shape, f"draft {name!r}: probs must have shape {shape}, got {proposal.probs.shape}"
    )
    for law, token in zip(proposal.probs, proposal.token_ids, strict=True):
        sound = abs(float(law.sum()) - 1.0) < 1e-6 and bool((law >= 0).all())
        _require(sound and float(law[token]) > 0.0, f"draft {name!r}: probs must be laws that give the tokens proposed")


class _MatchLengths:
    """A round to choose for, and what its selector asked of it."""

    def __init__(self, request: Request, step: int, n_arms: int, n_running: int) -> None:
        self._step, self._asked_for, self._is_open = step, list[int](), True
        self._n_asked_late = 0
        available = tuple(arm == 0 or (step + arm) % 4 != 0 for arm in range(n_arms))
        temperature = request.sampling.temperature
        self.context = RoundContext(request.id, 3, 1 + step, available, temperature, n_running, self._match_length)

    def close(self) -> None:
        """The round begins: the prefix is about to change."""
        self._is_open = False

    def check(self, name: str) -> None:
        """Refuse questions that an engine could not answer, or not truly."""
        n_arms = len(self.context.available)
        beyond = [action for action in self._asked_for if not 0 <= action < n_arms]
        _require(not beyond, f"{name}: match_length must be asked for an arm in [0, {n_arms}), got {beyond}")
        _require(self._n_asked_late == 0, f"{name}: match_length must be asked in select only, before the round begins")

    def _match_length(self, action: int) -> int | None:
        self._asked_for.append(action)
        self._n_asked_late += not self._is_open
        is_look_up = 0 < action < len(self.context.available) and self.context.available[action]
        return (5 * self._step + 3 * action) % 8 if is_look_up else None


def _joined(name: str, selector: Selector, request_id: str, step: int, hidden_mean: torch.Tensor) -> Request:
    sampling = SamplingParams(temperature=0.7 if step % 4 == 0 else 0.0)
    request = Request(request_id, (1, 2, 3), 16, text="a question", sampling=sampling)
    _asked(name, selector.start, QueryState(request, hidden_mean))
    return request


def _leave(name: str, selector: Selector, running: list[Request], row: int) -> None:
    """End a request as the engine does: the last one moves into its place."""
    _asked(name, selector.finish, running[row].id)
    running[row] = running[-1]
    running.pop()


def _selected(name: str, selector: Selector, asked: list[_MatchLengths], n_arms: int) -> list[int]:
    rounds = [round_.context for round_ in asked]
    before = list(rounds)
    choices = _asked(name, selector.select, rounds)
    for round_ in asked:
        round_.close()
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


def _asked(name: str, method: Callable[[_Told], _Answer], told: _Told) -> _Answer:
    try:
        return method(told)
    except Exception as error:
        raise AssertionError(f"{name}: {method.__name__} must take {told!r}, but raised {error!r}") from error


def _played(round_: RoundContext, action: int, step: int) -> RoundObservation:
    n_proposed = 3 if round_.available[action] else 0
    n_accepted = min(step % 4, n_proposed)
    return RoundObservation(round_.request_id, action, n_proposed, n_accepted, n_accepted + 1, 0.01 * (1 + n_accepted))


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
