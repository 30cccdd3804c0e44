"""The probe tells a knob that acts from one that an engine takes and ignores."""

import asyncio

import pytest
from serving_bench.scripted_upstream import Script, ScriptedUpstream

from speculative.serving.startup_probe import check_probed, probe
from speculative.serving.upstream import Upstream
from tests.support.front_door import upstream_spec


def counts(n_draft, n_accepted):
    return {"timings": {"predicted_n": 4, "draft_n": n_draft, "draft_n_accepted": n_accepted}}


def probed(script, *bodies):
    async def run(url):
        arms = [Upstream(upstream_spec(f"arm{i}", url, body=body), {}) for i, body in enumerate(bodies)]
        found = await probe(arms)
        for arm in arms:
            await arm.close()
        return found

    with ScriptedUpstream(script) as server:
        return asyncio.run(run(server.url))


OFF, FULL = {"speculative.n_max": 0}, {"n_max": 16}


def test_a_knob_that_changes_the_counts_acts():
    script = Script(facts=counts(27, 9), knobs={"speculative.n_max": counts(0, 0)})
    [found] = probed(script, OFF)
    assert found.knob == "acts"
    assert "its body fields act" in str(found)


def test_a_knob_that_says_what_the_engine_does_anyway_acts_if_its_neighbour_does():
    script = Script(facts=counts(27, 9), knobs={"speculative.n_max": counts(0, 0)})
    assert [one.knob for one in probed(script, OFF, FULL)] == ["acts", "acts"]


def test_a_knob_that_an_engine_ignores_is_found_out_and_refused():
    found = probed(Script(facts=counts(27, 9)), OFF, {})
    assert [one.knob for one in found] == ["ignored", "none"]
    assert "IGNORED" in str(found[0])
    with pytest.raises(ValueError, match="the engine ignores the body fields of arm0"):
        check_probed(found, allow_unproven=False)
    check_probed(found, allow_unproven=True)


def test_without_counts_nothing_is_proven():
    found = probed(Script(), OFF)
    assert [one.knob for one in found] == ["unproven"]
    check_probed(found, allow_unproven=False)


def test_an_engine_that_refuses_metadata_is_asked_without_and_so_are_its_requests():
    script = Script(refuses=("metadata",), facts=counts(27, 9))
    found = probed(script, {})
    assert str(found[0]).endswith("it refuses metadata, which are left out of its requests")
    assert ["metadata" in body for body, _ in script.asked] == [True, False]
    assert [one.takes_metadata for one in probed(Script(), {})] == [True]


def test_arms_that_do_not_answer_are_told_and_a_pool_of_them_is_refused():
    found = probed(Script(fault="refuse"), {}, OFF)
    assert str(found[0]) == "arm arm0: no answer (status 400: as scripted)"
    assert found[1].knob == "unproven"
    with pytest.raises(ValueError, match="no upstream answers"):
        check_probed(found, allow_unproven=True)
