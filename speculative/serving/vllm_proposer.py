"""A saved round policy inside vLLM: for every row and round, prompt look-up, a suffix tree or nothing drafts.

vLLM loads the class by its name, from V1's hook for proposers of one's own:

    vllm serve MODEL --speculative-config '{"method": "custom_class", "num_speculative_tokens": 7,
        "model": "speculative.serving.vllm_proposer.Proposer"}' --additional-config '{"draftpick": {"policy": FILE}}'
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from pydantic import Field, ValidationError

from arms.strict_model import StrictModel
from bandits import load_policy
from bandits.seeds import SeedTree
from speculative.collection.arm_plan import ArmPlan
from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.drafts.suffix.draft import SuffixDraft
from speculative.protocols.draft import Draft, DraftSession
from speculative.protocols.request import Request
from speculative.protocols.selector import QueryState, RoundContext, RoundObservation
from speculative.rounds.record import RecordLayout
from speculative.rounds.round_policy import RoundPolicySelector
from speculative.serving.vllm_rows import RowTracker, TokenRows, TrackedRequest, TrackedRound

OWN_KEY = "draftpick"
"""Of vLLM's `additional_config`, under which the settings stand."""


class ProposerSettings(StrictModel):
    """What `additional_config` says to the proposer.

    Attributes:
        policy: file of a policy fitted on `round_data` of the arms that it chooses among, without numbers of the
            prompt: its arms are `no_draft`, `prompt_lookup_N` and `suffix_N`, N the draft length.
        seed: of its draws; the same in every process of one engine, which must propose alike.
    """

    policy: str = Field(min_length=1)
    seed: int = 0


class SpeculativeConfig(Protocol):
    """What is read of vLLM's `SpeculativeConfig`."""

    @property
    def num_speculative_tokens(self) -> int:
        """Most draft tokens of a round."""


class ModelConfig(Protocol):
    """What is read of vLLM's `ModelConfig`."""

    @property
    def max_model_len(self) -> int:
        """Most tokens of prompt and answer."""


class VllmConfig(Protocol):
    """What is read of vLLM's own record of this name; nothing of vLLM is imported."""

    @property
    def speculative_config(self) -> SpeculativeConfig | None:
        """Of the proposer."""

    @property
    def model_config(self) -> ModelConfig:
        """Of the target."""

    @property
    def additional_config(self) -> object:
        """What the user adds."""


@dataclass(slots=True)
class _Running:
    """A request's drafts, and its last round."""

    sessions: tuple[DraftSession, ...]
    action: int = 0
    n_proposed: int = 0


