"""Acceptance of a batch by a tensor program, and by a Triton kernel under Triton's interpreter, is the reference's."""

import json
import math
import os
import subprocess
import sys
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path

import pytest
import torch

from speculative.sampling.acceptance import NO_PICK, accepted_of_rectangle, accepted_of_rows

BATCHES = ([1], [1, 1, 1], [5], [3] * 40, [1, 4, 2, 5, 3] * 20)


def case(counts):
    """Picks over three tokens and drafts that often agree, and rows that allow no pick."""
    generator, n = torch.Generator().manual_seed(sum(counts)), sum(counts)
    picks = torch.randint(3, (n,), generator=generator)
    following = torch.where(
        torch.rand(n, generator=generator) < 0.7, picks, torch.randint(3, (n,), generator=generator)
    )
    largest = torch.randn(n, generator=generator)
    largest[::7], largest[3::11], largest[5::13] = math.nan, math.inf, -math.inf
    return picks, largest, following.roll(1), counts


def one_by_one(picks, largest, tokens, counts):
    found = []
    for first, n in zip(accumulate(counts, initial=0), counts, strict=False):
        own = [int(picks[first + i]) if math.isfinite(largest[first + i]) else NO_PICK for i in range(n)]
        drafted = tokens[first + 1 : first + n].tolist()
        n_accepted = next((i for i, token in enumerate(drafted) if own[i] != token), n - 1)
        found.append([n_accepted, own[n_accepted], *drafted])
    return found


def told(found, counts):
    return [row[: n + 1] for row, n in zip(found, counts, strict=True)]


@pytest.mark.parametrize("counts", BATCHES)
def test_each_request_is_given_what_it_is_given_alone(counts):
    expected = one_by_one(*case(counts))
    assert told(accepted_of_rows(*case(counts)).tolist(), counts) == expected
    if len(counts) > 3:
        assert {row[0] for row in expected} == set(range(max(counts)))
        assert NO_PICK in {row[1] for row in expected}


@pytest.mark.parametrize("counts", BATCHES)
def test_requests_that_are_filled_up_to_one_width_are_given_the_same(counts):
    picks, largest, tokens, _ = case(counts)
    firsts, width = accumulate(counts[:-1], initial=0), max(counts) + 2
    cells = torch.tensor([first + min(i, n - 1) for first, n in zip(firsts, counts, strict=True) for i in range(width)])
    found = accepted_of_rectangle(picks[cells], largest[cells], tokens[cells], torch.tensor(counts) - 1)
    assert found.shape == (len(counts), width + 1)
    assert told(found.tolist(), counts) == one_by_one(*case(counts))


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
def test_the_kernel_accepts_what_the_reference_accepts():
    """In a process of its own: Triton asks whether it is to interpret when it is imported."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    for counts, found in zip(BATCHES, json.loads(done.stdout), strict=True):
        assert told(found, counts) == one_by_one(*case(counts))


if __name__ == "__main__":
    sys.path.remove(str(Path(__file__).parent))
    from speculative.sampling.triton_acceptance import accepted_by_kernel

    print(json.dumps([accepted_by_kernel(*case(counts)).tolist() for counts in BATCHES]))
