"""Transformers' modes: what they load, when, and in which dtype a demo that goes on is timed."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM

from arms import Query
from speculative import Pool
from speculative.demo.peers import peer_modes
from speculative.pools.spec import read_pool_spec
from tests.support.tiny_models import save_tiny
from tests.support.tiny_pool import POOL, byte_tokenizer, save_pool

QUERY = Query(id="q", prompt="abcabc", max_new_tokens=4)
SIZES = {"vocab_size": 257, "max_position_embeddings": 160, "hidden_size": 32, "intermediate_size": 64}


@pytest.fixture
def loaded(monkeypatch):
    """The dtypes of the models that transformers loads, in order."""
    dtypes, load = [], AutoModelForCausalLM.from_pretrained

    def counted(folder, dtype):
        dtypes.append(dtype)
        return load(folder, dtype=dtype)

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", counted)
    return dtypes


@pytest.fixture
def four_bits(tmp_path):
    """A pool whose target has 4-bit weights, as spec and as pool."""
    file = save_pool(tmp_path, pool='weights = "int4"\n' + POOL)
    save_tiny("llama_tied", tmp_path / "target", **SIZES)
    byte_tokenizer().save_pretrained(tmp_path / "target")
    return read_pool_spec(file), Pool.load(file)


def test_models_are_loaded_when_a_mode_first_answers(tmp_path, loaded):
    spec = read_pool_spec(save_pool(tmp_path))
    modes = peer_modes(spec, Pool.of(spec), tmp_path)
    assert (len(modes), loaded) == (3, [])
    texts = {mode(QUERY).token_ids for _ in range(2) for mode in modes.values()}
    assert len(texts) == 1
    assert loaded == [torch.float32] * 2  # the target and its assistant
    assert not (tmp_path / "peer.json").exists()


def test_a_demo_that_goes_on_keeps_the_dtype_that_it_was_begun_with(tmp_path, four_bits, loaded):
    peer_modes(*four_bits, tmp_path)["transformers"](QUERY)
    begun = json.loads((tmp_path / "peer.json").read_text())["dtype"]
    assert loaded == [torch.float32, torch.bfloat16, getattr(torch, begun)]
    for kept in ("float32", "bfloat16"):
        (tmp_path / "peer.json").write_text(json.dumps({"dtype": kept}))
        loaded.clear()
        for mode in peer_modes(*four_bits, tmp_path).values():
            mode(QUERY)
        assert loaded == [getattr(torch, kept)] * 2


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"dtype": "float8"}'])
def test_a_damaged_choice_is_rejected_by_name(tmp_path, four_bits, text):
    (tmp_path / "peer.json").write_text(text)
    with pytest.raises(ValueError, match=r"peer.json is damaged"):
        peer_modes(*four_bits, tmp_path)["transformers"](QUERY)
