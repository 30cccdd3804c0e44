"""From the target's raw logits to the distribution that a token is drawn from, as a function of logits and prefix.

Source: the rules and their order are those of transformers' `generate`: the controls (`speculative.sampling.controls`),
TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper (Holtzman et al. 2020, section 3.1, arXiv:1904.09751),
MinPLogitsWarper (Nguyen et al. 2024, section 3, arXiv:2407.01082).
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from speculative.sampling.controls import control_logits
from speculative.sampling.sampling_params import SamplingParams

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

_N_BINS = 1024  # of scores, to find where a nucleus ends: a few dozen tokens each, little to sort


def process_logits(
    logits: Tensor, params: SamplingParams, prefix: Sequence[int], n_prompt: int = 0, eos_ids: Sequence[int] = ()
) -> Tensor:
    """Apply the controls, then temperature, top-k, top-p and min-p, in this order; greedy rows get the controls only.

    Where dividing by the temperature would overflow, the best logit is taken off first, which leaves the distribution
    as it is; logits of +inf then share all of the mass equally.

    Args:
        logits: (v,) of any float dtype, no NaN (columns beyond the vocabulary already cut away); never changed.
        params: the request's.
        prefix: the tokens before this one, prompt and draft tokens included; ids outside [0, v) say nothing.
        n_prompt: how many of them are the prompt's.
        eos_ids: tokens that end the text, for a least length.

    Returns:
        (v,) float32, -inf where a token is excluded; the input itself where nothing is to do.
    """
    scores = logits.float()
    if params.controlled:
        scores = control_logits(scores, params, prefix, n_prompt, eos_ids)
    if params.greedy:
        return scores
    if scores.device.type != "cpu":
        return warp_rows(scores, params)
    scores, top = _divide(scores, params.temperature)
    if top == -math.inf or not (0 < params.top_k < scores.numel() or params.top_p < 1 or params.min_p > 0):
        return scores
    return _exclude_cpu(scores, float(top), params)


def warp_rows(scores: Tensor, params: SamplingParams) -> Tensor:
    """Apply temperature, top-k, top-p and min-p to (..., v) float32 rows, without waiting for a device."""
    divided, best = scores / params.temperature, scores.amax(-1, keepdim=True)
    apart = ((scores.double() - best) / params.temperature).float().masked_fill(scores == best, 0.0)  # see `_divide`
    apart = torch.where(best == -math.inf, scores, apart)
    return exclude(torch.where(divided.amax(-1, keepdim=True).isfinite(), divided, apart), params)


def probabilities(processed: Tensor) -> Tensor:
    """Softmax of (..., v) processed logits in float64; rows sum to 1 (NaN in a row without a finite logit)."""
    return torch.softmax(processed, dim=-1, dtype=torch.float64)


def _divide(scores: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Divide by the temperature; also return the best value, which is finite unless all logits are -inf."""
    divided = scores if temperature == 1 else scores / temperature
    top = largest(divided)
    if torch.isfinite(top):
        return divided, top
    best = largest(scores)
    if best == -math.inf:
        return scores, best
    # inf - inf is NaN; a gap of 0 divided by a temperature that float32 rounds to 0 as well
    divided = ((scores.double() - best) / temperature).float().masked_fill(scores == best, 0.0)
    return divided, divided.max()


def largest(scores: Tensor) -> Tensor:
    """Return the largest score of any shape as (), NaN where there is one.

    NumPy's reduction takes a tenth of torch's time on a row in the CPU's memory; it knows no bfloat16.
    """
    if scores.device.type == "cpu" and scores.dtype == torch.float32:
        return torch.tensor(scores.detach().numpy().max())
    return scores.max()


def largest_of_rows(logits: Tensor) -> Tensor:
    """Return the largest of each row of (n, v), NaN where there is one: (n,)."""
    if logits.device.type == "cpu" and logits.dtype == torch.float32:
        return torch.from_numpy(logits.numpy().max(1))
    return logits.amax(1)


