"""Saved policies: what comes back, and what is refused."""

import json
import tracemalloc

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from bandits import (
    KNN,
    UCB1,
    BestFixedArm,
    EpsilonGreedy,
    LinTS,
    LinUCB,
    Policy,
    Reinforce,
    SquareCB,
    Uniform,
    evaluate,
    from_long_table,
    load_policy,
)
from bandits.data.io import TableLayout
from bandits.policies import POLICIES, PolicyState, codec, greedy
from bandits.policies.linear.lin_ts import NoisePrior
from bandits.policies.reinforce.settings import AdamWSettings, ObjectiveSettings
from bandits.testing import example_data


def header_of(path):
    return codec.read_file(path)[0]


def rewrite(path, **changes):
    codec.write_file(path, header_of(path) | changes, load_file(path))


@pytest.fixture
def saved(tmp_path):
    return LinUCB(ucb_width=0.5).fit(example_data()).save(tmp_path)


def test_load_policy_knows_every_built_in_class(tmp_path):
    data = example_data()
    for policy in (
        Uniform(),
        BestFixedArm(),
        LinTS(noise=0.2),
        EpsilonGreedy(LinUCB(ucb_width=0.0), epsilon=0.3),
        Reinforce(hidden_size=4, seed=5, training={"max_epochs": 1}),
    ):
        policy.fit(data)
        loaded = load_policy(policy.save(tmp_path / type(policy).__name__))
        assert type(loaded) is type(policy)
        assert {k: v for k, v in loaded.get_params().items() if k != "policy"} == {
            k: list(v) if k == "arm_names" and v else v for k, v in policy.get_params().items() if k != "policy"
        }
        np.testing.assert_array_equal(loaded.probabilities(data.contexts), policy.probabilities(data.contexts))


def test_folder_and_file_are_both_paths(tmp_path):
    policy = LinUCB().fit(example_data())
    assert policy.save(tmp_path / "folder") == tmp_path / "folder" / "policy.safetensors"
    assert policy.save(tmp_path / "mine.safetensors") == tmp_path / "mine.safetensors"
    for path in (
        tmp_path / "folder",
        tmp_path / "folder" / "policy.safetensors",
        tmp_path / "mine.safetensors",
    ):
        assert isinstance(load_policy(path), LinUCB)
    assert sorted(p.name for p in tmp_path.rglob("*.tmp")) == []


def test_unfitted_policy_and_encoder_name_come_back(tmp_path):
    loaded = load_policy(LinUCB(arm_names=("a", "b")).save(tmp_path))
    assert loaded.arm_names == ("a", "b")
    assert loaded.state is None
    policy = Uniform()
    policy.start(("a",), 3, encoder="hashing-3")
    policy.save(tmp_path)
    assert load_policy(tmp_path).state.encoder == "hashing-3"


class Mine(Policy):
    def _initial_state(self, arm_names, n_features):
        return PolicyState(arm_names, n_features, {"n": np.zeros(len(arm_names))})

    def _update(self, state, data):
        return state.updated({"n": state.per_arm["n"] + len(data)})

    def _probabilities(self, state, contexts, available):
        return greedy(np.zeros((len(contexts), len(state.arm_names))), available)


def test_classes_of_ones_own_are_loaded_when_named(tmp_path):
    path = Mine().fit(example_data()).save(tmp_path)
    assert Mine.load(path).state.per_arm["n"].tolist() == [60.0] * 3
    assert isinstance(load_policy(path, classes=(Mine,)), Mine)
    with pytest.raises(ValueError, match=r"class 'Mine' .* is not built in.*YourClass.load"):
        load_policy(path)
    with pytest.raises(ValueError, match="holds a Mine, not a LinUCB"):
        LinUCB.load(path)


def test_a_policy_for_other_arms_or_contexts_is_refused(saved):
    assert load_policy(saved, arm_names=("arm_a", "arm_b", "arm_c"), n_features=5)
    with pytest.raises(ValueError, match=r"saved for the arms arm_c, arm_b, arm_a, not for no_draft"):
        load_policy(saved, arm_names=("no_draft",))
    with pytest.raises(ValueError, match="contexts of size 5, not 384"):
        load_policy(saved, n_features=384)
    with pytest.raises(ValueError, match="holds a LinUCB, not a LinTS"):
        LinTS.load(saved)


def test_missing_newer_and_foreign_files_are_refused(saved, tmp_path):
    with pytest.raises(FileNotFoundError, match="train a policy"):
        load_policy(tmp_path / "nowhere")
    rewrite(saved, format_version=3)
    with pytest.raises(ValueError, match=r"format version 3.*upgrade"):
        load_policy(saved)
    save_file({"x": np.zeros(1)}, saved)
    with pytest.raises(ValueError, match="not a saved policy"):
        load_policy(saved)
    save_file({}, saved, metadata={"draftpick_policy": "{"})
    with pytest.raises(ValueError, match="damaged metadata"):
        load_policy(saved)


