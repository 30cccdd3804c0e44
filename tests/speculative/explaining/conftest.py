import pytest

from speculative.pools.pool import Pool
from speculative.sampling.sampling_params import SamplingParams
from tests.support.tiny_pool import queries, save_pool


@pytest.fixture(scope="session")
def pool(tmp_path_factory):
    return Pool.load(save_pool(tmp_path_factory.mktemp("explaining")))


@pytest.fixture(scope="session")
def answer(pool):
    """An answer of 20 tokens, made anew with any arm and sampling."""

    def make(arm="prompt_lookup_7", sampling=None, number=0):
        sampling = sampling or SamplingParams(rounds=True)
        return pool.generate(queries(4)[number], policy=arm, sampling=sampling)

    return make