def best_of_rows(logits: Tensor) -> Tensor:
    """Return where the first of the largest entries of each row of (n, v) stands: (n,)."""
    if logits.device.type == "cpu" and logits.dtype == torch.float32:
        return torch.from_numpy(logits.numpy().argmax(1))
    return logits.argmax(1)


def exclude(scores: Tensor, params: SamplingParams) -> Tensor:
    """Apply top-k, top-p and min-p to (..., v) by masks over whole rows, without waiting for the device."""
    top = scores.amax(-1, keepdim=True)
    if 0 < params.top_k < scores.shape[-1]:
        weakest = torch.topk(scores, params.top_k, sorted=False).values.amin(-1, keepdim=True)
        scores = scores.masked_fill(scores < weakest, -math.inf)
    if params.top_p < 1:
        ordered, order = scores.sort(dim=-1, stable=True)
        masses = torch.softmax(ordered, dim=-1, dtype=torch.float64).cumsum(-1)
        excluded = masses <= 1 - params.top_p
        excluded[..., -1] = False
        scores = scores.masked_fill(torch.empty_like(excluded).scatter_(-1, order, excluded), -math.inf)
    if params.min_p > 0:
        scores = scores.masked_fill(scores < top + math.log(params.min_p), -math.inf)
    return scores


def _exclude_cpu(scores: Tensor, top: float, params: SamplingParams) -> Tensor:
    """Do the same with the list of rows that stay, which shrinks at once, and without sorting a vocabulary."""
    values: Floats = scores.detach().numpy()
    rows: Rows | None = None
    if 0 < params.top_k < values.size:
        weakest = torch.topk(scores, params.top_k, sorted=False).values.min().item()
        rows = np.flatnonzero(values >= np.float32(weakest))
        values = values[rows]
    if params.top_p < 1:
        kept = _nucleus(values - np.float32(top), params.top_p)
        rows, values = kept if rows is None else rows[kept], values[kept]
    if params.min_p > 0:
        kept = np.flatnonzero(values >= np.float32(top) + np.float32(math.log(params.min_p)))
        rows, values = kept if rows is None else rows[kept], values[kept]
    excluded = torch.full_like(scores, -math.inf)
    excluded.numpy()[rows] = values
    return excluded


def _nucleus(gaps: Floats, top_p: float) -> Rows:
    """Find the tokens left when the least likely go, as long as their total mass stays at most 1 - top_p.

    The best token stays. Of tokens tied at the edge the last ones stay, as a stable ascending sort has it. Only the bin
    of scores in which the edge lies is sorted. All tokens of gap < log((1 - top_p) / n) go: n of them weigh less than
    1 - top_p times the best one.

    Args:
        gaps: (n,) float32, logit - best logit.
        top_p: in (0, 1).

    Returns:
        (m,) int64, m >= 1, indices in no particular order.
    """
    weights = np.exp(gaps)
    total = weights.sum(dtype=np.float64)
    spare = (1 - top_p) * total
    lowest = math.log((1 - top_p) / gaps.size) - 1e-3  # lower by more than float32 rounds
    rows = np.flatnonzero(gaps >= np.float32(lowest))
    gaps, heavy = gaps[rows], weights[rows].astype(np.float64)
    bins = np.clip((gaps - np.float32(lowest)) * np.float32(_N_BINS / -lowest), 0, _N_BINS - 1).astype(np.int64)
    masses = np.bincount(bins, heavy, minlength=_N_BINS)
    below = (total - heavy.sum()) + masses.cumsum() - masses  # mass of all bins before each
    edge = int(np.count_nonzero(below[1:] <= spare))
    at_edge = np.flatnonzero(bins == edge)
    at_edge = at_edge[gaps[at_edge].argsort(kind="stable")]
    n_excluded = int(np.count_nonzero(below[edge] + heavy[at_edge[:-1]].cumsum() <= spare))
    kept: Rows = rows[np.concatenate([np.flatnonzero(bins > edge), at_edge[n_excluded:]])]
    return kept
