"""Drafts of one's own engine join beside the requests that run, or are refused with the reason."""

import asyncio
import json
from contextlib import contextmanager

import pytest

from speculative import Pool
from speculative.selectors import FixedSelector
from speculative.serving.completion_request import read_request
from speculative.serving.engine_arm import EngineArm
from speculative.serving.engine_source import EngineSource
from speculative.serving.engine_worker import EngineWorker
from tests.support.tiny_pool import POOL, TEMPLATE, save_pool

BODY = {"messages": [{"role": "user", "content": "count: one two one"}], "temperature": 0, "max_tokens": 24}
ARMS = POOL.split("[[arms]]\n")
HEAD, PLAIN, SHORT, LONG, MODEL = ARMS[0], *(f"[[arms]]\n{one}" for one in ARMS[1:])
SMALLER = 'kind = "rule"\nname = "first_look_up"\nfallback = "no_draft"\n[[arms.clauses]]\narm = "prompt_lookup_3"\n'
RULE = f"[[arms]]\n{SMALLER}min_match_length = 2\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("pool")
    save_pool(place, TEMPLATE, HEAD + PLAIN + SHORT)
    return place


@contextmanager
def serving(folder, **settings):
    (folder / "pool.toml").write_text(HEAD + PLAIN + SHORT)
    pool = Pool.load(folder / "pool.toml", folder / "cache")
    worker = EngineWorker(pool)
    new_arm = lambda name: EngineArm(name, worker, "draftpick")  # noqa: E731
    try:
        yield EngineSource(pool, worker, new_arm, **settings), {name: new_arm(name) for name in pool.arms.names}, worker
    finally:
        worker.stop()


def read(source, folder, serving, *arms, head=HEAD):
    (folder / "pool.toml").write_text(head + "".join(arms))
    return source.read(folder / "pool.toml", serving)


async def text_of(arm, **fields):
    request = read_request("chat/completions", json.dumps({**BODY, **fields}).encode(), "draftpick")
    payloads = [json.loads(payload) async for payload in arm.answer(request)]
    if not request.stream:
        return payloads[0]["choices"][0]["message"]["content"]
    return "".join(one["delta"].get("content", "") for chunk in payloads for one in chunk["choices"])


def test_drafts_join_while_a_request_runs_and_every_arm_writes_the_targets_text(folder):
    async def join(source, arms):
        running = [asyncio.create_task(text_of(arm, stream=True, max_tokens=100)) for arm in arms.values()]
        await asyncio.sleep(0)
        joined = await read(source, folder, arms, PLAIN, SHORT, LONG, MODEL, RULE)
        whole = {await task for task in running}
        return whole, joined, [await text_of(arm, max_tokens=100) for arm in joined]

    with serving(folder) as (source, arms, worker):
        whole, joined, texts = asyncio.run(join(source, arms))
        assert [arm.name for arm in joined] == list(worker.arm_names)
        assert joined[:2] == list(arms.values())
    assert worker.arm_names == ("no_draft", "prompt_lookup_3", "prompt_lookup_7", "draft_small_2", "first_look_up")
    assert len(whole) == 1
    assert set(texts) == whole


def test_an_arm_that_left_may_come_back_as_another(folder):
    async def leave_and_join(source, arms):
        [plain] = await read(source, folder, arms, PLAIN)
        again = await read(
            source, folder, {"no_draft": plain}, PLAIN, SHORT.replace("3", '5\nname = "prompt_lookup_3"')
        )
        return again, await text_of(again[1]), await text_of(plain)

    with serving(folder) as (source, arms, worker):
        again, text, plain = asyncio.run(leave_and_join(source, arms))
        assert (worker.action("prompt_lookup_3"), len(worker.arm_names)) == (2, 3)
    assert [arm.name for arm in again] == ["no_draft", "prompt_lookup_3"]
    assert text == plain


def test_a_file_that_was_refused_after_it_was_read_changes_nothing_of_what_its_next_version_may_say(folder):
    other = SHORT.replace("3", '5\nname = "prompt_lookup_3"')

    async def refused_and_mended(source, arms):
        await read(source, folder, arms, PLAIN)
        with pytest.raises(ValueError, match="another one under its old name"):
            await read(source, folder, arms, PLAIN, other)
        await read(source, folder, arms, PLAIN, SHORT, LONG + 'name = "late"\n')
        joined = await read(source, folder, arms, PLAIN, SHORT, other.replace("prompt_lookup_3", "late"))
        return [arm.name for arm in joined]

    with serving(folder) as (source, arms, _):
        assert asyncio.run(refused_and_mended(source, arms)) == ["no_draft", "prompt_lookup_3", "late"]


@pytest.mark.parametrize(
    ("arms", "change", "settings", "reason"),
    [
        ([PLAIN, SHORT.replace("3", '5\nname = "prompt_lookup_3"')], {}, {}, "another one under its old name"),
        ([PLAIN, SHORT], {"max_batch = 4": "max_batch = 5"}, {}, "max_batch must stay what it is"),
        ([PLAIN, SHORT, MODEL.replace('"small"', '"nowhere"')], {}, {}, "nowhere"),
        ([PLAIN, SHORT, MODEL + 'min_confidence = "auto"\n'], {}, {}, "measured before anything else runs"),
        ([PLAIN], {}, {"selectors": ["tap_out"]}, "'prompt_lookup_3' cannot leave while 'tap_out' may choose it"),
        ([PLAIN, SHORT, LONG + 'name = "tap_out"\n'], {}, {"selectors": ["tap_out"]}, "the name of a choice"),
        ([PLAIN, SHORT, LONG], {}, {"hindsight": True}, "'prompt_lookup_7' cannot join with hindsight"),
    ],
)
def test_what_cannot_join_or_leave_beside_running_requests_is_refused_with_the_reason(
    folder, arms, change, settings, reason
):
    head = HEAD
    for old, new in change.items():
        head = head.replace(old, new)
    with serving(folder, **settings) as (source, served, worker):
        with pytest.raises(ValueError, match=reason):
            asyncio.run(read(source, folder, served, *arms, head=head))
        assert worker.arm_names == ("no_draft", "prompt_lookup_3")


def test_a_draft_model_joins_with_hindsight_and_a_choice_per_round_stays_an_arm(folder):
    with serving(folder, hindsight=True, selectors=["tap_out"]) as (source, served, worker):
        by_round = EngineArm("tap_out", worker, "draftpick", selector=FixedSelector(0))
        joined = asyncio.run(read(source, folder, {**served, "tap_out": by_round}, PLAIN, SHORT, MODEL))
    assert [arm.name for arm in joined] == ["no_draft", "prompt_lookup_3", "draft_small_2", "tap_out"]
