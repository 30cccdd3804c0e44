"""Seconds that sampling takes for each row of logits that verification examines."""

import statistics
import time

import torch

from speculative.engine.target_rows import TargetRows, largest_logits
from speculative.engine.verify import make_verifier
from speculative.protocols.request import Request
from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.logits import process_logits
from speculative.sampling.sampling_params import SamplingParams
from speculative.sampling.token_sampler import CoupledSampler, DraftTokens
from speculative.targets.target import Target

N_ROWS = 9  # draft length 8
KINDS = {
    "coupling, temperature 0.8": SamplingParams(temperature=0.8),
    "coupling, temperature 0.8 and top-p 0.9": SamplingParams(temperature=0.8, top_p=0.9),
    "rejection, temperature 0.8": SamplingParams(temperature=0.8, verification="rejection"),
}


class CountedRows(TargetRows):
    """Counts how many rows were looked at."""

    n_examined = 0

    def row(self, i: int) -> torch.Tensor:
        """As there."""
        self.n_examined += 1
        return super().row(i)


@torch.inference_mode()
def sampling_costs(target: Target, request: Request, n_repeats: int) -> dict[str, float]:
    """Median milliseconds an examined row, verifying drafts that are right to the end.

    The rows are the target's own, after the last tokens of a prompt. A draft is right where it is what the coupled
    target picks, or where its distribution is the target's.
    """
    model = target.model
    ids = torch.tensor(request.token_ids[-64:], device=model.device)
    n_rows = min(N_ROWS, len(ids))
    logits = model.forward(TokenBatch(ids, [len(ids)]), model.new_cache(1)).logits[-n_rows:]
    found = {}
    for name, params in KINDS.items():
        seconds = []
        for seed in range(n_repeats + 1):
            draft_tokens = _right_tokens(logits, params, seed, len(ids))
            verifier, rows = make_verifier(params, seed, model.n_vocab), CountedRows(logits, largest_logits(logits))
            begin = time.perf_counter()
            verifier.verify(rows, draft_tokens, len(ids))
            seconds.append((time.perf_counter() - begin) / rows.n_examined)
        found[name] = statistics.median(seconds[1:]) * 1e3
    return found


def _right_tokens(logits: torch.Tensor, params: SamplingParams, seed: int, position: int) -> DraftTokens:
    """Return a draft for all rows but the last that verification accepts."""
    rows = logits[:-1]
    if params.verification == "coupling":
        sampler = CoupledSampler(params, seed)
        return DraftTokens([int(sampler.pick(row, position + i)) for i, row in enumerate(rows)])
    probs = torch.stack([process_logits(row, params, ()).double().softmax(0) for row in rows])
    generator = torch.Generator(probs.device).manual_seed(seed)
    return DraftTokens(torch.multinomial(probs, 1, generator=generator)[:, 0].tolist(), list(probs))
