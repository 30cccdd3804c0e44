"""From logits to tokens: sampling parameters, processors, noise, samplers."""

from speculative.sampling.logits_processor import LogitsProcessor
from speculative.sampling.sampling_params import SamplingParams
from speculative.sampling.token_sampler import GREEDY, TokenSampler

__all__ = ["GREEDY", "LogitsProcessor", "SamplingParams", "TokenSampler"]
