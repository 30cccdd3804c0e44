"""Controls as tensor programs are the reference's, bit by bit."""

import pytest
import torch

from speculative.sampling.controlled_sampler import ControlledSampler
from speculative.sampling.controls import control_logits
from speculative.sampling.controls_on_device import DeviceControlledSampler, DeviceControls
from speculative.sampling.sampling_params import SamplingParams
from speculative.sampling.token_sampler import GREEDY

V, N_PROMPT, EOS = 7, 5, (2, 9)
TEXT = [3, 1, 8, 1, 6, 0, 1, 4]  # id 8 is beyond the vocabulary
DRAFTED = [1, 4, 4]
CASES = {
    "bias": SamplingParams(logit_bias={0: 1.5, 3: float("-inf")}),
    "repetition": SamplingParams(repetition_penalty=1.3),
    "counts": SamplingParams(frequency_penalty=0.3, presence_penalty=-0.7),
    "words": SamplingParams(
        bad_words=[(5,), (4, 4), (1, 4, 4), (0, 1, 4, 6), (6, 0, 2), (3, 1, 8, 1, 6, 0, 1, 4, 1, 0)]
    ),
    "length": SamplingParams(min_new_tokens=5),
    "all": SamplingParams(
        0.7,
        logit_bias={1: -0.5},
        repetition_penalty=0.8,
        frequency_penalty=0.2,
        presence_penalty=0.1,
        bad_words=[(4,), (4, 6)],
        min_new_tokens=4,
    ),
}


def rows(n, v=V):
    return torch.randn(n, v, generator=torch.Generator().manual_seed(n))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("n_drafted", [0, 1, 3])
def test_every_row_is_what_the_reference_gives(case, n_drafted):
    params, drafted, given = CASES[case], DRAFTED[:n_drafted], rows(n_drafted + 1)
    controls, before = DeviceControls(params, N_PROMPT, EOS, V, torch.device("cpu")), given.clone()
    for n in (N_PROMPT + 1, len(TEXT)):  # in two rounds
        controls.follow(TEXT[:n])
    found = controls.apply(given, torch.tensor(drafted, dtype=torch.int64))
    expected = [
        control_logits(row, params, [*TEXT, *drafted[:i]], N_PROMPT, EOS) for i, row in enumerate(given.unbind(0))
    ]
    assert torch.equal(found, torch.stack(expected))
    assert torch.equal(given, before)
    last = controls.apply(given[-1:], torch.tensor(drafted, dtype=torch.int64))
    assert torch.equal(last, found[-1:])


@pytest.mark.parametrize("target_ids", [None, [6, 1, 4, 0]])
def test_a_drafts_sampler_picks_what_the_one_on_the_host_picks(target_ids):
    ids, params = None if target_ids is None else torch.tensor(target_ids), CASES["all"]
    controls = DeviceControls(params, N_PROMPT, EOS, V, torch.device("cpu"))
    controls.follow(TEXT)
    there = DeviceControlledSampler(GREEDY, controls, len(TEXT), V)
    here = ControlledSampler(GREEDY, params, TEXT, N_PROMPT, EOS, V)
    for i, row in enumerate(rows(6, 5 if ids is None else len(ids)).unbind(0)):
        assert int(there.pick(row, len(TEXT) + i, ids)) == int(here.pick(row, len(TEXT) + i, ids))
    assert int(there.pick(row, 0, ids)) == int(row.argmax())  # the tokens before are not known