def test_a_sound_file_of_an_earlier_format_is_not_called_damaged(saved):
    with safe_open(saved, "numpy") as content:
        header = json.loads(content.metadata()["draftpick_policy"])
        arrays = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118  no mapping
    del header["digest"]
    save_file(arrays, saved, metadata={"draftpick_policy": json.dumps(header | {"format_version": 1})})
    with pytest.raises(ValueError, match="was saved by an earlier draftpick: train again"):
        load_policy(saved)


@pytest.mark.parametrize("keep", [0, 5, 100, 700, -1])
def test_a_truncated_file_is_refused(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(ValueError, match="damaged or cut off"):
        load_policy(saved)


def test_no_flipped_bit_is_read_as_a_policy(saved):
    sound, rng = saved.read_bytes(), np.random.default_rng(0)
    probabilities = load_policy(saved).probabilities(example_data().contexts)
    n_refused = 0
    for _ in range(200):
        damaged = bytearray(sound)
        damaged[rng.integers(len(sound))] ^= 1 << int(rng.integers(8))
        saved.write_bytes(damaged)
        try:
            same = load_policy(saved)
        except ValueError:
            n_refused += 1
            continue
        np.testing.assert_array_equal(same.probabilities(example_data().contexts), probabilities)  # a space in padding
    assert n_refused > 190


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class": "os.system"}, "not built in"),
        ({"class": ["LinUCB"]}, "not built in"),
        ({"params": {"ucb_width": -1.0}}, "ucb_width must be"),
        ({"params": {"unknown": 1}}, "cannot be loaded"),
        ({"params": None}, "JSON object"),
        ({"n_features": 6}, "must be of shape"),
        ({"format_version": True}, "damaged metadata: format_version must be an integer >= 1, got True"),
        ({"format_version": 0}, "damaged metadata: format_version must be an integer >= 1, got 0"),
        ({"n_features": -1}, "damaged metadata"),
        ({"n_features": 10**9}, "must be of shape"),
        ({"n_features": "5"}, "damaged metadata"),
        ({"arm_names": ["a", "a", "b"]}, "'a' twice"),
        ({"arm_names": None}, "cannot be loaded"),
        ({"arm_names": "abc"}, "arm_names must be a list, got 'abc'"),
        ({"n_features": True}, "damaged metadata"),
        ({"arm_names": ["a", "b"]}, "must be of shape"),
    ],
)
def test_hostile_metadata_is_refused(saved, changes, message):
    rewrite(saved, **changes)
    with pytest.raises(ValueError, match=message):
        load_policy(saved)


def test_wrong_arrays_are_refused(saved):
    arrays, header = load_file(saved), header_of(saved)
    codec.write_file(saved, header, {name: a for name, a in arrays.items() if "moment" not in name})
    with pytest.raises(ValueError, match="must hold the arrays"):
        load_policy(saved)
    codec.write_file(saved, header, arrays | {"per_arm.moment": np.full_like(arrays["per_arm.moment"], np.nan)})
    with pytest.raises(ValueError, match=r"per_arm.moment must be finite"):
        load_policy(saved)


def test_a_header_that_lacks_the_size_of_its_arrays_is_refused(saved):
    codec.write_file(saved, header_of(saved) | {"n_features": None}, load_file(saved))
    with pytest.raises(ValueError, match="n_features is missing"):
        load_policy(saved)


