"""A text that ends on an accepted draft token: the command line, the arm and the reward agree on its rounds."""

import json

import pytest

from arms import Query
from rewards import AcceptanceLength
from speculative.pools.pool import Pool
from tests.support.command_runner import pool_of, run_cli
from tests.support.tiny_pool import POOL, save_pool

QUERY = Query(id="q", prompt="the cat sat, the cat sat, the")
DRAFT_LENGTH = 2  # the draft is the target itself: rounds are the tokens 1 to 3, 4 to 6, ...; token 0 is the prefill's


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A pool whose greedy text ends on a token that the draft proposed, and the index of that token."""
    folder = tmp_path_factory.mktemp("pool")
    file = save_pool(folder, pool=POOL.replace('model = "small"', 'model = "target"\nname = "itself"'))
    target = Pool.load(file).target
    engine = target.engine([Pool.load(file).arms["itself"]])
    request = target.request(QUERY)
    engine.submit(request)
    while engine.step():
        pass
    new_ids = engine.take(request.id).token_ids
    last = next(i for i, token in enumerate(new_ids) if i > 3 and i % 3 == DRAFT_LENGTH and token not in new_ids[:i])
    settings = folder / "target" / "generation_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"eos_token_id": [new_ids[last]]}))
    return folder, last


def test_the_last_round_counts_in_full_whoever_reports_it(place):
    folder, last = place
    n_rounds = (last + 1) // 3
    result = json.loads(run_cli("generate", QUERY.prompt, *pool_of(folder), "--arm", "itself", "--json").stdout)
    assert (result["finished"], result["n_tokens"], result["n_rounds"]) == ("eos", last + 1, n_rounds)
    assert result["acceptance_length"] == 1 + DRAFT_LENGTH  # counted in tokens of the text, it would be less
    assert (result["n_tokens"] - 1) / n_rounds < 1 + DRAFT_LENGTH
    assert result["acceptance_rate"] == 1.0
    observation = Pool.load(folder / "pool.toml").arms["itself"].pull(QUERY, 0)
    assert observation.acceptance_length == AcceptanceLength()(observation) == result["acceptance_length"]
    assert observation.acceptance_rate == result["acceptance_rate"]


def test_rates_of_a_text_without_drafts_are_none(place):
    folder, _ = place
    result = json.loads(run_cli("generate", QUERY.prompt, *pool_of(folder), "--arm", "no_draft", "--json").stdout)
    assert (result["acceptance_rate"], result["acceptance_length"]) == (None, 1.0)
