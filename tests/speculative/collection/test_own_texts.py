"""What drafts write alone: a step of its own, timed and resumable, stored beside the traces."""

import shutil

import pytest

from arms import Query
from bandits import FullInformationData
from bandits.data import part_indices
from rewards import CommonPrefix, Gleu, TimeSaved
from speculative.collection.collect import PART_SIZE, collect
from speculative.collection.label_cost import label_seconds
from speculative.collection.own_texts import OWN_TEXTS, with_own_texts, write_part
from speculative.collection.recost import recost
from speculative.collection.settings import CollectSettings
from speculative.collection.trace_store import TRACES, read_trace_parts
from speculative.pools.pool import Pool
from tests.support.equal_data import assert_equal_data
from tests.support.tiny_pool import plain_costs, queries, save_pool

COSTS = plain_costs("prompt_lookup", "draft_small")
OWN = CollectSettings(own_texts=True)
N = PART_SIZE + 3


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return Pool.load(save_pool(tmp_path_factory.mktemp("pool")))


@pytest.fixture(scope="module")
def whole(pool, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, collect(queries(N), pool, folder, COSTS, settings=OWN)


def test_a_draft_writes_greedily_alone_to_its_own_end_or_the_querys_limit(pool):
    draft, target = pool.arms["draft_small_2"].draft, pool.target
    asked = [*queries(2), Query(id="short", prompt="abc", max_new_tokens=3)]
    for query, texts in zip(asked, write_part(pool, asked, truncate=False), strict=True):
        request, own = target.request(query), texts["draft_small"]
        free = draft.write(request.token_ids, request.max_new_tokens)
        assert len(free) == request.max_new_tokens
        assert own.token_ids == tuple(free)  # none of these ends a text
        assert own.seconds > 0.0
        assert set(texts) == {"draft_small"}  # look-ups write nothing of their own
        ended = draft.write(request.token_ids, request.max_new_tokens, [free[1]])
        assert ended == free[: free.index(free[1]) + 1]


def test_own_texts_are_added_to_a_finished_collection_and_kept(whole, pool, tmp_path):
    collect(queries(N), pool, tmp_path, COSTS)
    traces = {path: path.stat().st_mtime_ns for path in (tmp_path / TRACES).iterdir()}
    added = collect(queries(N), pool, tmp_path, COSTS, settings=OWN)
    assert_equal_data(added, whole[1])
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / TRACES).iterdir()} == traces
    assert_equal_data(collect(queries(N), pool, tmp_path, COSTS), whole[1])
    dear = plain_costs("prompt_lookup", "draft_small", token_s=0.2)
    own = [[o.own_text for o in row] for row in recost(tmp_path, dear).observations]
    assert own == [[o.own_text for o in row] for row in added.observations]


def test_a_run_that_was_stopped_while_drafts_wrote_goes_on_there(whole, pool, tmp_path):
    told = []

    def stop(n):
        told.append(n)
        if len(told) == 3:  # two parts traced, one written alone
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(queries(N), pool, tmp_path, COSTS, settings=OWN, on_progress=stop)
    assert part_indices(tmp_path / OWN_TEXTS) == [0]
    first = (tmp_path / OWN_TEXTS / "part-00000.parquet").stat().st_mtime_ns
    plain = collect(queries(N), pool, tmp_path, COSTS)  # what is half done does not count
    assert plain.observations[0][3].own_text is None
    assert_equal_data(collect(queries(N), pool, tmp_path, COSTS, settings=OWN), whole[1])
    assert (tmp_path / OWN_TEXTS / "part-00000.parquet").stat().st_mtime_ns == first


def test_rewards_of_texts_need_no_model_and_say_what_is_missing(whole):
    data = whole[1]
    for reward in (Gleu(missing=0.0), CommonPrefix(missing=0.0)):
        values = data.with_reward(reward).rewards
        assert (values[:, 0] == 1).all()  # no draft: the target's own text
        assert (values[:, 1] == 0).all()
    with pytest.raises(ValueError, match=r"Gleu cannot value the observation of arm 'prompt_lookup_3' .* own_text"):
        data.with_reward(Gleu())
    assert (data.rewards == data.with_reward(TimeSaved()).rewards).all()


def test_a_damaged_or_foreign_part_is_refused_by_name(whole, pool, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(whole[0], folder)
    part = folder / OWN_TEXTS / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"part-00001\.parquet is unreadable or half-written .* delete it"):
        collect(queries(N), pool, folder, COSTS, settings=OWN)
    part.unlink()
    assert_equal_data(collect(queries(N), pool, folder, COSTS, settings=OWN), FullInformationData.load(folder))
    others = tmp_path / "others"
    collect(queries(N, first=1), pool, others, COSTS, settings=OWN)
    with pytest.raises(ValueError, match="own texts of other queries than the traces beside it"):
        list(with_own_texts(read_trace_parts(folder / TRACES), others / OWN_TEXTS))


def test_seconds_of_both_kinds_of_labels_are_told_side_by_side(whole, pool, tmp_path):
    found = label_seconds(whole[0])
    assert set(found) == {"prompt_lookup", "draft_small"}
    assert found["prompt_lookup"].own is found["prompt_lookup"].ratio is None
    draft = found["draft_small"]
    assert draft.ratio == draft.own / draft.traced > 0
    collect(queries(2), pool, tmp_path, COSTS)
    assert label_seconds(tmp_path)["draft_small"].own is None