@pytest.mark.parametrize(
    ("policy", "array"),
    [
        (UCB1(), "per_arm.counts"),
        (BestFixedArm(), "per_arm.weights"),
        (KNN(), "per_arm.weights"),
        (LinTS(), "per_arm.row_weight"),
        (EpsilonGreedy(SquareCB()), "per_arm.squared_rewards"),
        (Reinforce(hidden_size=4, training={"max_epochs": 1}), "shared.scale"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_statistics_that_no_rows_lead_to_are_refused(tmp_path, policy, array):
    file = policy.fit(example_data()).save(tmp_path)
    header, arrays = codec.read_file(file)
    least = "be positive" if array == "shared.scale" else "not be negative"
    for value, message in ((-1.0, f"must {least}"), (np.nan, "must be finite")):
        wrong = arrays[array].copy()
        wrong.flat[0] = value
        codec.write_file(file, header, arrays | {array: wrong})
        with pytest.raises(ValueError, match=f"{array} {message}"):
            load_policy(file)


def test_a_feature_of_no_scale_is_refused(tmp_path):
    file = Reinforce(hidden_size=4, training={"max_epochs": 1}).fit(example_data()).save(tmp_path)
    header, arrays = codec.read_file(file)
    codec.write_file(file, header, arrays | {"shared.scale": np.zeros_like(arrays["shared.scale"])})
    with pytest.raises(ValueError, match=r"shared\.scale must be positive, got 0\.0"):
        load_policy(file)


@pytest.mark.parametrize(
    "policy",
    [
        Reinforce(
            ObjectiveSettings(entropy_weight=np.float32(0.5), weight_clip=np.int64(3)),
            training=AdamWSettings(
                batch_size=np.int64(8),
                max_epochs=np.int32(1),
                patience=np.uint8(2),
                learning_rate=np.float32(0.25),
                weight_decay=np.float32(0),
                held_out_share=np.float32(0.25),
            ),
        ),
        Reinforce(training=AdamWSettings(held_out_share=np.float32(0), max_epochs=1)),
        LinTS(noise=NoisePrior(shape=np.float32(3), rate=np.int64(2))),
    ],
)
def test_numbers_of_numpy_in_settings_are_saved(tmp_path, policy):
    loaded = load_policy(policy.save(tmp_path))
    assert loaded.get_params() == policy.get_params()


def test_a_precision_that_is_not_positive_definite_is_refused(saved):
    header, arrays = codec.read_file(saved)
    codec.write_file(saved, header, arrays | {"per_arm.precision": -arrays["per_arm.precision"]})
    with pytest.raises(ValueError, match="precision of arm 0 is not positive definite"):
        load_policy(saved)


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "uniform"])
def test_shapes_are_checked_before_memory_is_taken(tmp_path, name):
    short = {"training": {"max_epochs": 1}, "hidden_size": 4}
    policy = POLICIES[name](**(short if name in ("reinforce", "neural_linear_ts") else {}))
    file = policy.fit(example_data(reward_kind=policy.reward_kind)).save(tmp_path)
    of_no_context = ("best_fixed_arm", "ucb1", "beta_ts", "hedge", "exp3")  # whose arrays are of one size
    if name not in of_no_context:
        rewrite(file, n_features=20_000)
        tracemalloc.start()
        with pytest.raises(ValueError, match=r"must be of shape .* for 3 arms and 20000 features"):
            load_policy(file)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 10e6


def test_a_network_of_another_width_than_its_file_holds_takes_no_memory(tmp_path):
    file = Reinforce(hidden_size=4, training={"max_epochs": 1}).fit(example_data()).save(tmp_path)
    params = header_of(file)["params"] | {"hidden_size": 65_536}
    rewrite(file, params=params)
    with pytest.raises(ValueError, match=r"shared.bias_1 must be of shape \(65536,\), hidden_size, got \(4,\)"):
        load_policy(file)


def test_a_policy_of_columns_keeps_their_levels_and_refuses_others(tmp_path):
    def table(levels):
        rows = [(f"q{i}", level, arm, float(i % 2)) for i, level in enumerate(levels * 3) for arm in ("a", "b")]
        query, topic, arms, rewards = zip(*rows, strict=True)
        return {"query_id": query, "topic": topic, "arm": arms, "reward": rewards}

    layout = TableLayout(context_columns=["topic"])
    train = from_long_table(table(["code", "math"]), layout=layout)
    loaded = load_policy(LinUCB().fit(train).save(tmp_path))
    assert train.value(loaded) >= 0
    for levels in (["math", "prose"], ["prose", "verse"]):  # as many features, of another meaning
        other = from_long_table(table(levels), layout=layout)
        with pytest.raises(ValueError, match="encoder"):
            loaded.update(other)
        with pytest.raises(ValueError, match="encoder"):
            other.value(loaded)


def test_arguments_that_are_not_json_are_refused(tmp_path):
    class WithFunction(Mine):
        def __init__(self, function, arm_names=None):
            super().__init__(arm_names)
            self.function = function

    with pytest.raises(TypeError, match="argument function"):
        WithFunction(print).save(tmp_path)


def test_a_file_that_is_no_policy_is_named_for_what_it_is(tmp_path):
    data = example_data()
    result = evaluate({"LinUCB": LinUCB().fit(data)}, data)
    result.save(tmp_path / "ev.json")
    with pytest.raises(
        ValueError, match=rf"ev.json is no saved policy, which is a folder .*: it holds a saved {result.kind}"
    ):
        load_policy(tmp_path / "ev.json")
    (tmp_path / "note.txt").write_text("x")
    with pytest.raises(ValueError, match=r"note.txt is no saved policy, which is a folder or ends in .safetensors$"):
        load_policy(tmp_path / "note.txt")
    with pytest.raises(FileNotFoundError, match=r"nowhere/policy\.safetensors does not exist"):
        load_policy(tmp_path / "nowhere")


def test_sums_whose_squares_overflow_are_no_saved_thompson_sampling(tmp_path):
    LinTS().fit(example_data()).save(tmp_path)
    file = tmp_path / "policy.safetensors"
    arrays = load_file(file)
    arrays["per_arm.moment"][:] = 1e300
    codec.write_file(file, header_of(file), arrays)
    with pytest.raises(ValueError, match="cannot be loaded: LinTS must learn rewards whose squares sum to a finite"):
        load_policy(tmp_path)
