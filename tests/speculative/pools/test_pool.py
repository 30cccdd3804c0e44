"""Reading a pool file, loading it, and what is refused."""

import json
from dataclasses import replace

import pytest
import torch

from arms import Query
from bandits import HashingEncoder, SentenceEncoder
from speculative.collection.collect import data_from_traces
from speculative.collection.tracing import trace_queries
from speculative.drafts.draft_model import DraftModel, VocabularyMismatchError
from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.drafts.suffix.draft import SuffixDraft
from speculative.pools.arm_specs import ArmSpec
from speculative.pools.pool import Pool, load_target
from speculative.pools.spec import POOL_ENCODERS, PoolSpec, read_pool_spec
from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.sampling_params import SamplingParams
from speculative.targets.hidden_state_encoder import HiddenStateEncoder
from speculative.targets.rendering import Rendering
from speculative.targets.speculative_arm import SpeculativeArm
from tests.support.tiny_models import save_tiny
from tests.support.tiny_pool import ARMS, POOL, TEMPLATE, byte_tokenizer, plain_costs, queries, save_pool


@pytest.fixture(scope="module")
def pool_file(tmp_path_factory):
    return save_pool(tmp_path_factory.mktemp("pool"))


def test_models_are_found_beside_the_pool_file(pool_file):
    spec = read_pool_spec(pool_file)
    assert spec.target == str(pool_file.parent / "target")
    assert spec.arms[3].draft.model == str(pool_file.parent / "small")


def test_a_pool_has_its_arms_in_order_and_each_draft_once(pool_file):
    pool = Pool.load(pool_file)
    assert pool.arms.names == ARMS
    assert [draft.name for draft in pool.drafts] == ["no_draft", "prompt_lookup", "draft_small"]
    assert pool.arms[1].draft is pool.arms[2].draft
    assert pool.target.max_new_tokens == 20
    assert isinstance(pool.encoder, HashingEncoder)
    assert pool.encoder.n_features == 8


def test_look_ups_of_other_settings_are_other_drafts(pool_file):
    text = POOL + '\n[[arms]]\nkind = "prompt_lookup"\ndraft_length = 3\nmin_ngram = 2\n'
    pool = Pool.load(_written(pool_file, text))
    assert pool.arms.names[-1] == "prompt_lookup_2to4_3"
    assert [draft.name for draft in pool.drafts][-1] == "prompt_lookup_2to4"


@pytest.mark.parametrize(("kind", "expected"), [("hidden_state", HiddenStateEncoder), ("sentence", SentenceEncoder)])
def test_encoders_by_kind(pool_file, kind, expected):
    spec = read_pool_spec(pool_file).model_copy(update={"encoder": POOL_ENCODERS[kind].Spec()})
    encoder = Pool.of(spec).encoder
    assert isinstance(encoder, expected)
    assert encoder.name in (f"hidden_state:{spec.target}", "sentence-transformers/all-MiniLM-L6-v2")


def test_an_encoders_folder_is_found_beside_the_pool_file(pool_file):
    (pool_file.parent / "minilm").mkdir(exist_ok=True)
    text = POOL.replace('kind = "hashing"\nn_features = 8', 'kind = "sentence"\nmodel = "minilm"')
    pool = Pool.load(_written(pool_file, text))
    assert pool.encoder.model == str(pool_file.parent / "minilm")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("draft_length = 3", "draft_length = 0"), r"arms\.1: draft_length must be 0 for no_draft and >= 1"),
        (('model = "small"', ""), r"arms\.3\.model: Field required"),
        (("draft_length = 3", 'draft_length = 3\nmodel = "small"'), r"arms\.1\.model: unknown key; there are"),
        (("draft_length = 3", "draft_length = 3\nmin_ngram = 9"), "min_ngram must be <= max_ngram, got 9 > 4"),
        (
            ('kind = "prompt_lookup"\ndraft_length = 3', 'kind = "early_exit"\ndraft_length = 3'),
            r"arms\.1\.n_layers: Field required",
        ),
        (
            ("draft_length = 3", "draft_length = 3\nn_layers = 1"),
            r"arms\.1\.n_layers: unknown key; .*, got 1",
        ),
        (
            ("draft_length = 3", "draft_length = 3\nmax_match = 3"),
            r"arms\.1\.max_match: unknown key; there are .*, got 3",
        ),
        (
            ("draft_length = 3", "draft_length = 3\nlearn = true"),
            r"arms\.1\.learn: unknown key; .*, draft_length, name, got True",
        ),
        (('target = "target"', 'target = "target"\nweights = "int2"'), "weights: .*'int4'.*, got 'int2'"),
        (('kind = "no_draft"', 'kind = "prompt_lookup"\ndraft_length = 1'), "must hold one of kind no_draft"),
        (
            ('kind = "hashing"', 'kind = "astrology"'),
            "encoder: unknown encoder 'astrology'",
        ),
        (("max_new_tokens = 20", "max_new_tokens = 0"), "max_new_tokens: .*greater than or equal to 1, got 0"),
        (("max_batch = 4", "max_bach = 4"), "max_bach: unknown key; there are target, .*max_batch, .*, got 4"),
        (('target = "target"', ""), "target: Field required"),
        (('target = "target"', "target = "), "is not TOML"),
    ],
)
def test_a_broken_rule_names_file_field_and_value(pool_file, change, message):
    file = _written(pool_file, POOL.replace(*change, 1))
    with pytest.raises(ValueError, match=message) as refusal:
        read_pool_spec(file)
    assert str(file) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_home_that_is_nobodys_is_refused(pool_file):
    file = _written(pool_file, POOL.replace('target = "target"', 'target = "~nosuchuser/x"'))
    with pytest.raises(ValueError, match="model '~nosuchuser/x': there is no such home folder"):
        Pool.load(file)


