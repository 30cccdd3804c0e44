"""The Triton kernel of draws under noise, run by Triton's interpreter: what it picks is what the reference picks."""

import json
import math
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from speculative.sampling.gumbel_noise import argmax_of_rows, argmax_with_noise, keys_of_rows

SEED, FIRST, N_ROWS, SIZES = 2**62 + 5, 4000, 8, (7, 1024, 2500)


def rows(v):
    """Random logits, and rows in which some, one or no token can be drawn, or all are alike."""
    logits = 3 * torch.randn(N_ROWS, v, generator=torch.Generator().manual_seed(v))
    logits[1, v // 2 :] = -math.inf
    logits[2, 1:] = -math.inf
    logits[3] = -math.inf
    logits[4] = 0.0
    return logits


def cases():
    """Sizes of vocabulary, the target's and another whose entries stand for tokens of the target."""
    return [(v, ids) for v in SIZES for ids in (None, 7 * torch.arange(v).flip(0))]


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
def test_the_kernel_picks_what_the_reference_picks():
    """In a process of its own: Triton asks whether it is to interpret when it is imported."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    for (v, ids), picked in zip(cases(), json.loads(done.stdout), strict=True):
        logits = rows(v)
        assert picked == argmax_of_rows(logits, torch.tensor(keys_of_rows(SEED, FIRST, N_ROWS)), ids).tolist()
        assert picked == [int(argmax_with_noise(row, SEED, FIRST + i, ids)) for i, row in enumerate(logits)]


if __name__ == "__main__":
    sys.path.remove(str(Path(__file__).parent))
    from speculative.sampling.triton_noise import best_of_rows

    keys = torch.tensor(keys_of_rows(SEED, FIRST, N_ROWS))
    print(json.dumps([best_of_rows(rows(v), keys, ids).tolist() for v, ids in cases()]))
