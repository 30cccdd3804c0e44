"""Collecting: what is stored, how a stopped run goes on, and what is refused."""

import dataclasses
import json
import shutil
from contextlib import closing

import numpy as np
import pytest

from arms import Query
from arms.folder_lock import FolderInUseError, FolderLock
from bandits import FullInformationData, LinUCB
from bandits.data import part_indices
from rewards import AcceptanceLength, RougeL, TimeSaved
from speculative.collection.collect import PART_SIZE, CostsKeptWarning, collect, data_from_traces
from speculative.collection.priced_folder import stored_costs
from speculative.collection.recost import recost
from speculative.collection.settings import CollectSettings
from speculative.collection.trace_store import TRACES, close_traces, read_trace_parts, write_traces
from speculative.collection.tracing import trace_queries
from speculative.measuring.cost_profile import CostProfile, NoisyCostsWarning
from speculative.pools.pool import Pool
from tests.support.equal_data import assert_equal_data
from tests.support.tiny_pool import ARMS, MAX_POSITIONS, plain_costs, queries, save_pool

COSTS = plain_costs("prompt_lookup", "draft_small")
N = 2 * PART_SIZE + 3


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return Pool.load(save_pool(tmp_path_factory.mktemp("pool")))


@pytest.fixture(scope="module")
def whole(pool, tmp_path_factory):
    """A folder that an uninterrupted run wrote, and its data."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, collect(queries(N), pool, folder, COSTS, settings=CollectSettings(own_texts=True))


def test_one_row_a_query_with_every_arms_observation(whole, pool):
    folder, data = whole
    assert data.arm_names == ARMS
    assert data.query_ids == tuple(query.id for query in queries(N))
    assert data.domains == tuple(query.domain for query in queries(N))
    assert data.encoder == pool.encoder.name
    np.testing.assert_array_equal(data.contexts, pool.encoder.encode([query.text for query in queries(N)]))
    np.testing.assert_allclose(data.rewards[:, 0], 0.0, atol=1e-9)  # no draft saves nothing over itself
    np.testing.assert_allclose(data.rewards, data.costs[:, :1] - data.costs, atol=1e-9)
    assert (data.rewards == data.with_reward(TimeSaved()).rewards).all()
    assert_equal_data(data, FullInformationData.load(folder))


def test_observations_are_those_of_real_pulls(whole, pool):
    _, data = whole
    for row, query in enumerate(queries(8)):
        for column, arm in enumerate(pool.arms):
            stored, real = data.observations[row][column], arm.pull(query, 0)
            assert stored.text == real.text == stored.reference.text
            assert (stored.proposed, stored.accepted, stored.n_tokens) == (
                real.proposed,
                real.accepted,
                real.n_tokens,
            )
    accepted = [sum(o.n_accepted for o in column) for column in zip(*data.observations, strict=True)]
    assert accepted[0] == 0 < min(accepted[1:])


def test_another_reward_needs_no_model(whole):
    _, data = whole
    assert (data.with_reward(AcceptanceLength()).rewards >= 1).all()
    alignment = data.with_reward(RougeL(missing=0.25)).rewards
    assert (alignment[:, 0] == 1).all()
    assert (alignment[:, 1] == 0.25).all()  # a look-up writes nothing of its own


def test_the_seconds_without_a_draft_are_found_once_a_text(pool, monkeypatch):
    traces, found = trace_queries(queries(2), pool.arms, pool.encoder), []
    plain_s = CostProfile.plain_s

    def counted(costs, n_prompt, n_new):
        found.append(plain_s(costs, n_prompt, n_new))
        return found[-1]

    monkeypatch.setattr(CostProfile, "plain_s", counted)
    data = data_from_traces(queries(2), traces, pool.arms, pool.encoder, COSTS)
    assert [row[0].reference.seconds for row in data.observations] == found


@pytest.mark.parametrize("n_done", [1, 2])
def test_a_stopped_run_goes_on_and_gives_the_same_data(whole, pool, tmp_path, n_done):
    told = []

    def stop(n):
        told.append(n)
        if len(told) == n_done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(queries(N), pool, tmp_path, COSTS, settings=CollectSettings(own_texts=True), on_progress=stop)
    assert len(part_indices(tmp_path / TRACES)) == n_done
    times = [path.stat().st_mtime_ns for path in sorted((tmp_path / TRACES).glob("part-*"))]
    assert_equal_data(collect(queries(N), pool, tmp_path, COSTS, settings=CollectSettings(own_texts=True)), whole[1])
    kept = sorted((tmp_path / TRACES).glob("part-*"))[:n_done]
    assert [path.stat().st_mtime_ns for path in kept] == times


def test_progress_adds_up_to_all_queries(pool, tmp_path):
    told = []
    collect(queries(PART_SIZE + 1), pool, tmp_path, COSTS, on_progress=told.append)
    assert sum(told) == PART_SIZE + 1


def test_a_half_written_part_is_refused_and_nothing_is_lost(whole, pool, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(whole[0], folder)
    part = folder / TRACES / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"part-00001\.parquet is unreadable or half-written .* delete it"):
        collect(queries(N), pool, folder, COSTS, settings=CollectSettings(own_texts=True))
    part.unlink()
    assert_equal_data(collect(queries(N), pool, folder, COSTS, settings=CollectSettings(own_texts=True)), whole[1])


def test_another_folders_work_is_not_mixed_in(whole, pool, tmp_path):
    folder = whole[0]
    with pytest.raises(ValueError, match="was begun with other queries; name another folder"):
        collect(queries(N - 1), pool, folder, COSTS, settings=CollectSettings(own_texts=True))
    fewer = Pool(pool.target, list(pool.arms)[:2], encoder=pool.encoder)
    with pytest.raises(ValueError, match="was begun with other arms; "):
        collect(queries(N), fewer, folder, COSTS, settings=CollectSettings(own_texts=True))


def test_a_damaged_manifest_and_foreign_data_are_refused(whole, pool, tmp_path):
    (tmp_path / "collect.json").write_text('{"queries": ')
    with pytest.raises(ValueError, match=r"collect.json is damaged"):
        collect(queries(2), pool, tmp_path, COSTS)
    whole[1].save(tmp_path / "foreign")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "costs.json").write_text("mine")
    with pytest.raises(ValueError, match="holds data that collect did not write"):
        collect(queries(2), pool, tmp_path / "mine", COSTS)
    assert (tmp_path / "mine" / "costs.json").read_text() == "mine"
    with pytest.raises(ValueError, match="holds data that collect did not write"):
        collect(queries(2), pool, tmp_path / "foreign", COSTS)


def test_queries_are_checked_before_any_work(pool, tmp_path):
    folder = tmp_path / "data"
    too_long = Query(id="long", prompt="x" * MAX_POSITIONS)
    with pytest.raises(ValueError, match=r"'long': .* exceed the target's context of 160 tokens"):
        collect([*queries(3), too_long], pool, folder, COSTS)
    with pytest.raises(ValueError, match=r"query ids must be unique, got 'q0' 2 times"):
        collect([*queries(2), *queries(1)], pool, folder, COSTS)
    with pytest.raises(ValueError, match="at least one query"):
        collect([], pool, folder, COSTS)
    assert not folder.exists()


def test_a_querys_own_limit_holds(pool):
    trace = trace_queries([Query(id="q", prompt="abc", max_new_tokens=3)], pool.arms, pool.encoder)[0]
    assert (len(trace.new_ids), trace.max_new_tokens) == (3, 3)


def test_traces_survive_the_disk(pool, tmp_path):
    asked = queries(5)
    traces = trace_queries(asked, pool.arms, pool.encoder)
    write_traces(tmp_path, 0, traces[:3])
    write_traces(tmp_path, 1, traces[3:])
    close_traces(tmp_path)
    first, second = read_trace_parts(tmp_path)
    for before, after in zip(traces, [*first, *second], strict=True):
        seconds = [draft.seconds for draft in before.drafts.values()]
        assert seconds == [draft.seconds for draft in after.drafts.values()]
        assert min(seconds) > 0.0
        np.testing.assert_array_equal(before.context, after.context)
    assert_equal_data(
        data_from_traces(asked, traces, pool.arms, pool.encoder, COSTS),
        data_from_traces(asked, [*first, *second], pool.arms, pool.encoder, COSTS),
    )


def test_a_part_of_something_else_is_refused(whole, tmp_path):
    whole[1].save(tmp_path)
    with pytest.raises(ValueError, match="holds FullInformationData, expected Trace"):
        list(read_trace_parts(tmp_path))
    with pytest.raises(FileNotFoundError, match="holds no part files"):
        list(read_trace_parts(tmp_path / "nothing"))


def test_a_policy_learns_from_what_was_collected(whole):
    _, data = whole
    assert data.value(LinUCB(ucb_width=0.0).fit(data)) >= data.rewards.mean()


def test_hidden_states_as_contexts_are_the_prefills_and_the_encoders(tmp_path):
    file = save_pool(tmp_path)
    file.write_text(file.read_text().replace('kind = "hashing"\nn_features = 8', 'kind = "hidden_state"'))
    pool = Pool.load(file)
    traces = trace_queries(queries(3), pool.arms, pool.encoder)
    contexts = np.stack([trace.context for trace in traces])
    np.testing.assert_allclose(contexts, pool.encoder.encode([q.text for q in queries(3)]), atol=1e-5)
    for part in ("hidden mean", "last hidden state"):
        np.testing.assert_allclose(np.linalg.norm(contexts[:, pool.encoder.groups[part]], axis=1), 1.0, atol=1e-5)
    assert pool.encoder.encode([]).shape == (0, pool.encoder.n_features)


def test_a_finished_collection_keeps_the_costs_that_priced_it(pool, tmp_path):
    first = collect(queries(3), pool, tmp_path, COSTS)
    before = {path: path.read_bytes() for path in tmp_path.glob("*.*")}
    dear = dataclasses.replace(COSTS, prefill_grid=tuple(2 * s for s in COSTS.prefill_grid))
    with pytest.warns(CostsKeptWarning, match="keeps the cost profile that it was begun with"):
        again = collect(queries(3), pool, tmp_path, dear)
    assert_equal_data(again, first)
    assert {path: path.read_bytes() for path in tmp_path.glob("*.*")} == before
    assert stored_costs(tmp_path) == COSTS
    assert first.cost_profiles == (COSTS.digest,)


def test_a_profile_that_an_earlier_version_stored_is_still_the_one_that_priced_the_data(pool, tmp_path, monkeypatch):
    def earlier(costs):
        return json.dumps({name: value for name, value in dataclasses.asdict(costs).items() if name != "noise_grid"})

    with monkeypatch.context() as patch:
        patch.setattr(CostProfile, "to_json", earlier)
        collect(queries(3), pool, tmp_path, COSTS)
    assert stored_costs(tmp_path) == COSTS
    file = tmp_path / "costs.json"
    file.write_text(file.read_text().replace('"spread": 0.0', '"spread": 0.2'))
    with pytest.raises(ValueError, match=r"costs.json is not the cost profile that priced the data"):
        stored_costs(tmp_path)


def test_recost_prices_as_collecting_with_that_profile_does(pool, tmp_path):
    dear = dataclasses.replace(COSTS, prefill_grid=tuple(2 * s for s in COSTS.prefill_grid))
    collect(queries(N), pool, tmp_path / "data", COSTS, settings=CollectSettings(own_texts=True))
    expected = collect(queries(N), pool, tmp_path / "other", dear, settings=CollectSettings(own_texts=True))
    for _ in range(2):
        assert_equal_data(recost(tmp_path / "data", dear), expected)
    assert_equal_data(FullInformationData.load(tmp_path / "data"), expected)
    assert stored_costs(tmp_path / "data") == dear
    assert sorted(path.name for path in (tmp_path / "data").glob("*.*")) == [
        "collect.json",
        "costs.2.json",
        "manifest.json",
        *(f"part-{i:05d}.2.parquet" for i in range(3)),
    ]
    with pytest.warns(CostsKeptWarning):
        assert_equal_data(
            collect(queries(N), pool, tmp_path / "data", COSTS, settings=CollectSettings(own_texts=True)), expected
        )


def test_recost_that_fails_changes_nothing(pool, whole, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(whole[0], folder)
    with pytest.raises(ValueError, match="'draft_small' is not in the cost profile"):
        recost(folder, plain_costs("prompt_lookup"))
    assert_equal_data(FullInformationData.load(folder), whole[1])
    with pytest.raises(ValueError, match="holds no finished collection"):
        recost(tmp_path, COSTS)
    whole[1].save(tmp_path / "saved")
    with pytest.raises(ValueError, match="was not written by collect"):
        recost(tmp_path / "saved", COSTS)


@pytest.mark.parametrize("name", ["part-00001.parquet", "manifest.json"])
def test_data_that_were_lost_are_made_again_from_the_traces(pool, whole, tmp_path, name):
    folder = tmp_path / "data"
    shutil.copytree(whole[0], folder)
    (folder / name).unlink()
    with pytest.raises(ValueError, match=rf"{name}|is not closed"):
        FullInformationData.load(folder)
    assert_equal_data(collect(queries(N), pool, folder, COSTS, settings=CollectSettings(own_texts=True)), whole[1])


@pytest.mark.usefixtures("noise_matters")
def test_costs_too_noisy_to_price_with_are_refused_unless_allowed(pool, tmp_path):
    noisy = dataclasses.replace(COSTS, spread=1.18)
    with pytest.raises(ValueError, match=r"noise is 118% .* --allow-noisy-costs \(allow_noisy_costs=True\)"):
        collect(queries(2), pool, tmp_path, noisy)
    with pytest.warns(NoisyCostsWarning, match="118%"):
        collect(queries(2), pool, tmp_path, noisy, settings=CollectSettings(allow_noisy_costs=True))
    with pytest.raises(ValueError, match="noise is 118%"):
        recost(tmp_path, noisy)


def test_a_folder_in_use_is_refused(pool, tmp_path):
    with (
        closing(FolderLock(tmp_path, "collection")),
        pytest.raises(FolderInUseError, match="is in use by this process"),
    ):
        collect(queries(2), pool, tmp_path, COSTS)


def test_a_prompt_that_is_too_long_is_cut_or_left_out_where_asked(pool, tmp_path):
    asked = queries(PART_SIZE + 1)
    asked[1] = Query(id="long", prompt="ab" * MAX_POSITIONS)
    with pytest.raises(ValueError, match="request 'long': 320 prompt tokens"):
        collect(asked, pool, tmp_path / "refused", COSTS)
    assert not (tmp_path / "refused" / "collect.json").exists()

    skipped = collect(asked, pool, tmp_path / "skip", COSTS, settings=CollectSettings(too_long="skip"))
    rest = [query for query in asked if query.id != "long"]
    plain = collect(rest, pool, tmp_path / "rest", COSTS)
    assert_equal_data(skipped, plain)

    cut = collect(asked, pool, tmp_path / "truncate", COSTS, settings=CollectSettings(too_long="truncate"))
    assert cut.query_ids == tuple(query.id for query in asked)
    [traces, _] = read_trace_parts(tmp_path / "truncate" / TRACES)
    request = pool.target.request(asked[1])
    assert traces[1].prompt_ids == request.token_ids[-(MAX_POSITIONS - request.max_new_tokens) :]
    for way in ("skip", "truncate"):
        assert json.loads((tmp_path / way / "collect.json").read_text())["too_long"] == {way: ["long"]}
    with pytest.raises(ValueError, match="too_long"):
        collect(asked, pool, tmp_path / "skip", COSTS, settings=CollectSettings(too_long="truncate"))


@pytest.mark.parametrize(("way", "message"), [("skip", "no prompt of 1 fits"), ("cut", "too_long must be one of")])
def test_nothing_left_to_collect_is_an_error(pool, tmp_path, way, message):
    long = [Query(id="long", prompt="ab" * MAX_POSITIONS)]
    with pytest.raises(ValueError, match=message):
        collect(long, pool, tmp_path, COSTS, settings=CollectSettings(too_long=way))
