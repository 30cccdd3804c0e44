"""What a target makes of a query, and where its texts end."""

import json
from dataclasses import replace

import pytest

from arms import Query
from speculative.pools.pool import load_target
from speculative.pools.spec import read_pool_spec
from speculative.sampling.sampling_params import SamplingParams
from speculative.targets.target import Target, read_eos_ids
from tests.support.tiny_pool import N_VOCAB, byte_tokenizer, save_pool

END = N_VOCAB - 1  # the byte tokenizer's own


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return load_target(read_pool_spec(save_pool(tmp_path_factory.mktemp("pool"))))


def _eos_ids(folder, generation_config=None, config=None, tokenizer=None):
    for name, settings in (("generation_config.json", generation_config), ("config.json", config)):
        if settings is not None:
            (folder / name).write_text(json.dumps(settings))
    return read_eos_ids(folder, tokenizer or byte_tokenizer())


@pytest.mark.parametrize(
    ("generation_config", "config", "expected"),
    [
        ({"eos_token_id": [7, 8]}, {"eos_token_id": 9}, (7, 8, END)),
        ({"eos_token_id": 7}, {"eos_token_id": 9}, (7, END)),
        ({"top_p": 0.9}, {"eos_token_id": [9, 8]}, (9, 8, END)),
        (None, {"eos_token_id": 9}, (9, END)),
        (None, {"eos_token_id": [END, 3]}, (END, 3)),
        (None, {"eos_token_id": None}, (END,)),
        (None, None, (END,)),
    ],
)
def test_a_text_ends_where_transformers_ends_it_and_at_the_tokenizers_end(
    tmp_path, generation_config, config, expected
):
    assert _eos_ids(tmp_path, generation_config, config) == expected


def test_where_nobody_names_an_end_there_is_none(tmp_path):
    tokenizer = byte_tokenizer()
    tokenizer.eos_token = None
    assert _eos_ids(tmp_path, config={"vocab_size": 3}, tokenizer=tokenizer) == ()


@pytest.mark.parametrize("value", ["</s>", [1, "2"], [[1]], -1, 1.5, True])
def test_ends_that_are_no_ids_are_refused(tmp_path, value):
    with pytest.raises(ValueError, match=r"config\.json: eos_token_id must be an id >= 0 or a list of such ids, got"):
        _eos_ids(tmp_path, config={"eos_token_id": value})


@pytest.mark.parametrize("content", ["{", "[" * 100_000])
def test_a_broken_generation_config_is_refused(tmp_path, content):
    (tmp_path / "generation_config.json").write_text(content)
    with pytest.raises(ValueError, match=r"generation_config\.json is not valid JSON"):
        read_eos_ids(tmp_path, byte_tokenizer())


def test_a_tokenizer_that_cannot_cut_a_text_is_refused_when_it_is_loaded(tmp_path):
    save_pool(tmp_path)
    file = tmp_path / "target" / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_max_length": "many"}))
    with pytest.raises(ValueError, match="target: its tokenizer cannot be read"):
        Target.load(str(tmp_path / "target"))


def test_a_target_reads_its_ends_when_it_is_loaded(tmp_path):
    file = save_pool(tmp_path)
    (tmp_path / "target" / "generation_config.json").write_text(json.dumps({"eos_token_id": [3, 5]}))
    target = Target.load(str(tmp_path / "target"), max_new_tokens=4)
    assert target.eos_ids == (3, 5, END)
    assert target.request(Query(id="q", prompt="x")).eos_ids == (3, 5, END)
    assert load_target(read_pool_spec(file)).eos_ids == target.eos_ids


def test_a_request_carries_the_sampling_and_is_as_long_as_that_says_else_the_query_else_the_target(target):
    query = Query(id="q", prompt="x")
    plain = target.request(query)
    assert plain.sampling == SamplingParams()
    assert plain.max_new_tokens == target.max_new_tokens
    sampling = SamplingParams(temperature=0.7, seed=3, stop=["a", "b"])
    request = target.request(query, sampling)
    assert request.sampling is sampling
    assert replace(request, sampling=SamplingParams()) == plain
    query = query.model_copy(update={"max_new_tokens": 3})
    assert target.request(query).max_new_tokens == 3
    assert target.request(query, SamplingParams(max_new_tokens=2)).max_new_tokens == 2