def test_a_missing_or_binary_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"nothing.toml cannot be read"):
        read_pool_spec(tmp_path / "nothing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is not TOML"):
        read_pool_spec(tmp_path / "binary.toml")


def test_a_missing_model_is_refused(pool_file):
    file = _written(pool_file, POOL.replace('"small"', '"./nowhere"'))
    with pytest.raises(ValueError, match=r"model './nowhere' is neither a folder"):
        Pool.load(file)


def test_arms_of_one_name_are_refused(pool_file):
    file = _written(pool_file, POOL.replace("draft_length = 7", "draft_length = 3"))
    with pytest.raises(ValueError, match=r"other.toml, arms.2: an arm before it is named 'prompt_lookup_3'"):
        Pool.load(file)


def test_drafts_of_one_name_are_refused(pool_file):
    spec = read_pool_spec(pool_file)
    other = pool_file.parent / "copy" / "small"
    if not other.exists():
        other.parent.mkdir()
        other.symlink_to(pool_file.parent / "small")
    arm = ArmSpec(draft=DraftModel.Spec(model=str(other)), draft_length=4)
    with pytest.raises(ValueError, match=r"pool.toml, arms.4: an arm before it has another draft named 'draft_small'"):
        Pool.of(spec.model_copy(update={"arms": (*spec.arms, arm)}))


