"""transformers' own modes of generation, on the target's weights and with the drafts that we ship."""

import json
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from arms import Query
from speculative.drafts.draft_model import VOCABULARY_FILE, DraftModel
from speculative.measuring.wall_clock import Mode, Run, transformers_mode
from speculative.models.sources import resolve_model
from speculative.pools.arm_specs import ArmSpec
from speculative.pools.spec import PoolSpec
from speculative.targets.target import Target

GREEDY = "transformers greedy"
LOOKUPS = {
    "transformers prompt lookup 3": {"prompt_lookup_num_tokens": 3},
    "transformers prompt lookup 10": {"prompt_lookup_num_tokens": 10},
}
IMPOSSIBLE = -1e9  # logit of a token that the draft does not know


def load_peer(target: Target, dtype: torch.dtype) -> Any:
    """Return the target's weights in transformers."""
    disable_progress_bar()
    return AutoModelForCausalLM.from_pretrained(target.folder, dtype=dtype)


def peer_modes(target: Target, peer: Any, note: str = "") -> dict[str, Mode]:
    """Greedy decoding and prompt lookup; `note` is added to their names."""
    options: dict[str, dict[str, int]] = {GREEDY: {}, **LOOKUPS}
    return {name + note: transformers_mode(target, peer, name + note, **more) for name, more in options.items()}


def assistant_modes(spec: PoolSpec, target: Target, peer: Any) -> dict[str, Mode]:
    """Assisted generation with each draft model of the pool, as many tokens a round as the pool's arm asks for."""
    modes: dict[str, Mode] = {}
    for arm in spec.arms:
        if not isinstance(arm, ArmSpec) or not isinstance(arm.draft, DraftModel.Spec):
            continue
        model = arm.draft.model
        name = f"transformers assistant {model.split(':')[-1].split('/')[-1]} {arm.draft_length}"
        if name not in modes:
            assistant = load_assistant(model, peer.config.vocab_size, arm.draft_length)
            modes[name] = transformers_mode(target, peer, name, assistant_model=assistant)
    return modes


def load_assistant(model: str, n_vocab: int, n_tokens: int) -> Any:
    """Return a draft as transformers' assistant: float32, with the target's vocabulary.

    Args:
        model: a draft, whatever `resolve_model` finds; one with a vocabulary of its own is given the target's.
        n_vocab: the target's.
        n_tokens: draft tokens a round.
    """
    disable_progress_bar()
    folder = resolve_model(model)
    assistant = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assistant.generation_config.num_assistant_tokens = n_tokens
    if (folder / VOCABULARY_FILE).is_file():
        target_ids = torch.tensor(json.loads((folder / VOCABULARY_FILE).read_text())["target_ids"])
        assistant.set_input_embeddings(_Embedding(assistant.get_input_embeddings().weight, target_ids, n_vocab))
        assistant.lm_head = _Head(assistant.lm_head.weight, target_ids, n_vocab)
        assistant.config.vocab_size = n_vocab
    return assistant


class _Embedding(nn.Module):
    """The draft's embeddings by target id; tokens it does not know share that of its id 0."""

    def __init__(self, weight: torch.Tensor, target_ids: torch.Tensor, n_vocab: int) -> None:
        super().__init__()
        draft_ids = torch.zeros(n_vocab, dtype=torch.int64)
        draft_ids[target_ids[1:]] = torch.arange(1, len(target_ids))
        self.weight = weight
        self.draft_ids = draft_ids

    def forward(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Map (b, t) target ids to (b, t, d)."""
        return nn.functional.embedding(self.draft_ids[token_ids], self.weight)


class _Head(nn.Module):
    """The draft's logits by target id."""

    def __init__(self, weight: torch.Tensor, target_ids: torch.Tensor, n_vocab: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight[1:].detach().clone(), requires_grad=False)
        self.target_ids, self.n_vocab = target_ids[1:], n_vocab

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Map (b, t, d) to (b, t, v)."""
        logits = hidden.new_full((*hidden.shape[:-1], self.n_vocab), IMPOSSIBLE)
        logits[..., self.target_ids] = nn.functional.linear(hidden, self.weight)
        return logits


def greedy_batch(target: Target, peer: Any, queries: Sequence[Query], n_rows: int) -> list[Run]:
    """Greedy texts, `n_rows` at a time, padded on the left; the seconds of a batch are shared out evenly."""
    runs = []
    name = f"{GREEDY}, batch {n_rows}"
    for begin in range(0, len(queries), n_rows):
        part = queries[begin : begin + n_rows]
        requests = [target.request(query) for query in part]
        longest = max(len(request.token_ids) for request in requests)
        fill = requests[0].eos_ids[0]
        rows = [[fill] * (longest - len(request.token_ids)) + list(request.token_ids) for request in requests]
        mask = [[0] * (longest - len(request.token_ids)) + [1] * len(request.token_ids) for request in requests]
        start = time.perf_counter()
        output = peer.generate(
            torch.tensor(rows),
            attention_mask=torch.tensor(mask),
            max_new_tokens=requests[0].max_new_tokens,
            do_sample=False,
            eos_token_id=list(requests[0].eos_ids),
            pad_token_id=fill,
        )
        share = (time.perf_counter() - start) / len(part)
        for query, request, row in zip(part, requests, output[:, longest:].tolist(), strict=True):
            ends = [i for i, token in enumerate(row) if token in request.eos_ids]
            text = tuple(row[: ends[0] + 1] if ends else row)
            runs.append(Run(query.id, query.domain, name, share, text))
    return runs
