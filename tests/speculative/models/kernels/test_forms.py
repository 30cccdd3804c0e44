"""Every form of an operation computes the same."""

import pytest
import torch

from speculative.models.kernels.norm import NORMS
from speculative.models.kernels.plan import SAFE_PLAN, KernelPlan
from speculative.models.kernels.refined_linear import RefinedLinear
from speculative.models.kernels.rotation import ROTATIONS
from speculative.models.loading import load_model
from speculative.models.settings import ModelSettings
from speculative.protocols.token_batch import TokenBatch

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 0.04}


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(1, 24), (7, 24), (3, 5, 16)])
@pytest.mark.parametrize("name", NORMS)
def test_every_norm_divides_by_the_root_mean_square(name, dtype, shape):
    x, gain = random(*shape).to(dtype), random(shape[-1], seed=1).to(dtype)
    exact = x.double() / (x.double().square().mean(-1, keepdim=True) + 1e-3).sqrt()
    for g, expected in ((None, exact), (gain, exact * gain.double())):
        found = NORMS[name](x, g, 1e-3)
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), expected, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", ROTATIONS)
def test_every_rotation_turns_each_pair_by_its_angle(name, dtype):
    heads, angles = random(5, 3, 8).to(dtype), random(5, 4, seed=2)
    found = ROTATIONS[name](heads, torch.polar(torch.ones_like(angles), angles)[:, None])
    a, b = heads.double()[..., 0::2], heads.double()[..., 1::2]
    cosine, sine = angles.double().cos()[:, None], angles.double().sin()[:, None]
    expected = torch.stack([a * cosine - b * sine, a * sine + b * cosine], -1).flatten(-2)
    assert (found.dtype, found.shape) == (dtype, heads.shape)
    torch.testing.assert_close(found.double(), expected, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("n_rows", [1, 5, 40])
def test_the_largest_results_of_a_refined_product_are_float32s_in_value_and_order(n_rows):
    weight, x = random(500, 32).bfloat16(), random(n_rows, 32, seed=1).bfloat16()
    found, exact = RefinedLinear(weight)(x), x.float() @ weight.float().T
    assert found.dtype == torch.float32
    best = exact.topk(32)
    assert torch.equal(found.topk(32).indices, best.indices)
    torch.testing.assert_close(found.gather(1, best.indices), best.values, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(found, exact, atol=0.02, rtol=2**-8)


def test_a_small_vocabulary_is_refined_whole():
    weight, x = random(10, 16).bfloat16(), random(3, 16, seed=1).bfloat16()
    torch.testing.assert_close(RefinedLinear(weight)(x), x.float() @ weight.float().T, atol=1e-4, rtol=1e-5)


def test_every_plan_gives_the_same_logits(tiny):
    model = tiny("llama")
    plans = [SAFE_PLAN, KernelPlan("plain", 4, 5, "stepwise", "real"), KernelPlan("packed_16", 2, None)]
    outputs = []
    for plan in plans:
        decoder = load_model(model.folder, ModelSettings(kernels=plan))
        outputs.append(decoder.forward(TokenBatch(torch.arange(9), [9]), decoder.new_cache(1)).logits)
    for output in outputs[1:]:
        torch.testing.assert_close(output, outputs[0], atol=1e-4, rtol=1e-4)
