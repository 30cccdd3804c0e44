"""Arms join and leave while requests run: none is lost, log, learner and service agree, or nothing changes."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager

import pytest
from serving_bench.scripted_upstream import Script, ScriptedUpstream

from arms import Query
from bandits import Agent, DecisionLog, HashingEncoder, Learner, LinUCB
from bandits.online.segments import read_records
from speculative.serving.learning import LearningThread
from speculative.serving.metrics import Metrics
from speculative.serving.reloading import Reloading
from speculative.serving.request_columns import RequestColumns, lasting_order
from speculative.serving.service import Service
from speculative.serving.settings import CallerReward, ServiceSettings
from speculative.serving.stage_keeper import StageKeeper
from speculative.serving.upstream import Upstream
from speculative.serving.upstream_source import UpstreamSource
from tests.support.front_door import ENVIRONMENT, N_FEATURES, front_door, records, upstream_spec, wait_for, write_pool
from tests.support.silent_arm import SilentArm

NOWHERE = "http://127.0.0.1:9"
EVEN = ServiceSettings("a", exploration=1.0, share=0.0, learn_every_s=0.001)


def reload(door, **options):
    return door.post("/v1/draftpick/reload", **options)


def changes(door):
    return [one["reason"] for one in records(door, "stage")][1:]


def test_arms_join_and_leave_under_load_and_who_runs_ends_as_it_would(tmp_path):
    slow = Script(n_tokens=3, token_s=0.05)
    with ExitStack() as stack:
        joining = stack.enter_context(ScriptedUpstream(Script()))
        door = stack.enter_context(front_door(tmp_path, {"a": Script(), "b": slow}, EVEN, learn=True))
        clients = stack.enter_context(ThreadPoolExecutor(4))
        answers = [clients.submit(door.chat, stream=i % 2 == 0) for i in range(20)]
        wait_for(lambda: any(one["arm"] == "b" for one in records(door, "decided")))
        a, b = (door.service.arms[name].spec for name in "ab")
        write_pool(door.pool_file, [a, b, upstream_spec("c", joining.url)])
        assert reload(door).json() == {"joined": ["c"], "left": [], "arms": ["a", "b", "c"]}
        write_pool(door.pool_file, [a, upstream_spec("c", joining.url)])
        assert reload(door).json() == {"joined": [], "left": ["b"], "arms": ["a", "c"]}
        after = len(records(door, "decided"))
        answers += [clients.submit(door.chat) for _ in range(10)]
        assert {answer.result().status_code for answer in answers} == {200}
        assert "[DONE]" in answers[0].result().text
        decided = records(door, "decided")
        n_staying = sum(one["arm"] != "b" for one in decided)
        wait_for(lambda: n_staying <= door.learner.n_learned <= len(decided))
        assert door.learner.policy.arm_names == door.service.chosen[0].arm_names == ("a", "c")
        assert 'arm_up{arm="b"}' not in door.get("/metrics").text
        assert "arm b leaves (POST /v1/draftpick/reload): a new trial begins" in door.get("/draftpick").text
        assert changes(door) == [
            "arm c joins (POST /v1/draftpick/reload): a new trial begins",
            "arm b leaves (POST /v1/draftpick/reload): a new trial begins",
        ]
    assert {tuple(one["probabilities"]) for one in decided[after:]} == {("a", "c")}
    assert len(decided) == len(answers)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: None, "pool.toml"),
        (lambda text: text + "[[arms", "pool.toml"),
        (lambda text: text.replace('"b"', '"a"'), "arms must have different names"),
        (lambda text: text.replace("8\n[[", "9\n[["), "encoder cannot change while the server runs"),
        (lambda text: 'model = "other"\n' + text, "model cannot change while the server runs"),
        (lambda text: text + '\nmodel = "other"', "arm 'b' cannot become another while it serves"),
        (
            lambda text: text + '\n[[arms]]\nkind = "upstream"\nname = "c"\nurl = "http://127.0.0.1:9"',
            "arm c: no answer",
        ),
        (
            lambda text: (
                text + '\n[[arms]]\nkind = "upstream"\nname = "c"\nurl = "http://127.0.0.1:9"\nheaders = {A = "NONE"}'
            ),
            "needs the environment variable NONE",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_the_reason(tmp_path, change, reason):
    file, specs = tmp_path / "pool.toml", [upstream_spec(name, NOWHERE) for name in "ab"]
    source = UpstreamSource(write_pool(file, specs), ENVIRONMENT)
    text = change(file.read_text())
    file.unlink()
    if text is not None:
        file.write_text(text)
    with pytest.raises(ValueError, match=reason):
        asyncio.run(source.read(file, {spec.name: Upstream(spec, ENVIRONMENT) for spec in specs}))


def test_a_change_that_is_refused_leaves_all_as_it_is_and_says_why(tmp_path):
    with front_door(tmp_path, {"a": Script(), "b": Script()}, EVEN, learn=True) as door:
        door.pool_file.write_text(door.pool_file.read_text().replace('"a"', '"b "'))
        unread = reload(door)
        write_pool(door.pool_file, [door.service.arms["b"].spec])
        without_incumbent = reload(door)
        assert (door.chat().status_code, changes(door)) == (200, [])
        assert list(door.service.arms) == ["a", "b"]
        assert door.learner.policy.arm_names == ("a", "b")
    for answer, reason in ((unread, "pool.toml"), (without_incumbent, "the incumbent 'a' cannot leave")):
        assert answer.status_code == 409
        told = answer.json()["error"]["message"]
        assert told.startswith("the arms stay as they are: ")
        assert reason in told


def test_a_file_that_says_the_same_changes_nothing(tmp_path):
    with front_door(tmp_path, {"a": Script(), "b": Script()}, EVEN, learn=True) as door:
        assert reload(door).json() == {"joined": [], "left": [], "arms": ["a", "b"]}
        assert changes(door) == []


def test_who_may_not_use_the_server_may_not_change_it(tmp_path):
    key = "sixteen-characters"
    with front_door(tmp_path, {"a": Script()}, EVEN, learn=True, keys=[key]) as door:
        assert reload(door).status_code == 401
        assert reload(door, headers={"authorization": f"Bearer {key}"}).status_code == 200
    with front_door(tmp_path / "other", {"a": Script()}) as door:
        assert reload(door, headers={"origin": "http://evil.example"}).status_code == 403
        assert "come from no file" in reload(door).json()["error"]["message"]


class Source:
    """Has the arms that a test sets."""

    def __init__(self, names):
        self.names, self.closed = names, []

    async def read(self, file, serving):
        if self.names is None:
            raise ValueError("the file does not read")
        return [serving.get(name) or SilentArm(name) for name in self.names]

    async def close(self, arms):
        self.closed += [arm.name for arm in arms]


@contextmanager
def served(folder, names, settings=EVEN):
    with ExitStack() as stack:
        log = stack.enter_context(DecisionLog(folder / "log", sync_every=0))
        policy = LinUCB(arm_names=names)
        policy.start(names, N_FEATURES, HashingEncoder(N_FEATURES).name)
        agent = Agent(policy, HashingEncoder(N_FEATURES), log, reward=CallerReward(0.0))
        service = Service([SilentArm(name) for name in names], agent, settings)
        learner = stack.enter_context(closing(Learner(policy, log.folder, folder / "learner")))
        learning = LearningThread(service, learner, StageKeeper(service))
        source = Source(names)
        reloading = Reloading(folder / "pool.toml", source, learning, service, folder / "arms.json", new_arm_rows=2)
        learning.start()
        try:
            yield service, learner, reloading, source
        finally:
            learning.stop()
            service.end_writing()


def test_learner_and_service_agree_at_every_moment_while_arms_come_and_go(tmp_path):
    with served(tmp_path, ("a", "b")) as (service, learner, reloading, source):
        stop, n_decided = threading.Event(), 0

        def decide():
            nonlocal n_decided
            while not stop.wait(0.001):  # slower than it is learned
                query = Query(id=f"q{n_decided}", prompt="words")
                service.after_writing(lambda query=query: service.agent.choose(query, list(service.arms))).result()
                service.agent.reward(query.id, 0.5)
                n_decided += 1

        def answered():
            return n_decided

        thread = threading.Thread(target=decide)
        thread.start()
        for names in [("a", "b", "c"), ("a", "c"), ("a",), ("a", "b", "d"), ("a", "d")] * 2:
            source.names, before = names, answered()
            asyncio.run(reloading.reload("a test"))
            assert learner.policy.arm_names == service.chosen[0].arm_names == service.agent.policy.arm_names
            assert set(learner.policy.arm_names) == set(service.arms) == set(service.breakers) == set(names)
            wait_for(lambda before=before: answered() > before + 2)
        stop.set()
        thread.join()
        assert "draftpick:learning_failed 0" in service.metrics.page()
        known = [("a", "b")]
        for placed in read_records(service.agent.log.folder):
            if placed.record["kind"] == "stage":
                known.append(placed.record["drawn"]["arms"])
            elif placed.record["kind"] == "decided":
                assert sorted(placed.record["probabilities"]) == list(known[-1])
    assert len(known) == 12
    assert source.closed.count("c") == 2


def test_a_log_that_takes_nothing_keeps_the_arms_and_lets_the_new_ones_go(tmp_path, monkeypatch):
    with served(tmp_path, ("a", "b")) as (service, learner, reloading, source):
        source.names = ("a", "c")
        monkeypatch.setattr(service.agent.log, "noted", full_disk)
        with pytest.raises(OSError, match="No space left"):
            asyncio.run(reloading.reload("a test"))
        assert learner.policy.arm_names == tuple(service.arms) == ("a", "b")
        assert source.closed == ["c"]


def test_a_checkpoint_that_cannot_be_saved_is_saved_later(tmp_path, monkeypatch):
    with served(tmp_path, ("a", "b")) as (service, learner, reloading, source):
        source.names = ("a", "c")
        with monkeypatch.context() as patch:
            patch.setattr(LinUCB, "save", full_disk)
            asyncio.run(reloading.reload("a test"))
        assert learner.policy.arm_names == tuple(service.arms) == ("a", "c")
        service.agent.choose(Query(id="q", prompt="words"))
        service.agent.reward("q", 0.5)
        wait_for(lambda: learner.n_learned == 1)
    with closing(Learner(LinUCB(), tmp_path / "log", tmp_path / "learner")) as again:
        assert again.policy.arm_names == ("a", "c")


def test_more_arms_than_a_setting_allows_are_refused(tmp_path):
    floor = ServiceSettings("a", exploration=0.5, propensity_floor=0.2, learn_every_s=0.001)
    with served(tmp_path, ("a", "b"), floor) as (service, learner, reloading, source):
        source.names = tuple("abcdef")
        with pytest.raises(ValueError, match="propensity_floor"):
            asyncio.run(reloading.reload("a test"))
        assert learner.policy.arm_names == tuple(service.arms) == ("a", "b")
        source.names = ("a", "b", "g")
        asyncio.run(reloading.reload("a test"))
    assert lasting_order(tmp_path / "arms.json", ()) == ["a", "b", "g"], "those refused take no columns"


def test_a_signal_tells_what_is_wrong_in_the_log_of_messages(tmp_path, caplog):
    async def hang_up(reloading):
        reloading.hangup()
        await asyncio.sleep(0.01)

    with served(tmp_path, ("a", "b")) as (service, _, reloading, source):
        source.names = None
        asyncio.run(hang_up(reloading))
        assert list(service.arms) == ["a", "b"]
    assert "the arms stay as they are: the file does not read" in caplog.text


def test_arms_keep_their_columns_and_those_of_arms_that_left_are_0():
    columns = RequestColumns(("a", "b"), ("load",))
    columns.keep(("a", "c"))
    for arm in ("a", "b", "c", "c"):
        columns.began(arm)
    columns.ended("b")
    assert columns.running == {"a": 1, "b": 0, "c": 2}


def full_disk(*_):
    raise OSError(28, "No space left on device")


def test_a_gauge_is_forgotten():
    metrics = Metrics()
    metrics.set("arm_up", 1, arm="a")
    metrics.forget("arm_up", arm="a")
    metrics.forget("arm_up", arm="b")
    assert "arm_up{" not in metrics.page()