class Proposer:
    """Chooses who drafts, row by row and round by round, and proposes that draft's tokens to vLLM.

    vLLM verifies, so that the text stays the target's whatever is chosen. It gives a proposer the batch's tokens and
    nothing else: no names, no prompts' ends, no states, no sampling parameters. Requests are recognised by their texts.
    The hook is experimental in vLLM: its V1 runner has it, V2 does not; asynchronous scheduling is off with it.

    Args:
        vllm_config: what vLLM gives its proposers.

    Attributes:
        arm_names: to choose among.
        chosen: rounds by arm.

    Raises:
        ValueError: if the settings are missing or wrong, the policy is of other arms or records, or an arm's draft is
            longer than `num_speculative_tokens`.
        FileNotFoundError: if there is no such policy.
    """

    def __init__(self, vllm_config: VllmConfig) -> None:
        settings = _read_settings(vllm_config.additional_config)
        policy = load_policy(settings.policy)
        speculative = vllm_config.speculative_config
        most = 0 if speculative is None else speculative.num_speculative_tokens
        self.arm_names = policy.arm_names
        self._drafts = [_draft_of(name, most) for name in self.arm_names]
        plans = {
            name: ArmPlan.fixed(draft.name, length)
            for name, (draft, length) in zip(self.arm_names, self._drafts, strict=True)
        }
        rng = SeedTree(settings.seed).rng("choice")
        self._selector = RoundPolicySelector(policy, RecordLayout(plans), rng)
        self._max_tokens = vllm_config.model_config.max_model_len
        self._tracker, self._running = RowTracker(), dict[str, _Running]()
        self.chosen: Counter[str] = Counter()

    def load_model(self, model: object) -> None:
        """Load nothing: vLLM's runner for the CPU asks every proposer to.

        Args:
            model: the target, of which nothing is used.
        """

    def propose(
        self,
        sampled_token_ids: Sequence[Sequence[int]],
        num_tokens_no_spec: Sequence[int] | TokenRows,
        token_ids_cpu: TokenRows,
        slot_mappings: object = None,
    ) -> list[list[int]]:
        """Return the draft tokens of each row, none where no draft is to help; called once a round.

        Args:
            sampled_token_ids: of each row, what this round gave; empty while a prompt is being read.
            num_tokens_no_spec: (rows or more,) tokens of each row, those included.
            token_ids_cpu: (rows or more, longest) the texts.
            slot_mappings: not used.
        """
        seen = self._tracker.take(sampled_token_ids, num_tokens_no_spec, token_ids_cpu)
        self._note(seen)
        asked = [
            request
            for request in seen.rows
            if request is not None and request.n_sampled and len(request.text) + 1 < self._max_tokens
        ]
        rounds = [self._round(request, len(asked)) for request in asked]
        actions = self._selector.select(rounds)
        found = {request.id: self._proposal(request, action) for request, action in zip(asked, actions, strict=True)}
        return [[] if request is None else found.get(request.id, []) for request in seen.rows]

    def _note(self, seen: TrackedRound) -> None:
        """Close what has ended, open what is new, and tell the selector what the rounds gave."""
        for gone in seen.ended:
            self._selector.finish(gone.id)
            for session in self._running.pop(gone.id).sessions:
                session.close(gone.text)
        for request in seen.rows:
            if request is None or not request.n_sampled:
                continue
            if request.id in seen.begun:
                self._begin(request)
                continue
            last = self._running[request.id]
            n_accepted = min(request.n_sampled - 1, last.n_proposed)
            observed = RoundObservation(request.id, last.action, last.n_proposed, n_accepted, request.n_sampled, 0.0)
            self._selector.observe([observed])

    def _begin(self, request: TrackedRequest) -> None:
        prompt = request.text[: request.n_prompt]
        self._running[request.id] = _Running(tuple(draft.open(prompt) for draft, _ in self._drafts))
        asked = Request(request.id, tuple(prompt), max(1, self._max_tokens - request.n_prompt))
        nothing = torch.zeros(0)
        self._selector.start(QueryState(asked, nothing, nothing))

    def _round(self, request: TrackedRequest, n_running: int) -> RoundContext:
        sessions = self._running[request.id].sessions
        return RoundContext(
            request.id,
            request.n_prompt,
            len(request.text) - request.n_prompt,
            (True,) * len(sessions),
            n_running=n_running,
            match_length=lambda action: sessions[action].match_length(request.text),
        )

    def _proposal(self, request: TrackedRequest, action: int) -> list[int]:
        running, length = self._running[request.id], self._drafts[action][1]
        room = min(length, self._max_tokens - len(request.text) - 1)
        tokens = running.sessions[action].propose(request.text, room).token_ids if room else []
        running.action, running.n_proposed = action, len(tokens)
        self.chosen[self.arm_names[action]] += 1
        return tokens


def _read_settings(additional: object) -> ProposerSettings:
    own = additional.get(OWN_KEY) if isinstance(additional, Mapping) else None
    if not isinstance(own, Mapping):
        raise ValueError(
            f'additional_config must hold {{"{OWN_KEY}": {{"policy": FILE}}}}, got {additional!r}: start vLLM with '
            "--additional-config"
        )
    try:
        return ProposerSettings.model_validate(dict(own))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in (OWN_KEY, *first["loc"]))
        raise ValueError(f"additional_config, {field}: {first['msg']}") from error


def _draft_of(arm: str, most: int) -> tuple[Draft, int]:
    """Return the draft and its length that an arm's name says."""
    if arm == NoDraft.name:
        return NoDraft(), 0
    kind, _, length = arm.rpartition("_")
    makers: dict[str, type[PromptLookup] | type[SuffixDraft]] = {"prompt_lookup": PromptLookup, "suffix": SuffixDraft}
    if kind not in makers or not length.isdecimal() or int(length) < 1:
        raise ValueError(f"the policy's arms must be no_draft, prompt_lookup_N or suffix_N in vLLM, got {arm!r}")
    if int(length) > most:
        raise ValueError(f"arm {arm!r} proposes {length} tokens: start vLLM with num_speculative_tokens >= {length}")
    return makers[kind](), int(length)