def test_a_draft_of_other_tokens_is_refused(tmp_path):
    file = save_pool(tmp_path)
    tokenizer = tmp_path / "small" / "tokenizer.json"
    written = json.loads(tokenizer.read_text())
    vocabulary = written["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    tokenizer.write_text(json.dumps(written))
    with pytest.raises(VocabularyMismatchError, match=r"id .* is 'b', to the target 'a'"):
        Pool.load(file)


def test_a_draft_may_lack_a_token_that_was_added(tmp_path):
    file = save_pool(tmp_path)
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(["new"])
    tokenizer.save_pretrained(tmp_path / "small")
    pool = Pool.load(file)
    eight = SamplingParams(max_new_tokens=8)
    answers = [pool.target.generate("x x", draft=draft, sampling=eight) for draft in (None, *pool.drafts[1:])]
    assert len({answer.token_ids for answer in answers}) == 1


def test_a_chat_template_is_used_and_may_refuse(tmp_path):
    target = load_target(read_pool_spec(save_pool(tmp_path, TEMPLATE)))
    query = Query(id="q", messages=({"role": "user", "content": "hi"},), max_new_tokens=5)
    request = target.request(query)
    assert target.text(request.token_ids) == "user: hi\nassistant: "
    assert request.max_new_tokens == 5
    assert target.tokenizer.eos_token_id in request.eos_ids
    with pytest.raises(ValueError, match=r"query 'q' does not suit the chat template .*unknown role"):
        target.request(Query(id="q", messages=({"role": "robot", "content": "hi"},)))


def test_variables_of_the_chat_template_stand_in_the_pool_file(tmp_path):
    template = TEMPLATE + "{% if enable_thinking is false %}-{% endif %}"
    file = save_pool(tmp_path, template, "chat_template_kwargs = { enable_thinking = false }\n" + POOL)
    target, query = Pool.load(file).target, Query(id="q", prompt="hi")
    assert target.text(target.request(query).token_ids) == "user: hi\nassistant: -"
    thinks = Rendering({"enable_thinking": True})
    assert target.text(target.request(query, rendering=thinks).token_ids) == "user: hi\nassistant: "
    file.write_text("chat_template_kwargs = { thinking = false }\n" + POOL)
    with pytest.raises(ValueError, match=r"pool.toml: chat_template_kwargs must be variables .* reads, got 'thinking'"):
        Pool.load(file)


def test_a_pool_without_drafts_is_a_pool():
    spec = PoolSpec(target="x", arms=(ArmSpec(draft="no_draft"),))
    assert spec.encoder.kind == "sentence"


def _written(pool_file, text):
    file = pool_file.with_name("other.toml")
    file.write_text(text)
    return file


def test_a_draft_at_four_bits_is_a_draft_of_its_own(tmp_path):
    pool_file = save_pool(tmp_path)
    sizes = {"vocab_size": 257, "max_position_embeddings": 160, "hidden_size": 32, "intermediate_size": 64}
    save_tiny("llama_tied", tmp_path / "wide", **sizes)
    byte_tokenizer().save_pretrained(tmp_path / "wide")
    arm = '\n[[arms]]\nkind = "draft_model"\nmodel = "wide"\ndraft_length = 2\n'
    pool_file.write_text(POOL + arm + arm + 'weights = "int4"\n')
    pool = Pool.load(pool_file)
    assert pool.arms.names[-2:] == ("draft_wide_2", "draft_wide_int4_2")
    dense, rounded = list(pool.arms)[-2:]
    prompt = list(range(40, 60))
    assert dense.draft.write(prompt, 8) is not None
    assert rounded.draft.write(prompt, 8) is not None
    observation = rounded.pull(Query(id="q", prompt="abcabc"), 0)
    assert observation.text == pool.arms[0].pull(Query(id="q", prompt="abcabc"), 0).text


def test_each_draft_may_have_an_arithmetic_of_its_own(tmp_path):
    pool_file = save_pool(tmp_path)
    arm = '\n[[arms]]\nkind = "draft_model"\nmodel = "small"\ndraft_length = 2\n'
    pool_file.write_text(
        'dtype = "auto"\nweights = "auto"\n' + POOL + arm + 'dtype = "bfloat16"\n' + arm + 'weights = "auto"\n'
    )
    pool = Pool.load(pool_file)
    own, fastest = list(pool.arms)[-2:]
    assert (own.name, own.draft.model.dtype) == ("draft_small_bfloat16_2", torch.bfloat16)
    assert (fastest.name, fastest.draft.model.dtype) == ("draft_small_auto_2", torch.float32)  # too small to measure
    assert (pool.target.settings.dtype, pool.target.settings.weights) == (torch.float32, "dense")
    assert own.pull(Query(id="q", prompt="abcabc"), 0).text == pool.arms[0].pull(Query(id="q", prompt="abcabc"), 0).text


def test_four_bits_are_refused_where_they_cannot_be(tmp_path):
    pool_file = save_pool(tmp_path)
    pool_file.write_text(POOL + 'weights = "int4"\n')  # the last arm's model is 16 wide
    with pytest.raises(ValueError, match=r"in_features .*multiple of 32"):
        Pool.load(pool_file)
    with pytest.raises(ValueError, match="unknown key"):
        ArmSpec.model_validate({"kind": "prompt_lookup", "draft_length": 2, "weights": "int4"})


MORE_ARMS = """
[[arms]]
kind = "suffix"
draft_length = 4

[[arms]]
kind = "suffix"
draft_length = 6

[[arms]]
kind = "suffix"
draft_length = 4
max_tokens_per_match_token = 1
store_tokens = 100

[[arms]]
kind = "early_exit"
n_layers = 1
draft_length = 3
"""
MORE_NAMES = ("suffix_4", "suffix_6", "suffix_store_tokens_100_max_tokens_per_match_token_1.0_4", "early_exit_1_3")


@pytest.fixture(scope="module")
def wide_pool(pool_file):
    return Pool.load(_written(pool_file, POOL + MORE_ARMS))


def test_suffixes_of_equal_settings_share_a_draft_that_learns_nothing(wide_pool):
    assert wide_pool.arms.names == ARMS + MORE_NAMES
    first, second, limited, _ = list(wide_pool.arms)[-4:]
    assert first.draft is second.draft
    assert isinstance(limited.draft, SuffixDraft)
    assert (limited.draft.store.max_tokens, limited.draft.max_tokens_per_match_token) == (100, 1)
    for arm in (first, limited):
        arm.pull(Query(id="q", prompt="abcabc"), 0)
        assert arm.draft.store.n_tokens == 0


def test_a_suffix_that_learns_keeps_what_was_generated(pool_file):
    arm = '\n[[arms]]\nkind = "suffix"\ndraft_length = 4\nlearn = true\n'
    pool = Pool.load(_written(pool_file, POOL + arm))
    learning = pool.arms[-1]
    observation = learning.pull(Query(id="q", prompt="abcabc"), 0)
    assert learning.name == "suffix_learn_True_4"
    assert 0 < learning.draft.store.n_tokens <= observation.n_tokens


def test_real_rounds_of_every_kind_are_those_that_replay_predicts(wide_pool):
    asked = queries(4)
    traces = trace_queries(asked, wide_pool.arms, wide_pool.encoder)
    costs = plain_costs(*(draft.name for draft in wide_pool.drafts))
    data = data_from_traces(asked, traces, wide_pool.arms, wide_pool.encoder, costs)
    n_accepted = dict.fromkeys(wide_pool.arms.names, 0)
    for query, row in zip(asked, data.observations, strict=True):
        for arm, predicted in zip(wide_pool.arms, row, strict=True):
            real = arm.pull(query, 0)
            assert (real.text, real.proposed, real.accepted) == (predicted.text, predicted.proposed, predicted.accepted)
            n_accepted[arm.name] += sum(real.accepted)
    assert n_accepted["no_draft"] == 0
    assert min(n_accepted[name] for name in ("suffix_4", "suffix_6", "early_exit_1_3")) > 0


def test_a_target_at_four_bits_writes_one_text_with_every_arm(tmp_path):
    pool_file = save_pool(tmp_path, pool='weights = "int4"\n' + POOL.replace('"small"', '"target"') + MORE_ARMS)
    sizes = {"vocab_size": 257, "max_position_embeddings": 160, "hidden_size": 32, "intermediate_size": 64}
    save_tiny("llama_tied", tmp_path / "target", **sizes)
    byte_tokenizer().save_pretrained(tmp_path / "target")
    pool = Pool.load(pool_file)
    query = Query(id="q", prompt="abcabc")
    texts = {arm.name: arm.pull(query, 0).text for arm in pool.arms}
    assert len(set(texts.values())) == 1
    dense = load_target(read_pool_spec(pool_file).model_copy(update={"weights": "dense"}))
    ids = torch.tensor(dense.request(query).token_ids)
    logits = [
        target.model.forward(TokenBatch(ids, [len(ids)]), target.model.new_cache(1)).logits
        for target in (dense, pool.target)
    ]
    assert 1e-3 < (logits[0] - logits[1]).abs().max() < 0.5 * logits[0].abs().max()


def test_a_pool_is_made_by_hand_from_loaded_objects(wide_pool):
    target = wide_pool.target
    lookup = PromptLookup()
    arms = [SpeculativeArm(target, NoDraft()), SpeculativeArm(target, lookup, 3), SpeculativeArm(target, lookup, 5)]
    pool = Pool(target, arms, encoder=HashingEncoder(8))
    assert pool.arms.names == ("no_draft", "prompt_lookup_3", "prompt_lookup_5")
    with pytest.raises(ValueError, match="arms must be at least one"):
        Pool(target, [], encoder=HashingEncoder(8))
    with pytest.raises(ValueError, match="arm 'twin': another draft of the pool has the name 'prompt_lookup'"):
        Pool(target, [*arms, SpeculativeArm(target, PromptLookup(), 3, name="twin")], encoder=HashingEncoder(8))
    with pytest.raises(ValueError, match="a second 'no_draft'"):
        Pool(target, [*arms, arms[0]], encoder=HashingEncoder(8))
    other = replace(target, name="other")
    with pytest.raises(ValueError, match=r"the arms answer with .*, not with the target 'other'"):
        Pool(other, arms, encoder=HashingEncoder(8))
