import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from speculative.models.feature_head import FeatureHeadModel
from speculative.models.head_files import default_layers, load_head
from speculative.protocols.state_rows import LAST, StateRows
from speculative.protocols.token_batch import TokenBatch
from tests.support.heads import FORMS, foretold, save_head

PREFIX = [3, 1, 4, 1, 5, 9, 2, 6]


def of_one(tokens):
    return TokenBatch.of([tokens], torch.device("cpu"))


def states_of(target, layers, prefix):
    rows = StateRows(layers)
    model = target.tapping([layer for layer in layers if layer != LAST])
    rows.put(0, model.forward(TokenBatch(torch.tensor(prefix), [len(prefix)]), model.new_cache(1)))
    return rows.since(0, layers)


@pytest.mark.parametrize("form", FORMS)
def test_every_published_form_computes_what_the_plainest_loop_does(tiny, tmp_path, form):
    target, saved = tiny("llama"), save_head(form, tmp_path)
    head = load_head(tmp_path, target.decoder)
    assert head.config.state_layers == saved.layers
    tokens, logits = foretold(saved, target.reference, PREFIX, 4)
    cache = head.new_cache()
    output = head.read(states_of(target.decoder, saved.layers, PREFIX)[:-1], of_one(PREFIX[1:]), cache)
    torch.testing.assert_close(output.logits[0], logits[0], rtol=1e-4, atol=1e-4)
    for token, expected in zip(tokens, logits[1:], strict=False):
        output = head.go_on(output.state, of_one([token]), cache)
        torch.testing.assert_close(output.logits[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", ["eagle", "eagle3"])
def test_pairs_read_in_parts_give_what_they_give_at_once(tiny, tmp_path, form):
    target = tiny("llama")
    save_head(form, tmp_path)
    head: FeatureHeadModel = load_head(tmp_path, target.decoder)
    states, tokens = states_of(target.decoder, head.config.state_layers, PREFIX), PREFIX[1:]
    whole = head.read(states[:-1], of_one(tokens), head.new_cache())
    cache = head.new_cache(capacity=4)
    for begin, end in ((0, 3), (3, 4), (4, 7)):
        part = head.read(states[begin:end], of_one(tokens[begin:end]), cache)
    torch.testing.assert_close(part, whole)


def test_nested_layers_name_those_that_the_states_come_out_of(tiny, tmp_path):
    config = {"eagle_config": {"eagle_aux_hidden_state_layer_ids": [0]}, "eagle_aux_hidden_state_layer_ids": None}
    saved = save_head("eagle3", tmp_path, **config)
    stored = load_file(tmp_path / "model.safetensors")
    save_file(stored | {"fc.weight": stored["fc.weight"][:, :16].contiguous()}, tmp_path / "model.safetensors")
    assert saved.layers == (0, 1)
    assert load_head(tmp_path, tiny("llama").decoder).config.state_layers == (1,)


def test_the_layers_of_a_head_that_names_none():
    assert default_layers(30) == (2, 15, 27)
    assert [default_layers(n) for n in (1, 2, 5, 6)] == [(0,), (0, 1), (2,), (2, 3)]


BROKEN = {
    "another vocabulary": ("eagle", {"vocab_size": 30}, {}, "for a vocabulary of 30 tokens, the target has 24"),
    "another layer width": (
        "eagle3",
        {"intermediate_size": 24},
        {},
        "'layer.mlp.gate_proj.weight' must have the shape",
    ),
    "more layers": ("eagle3", {"num_hidden_layers": 2}, {}, "a head must have one layer, config.json says 2"),
    "states of another size": (
        "eagle3",
        {},
        {"fc.weight": torch.ones(16, 48)},
        "'fc.weight' must have the shape (16, 32)",
    ),
    "layers that are not there": (
        "eagle3",
        {"eagle_aux_hidden_state_layer_ids": [0, 2]},
        {},
        "reads the states that enter layers (0, 2), rising ones of the target's 2",
    ),
    "layers that are no numbers": ("eagle3", {"eagle_aux_hidden_state_layer_ids": "all"}, {}, "must be whole numbers"),
    "a missing tensor": (
        "eagle",
        {},
        {"layers.0.mlp.up_proj.weight": None},
        "lacks the tensor 'layer.mlp.up_proj.weight'",
    ),
    "a tensor left over": (
        "eagle3",
        {},
        {"midlayer.extra.weight": torch.ones(2)},
        "holds the tensor 'layer.extra.weight'",
    ),
    "no map": ("eagle3", {}, {"d2t": None}, "knows 9 of 24 tokens and has no map of them, the tensor 'd2t'"),
    "a map of another length": (
        "eagle3",
        {},
        {"d2t": torch.zeros(8).long()},
        "d2t must hold 9 whole numbers, got (8,)",
    ),
    "a map beyond the target": ("eagle3", {}, {"d2t": torch.full((9,), 20)}, "must name 9 different tokens in [0, 24)"),
    "a map that names one twice": ("eagle3", {}, {"d2t": -torch.arange(9)}, "must name 9 different tokens in [0, 24)"),
    "marks of another map": ("eagle3", {}, {"t2d": torch.ones(24).bool()}, "t2d must mark the 9 tokens of 24"),
    "marks of another target": ("eagle3", {}, {"t2d": torch.ones(30).bool()}, "t2d must mark the 9 tokens of 24"),
    "an unknown algorithm": (
        "speculators_eagle3",
        {"speculators_model_type": "mlp"},
        {},
        "must be 'eagle' or 'eagle3'",
    ),
    "what is not computed": (
        "speculators_eagle3",
        {"norm_before_fc": True},
        {},
        "norm_before_fc, which is not computed",
    ),
    "a layer that is no object": (
        "speculators_eagle3",
        {"transformer_layer_config": [1]},
        {},
        "transformer_layer_config must be an object, got [1]",
    ),
    "no layer": ("speculators_eagle3", {"transformer_layer_config": {}}, {}, "model_type must be one of"),
    "no truth value": (
        "speculators_eagle3",
        {"norm_before_residual": "yes"},
        {},
        "norm_before_residual must be true or",
    ),
    "a damaged tensor": ("eagle3", {}, {"norm.weight": torch.full((16,), float("nan"))}, "the tensor 'norm.weight'"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_head_that_does_not_fit_is_refused_in_one_sentence(tiny, tmp_path, name):
    form, config, tensors, message = BROKEN[name]
    save_head(form, tmp_path, **config)
    stored = load_file(tmp_path / "model.safetensors") | tensors
    kept = {name: tensor for name, tensor in stored.items() if tensor is not None}
    save_file(kept, tmp_path / "model.safetensors")
    with pytest.raises(ValueError) as caught:
        load_head(tmp_path, tiny("llama").decoder)
    assert str(caught.value).startswith(f"{tmp_path} is no head for this target: ")
    assert message in str(caught.value)


def test_states_of_another_width_are_refused(tiny, tmp_path):
    save_head("eagle", tmp_path)
    with pytest.raises(ValueError, match=r"its states have 16 features, the target's last ones have 24"):
        load_head(tmp_path, tiny("llama", hidden_size=24).decoder)


def test_what_is_no_head_is_refused(tiny, tmp_path):
    target = tiny("llama").decoder
    with pytest.raises(ValueError, match=r"holds no config.json: it is no head"):
        load_head(tmp_path, target)
    save_head("eagle", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"holds no .safetensors file"):
        load_head(tmp_path, target)
    (tmp_path / "pytorch_model.bin").write_bytes(b"no weights")
    with pytest.raises(ValueError, match="is damaged"):
        load_head(tmp_path, target)
    torch.save([1, 2], tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="must hold tensors by name"):
        load_head(tmp_path, target)
    save_head("eagle3", tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    save_file(stored | {"layers.0.mlp.up_proj.weight": torch.ones(20, 16)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"two of its tensors are 'layer.mlp.up_proj.weight'"):
        load_head(tmp_path, target)
    (tmp_path / "config.json").write_text(json.dumps([]))
    with pytest.raises(ValueError, match="must hold a JSON object"):
        load_head(tmp_path, target)
