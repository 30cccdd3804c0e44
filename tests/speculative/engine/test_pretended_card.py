"""The pretended card refuses what a card refuses, counts what a card does, and finds faults put in on purpose."""

import pytest
import torch

from speculative.drafts import draft_model, draft_program, drafting_loop, drafting_on_card
from speculative.models import decoder, static_plan
from speculative.models.decoder import Decoder
from speculative.protocols.token_batch import TokenBatch
from tests.support.card_rounds import SAMPLINGS, make_models, play, requests, sizes, weightless
from tests.support.mutants import mutant
from tests.support.pretended_card import PretendedCard


@pytest.fixture
def card():
    with PretendedCard(package="/tests/") as entered:
        yield entered


def test_a_tensor_asked_for_on_the_card_claims_to_be_there_and_keeps_its_values(card):
    x = torch.arange(4, device="cuda")
    assert (x.device, x.is_cuda, x.is_cpu) == (torch.device("cuda", 0), True, False)
    assert (x + 1).cpu().tolist() == [1, 2, 3, 4]
    assert not x.cpu().is_cuda
    assert torch.arange(4).device.type == "cpu"


def test_two_devices_in_one_operation_are_refused_but_for_numbers_and_indices(card):
    here, there = torch.ones(3), torch.ones(3, device="cuda")
    for mix in (lambda: here + there, lambda: torch.cat([here, there]), lambda: here[there.long()]):
        with pytest.raises(RuntimeError, match="device"):
            mix()
    with pytest.raises(TypeError, match="numpy"):
        there.numpy()
    assert (there + torch.tensor(1.0)).tolist() == [2.0] * 3
    assert there[torch.tensor([0, 1])].tolist() == [1.0] * 2


def test_what_the_host_waits_for_is_counted_with_the_line_that_asked(card):
    x = torch.zeros(4, device="cuda")
    card.counted()
    float(x[0])
    assert bool(x.any()) is False
    x.cpu()
    x[x > 0]
    waits = card.counted().to_host
    assert waits.total() == 4
    assert all("test_pretended_card.py:" in line for line in waits)


def test_pageable_memory_makes_the_host_wait_and_pinned_memory_does_not(card):
    torch.ones(2).to("cuda")
    torch.tensor([1], device="cuda")
    assert card.counted().to_device.total() == 2
    pinned = torch.ones(2).pin_memory()
    buffer = pinned.to("cuda", non_blocking=True)
    buffer.copy_(pinned, non_blocking=True)
    assert card.counted().n_waits == 0
    buffer.copy_(pinned)
    assert card.counted().n_waits == 1


def test_launches_are_counted_with_their_bytes_and_views_launch_nothing(card):
    x = torch.zeros(2, 3, device="cuda")
    card.counted()
    (x.view(3, 2).t()[0:2] + 1).relu_()
    counts = card.counted()
    assert counts.launches == [("add", 48), ("relu_", 24)]
    with torch.inference_mode():
        store, rows = torch.zeros(3, 1, 2, 8, 4, device="cuda"), torch.zeros(2, dtype=torch.int64, device="cuda")
        card.counted()
        torch.nn.functional.scaled_dot_product_attention(*store.unbind(0))
        store[rows] = store[rows]
    assert card.counted().launches == [("sdpa efficient", 4 * 256), ("index", 4 * 256), ("index_put_", 4 * 256)]


def test_outside_of_its_block_a_tensor_of_the_card_is_refused():
    with PretendedCard():
        x = torch.ones(1, device="cuda")
    with pytest.raises(RuntimeError, match="outside"):
        x + 1


def test_shapes_that_fit_no_memory_are_counted_on_meta_tensors():
    large = {"vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32}
    config = sizes(2, **large, num_key_value_heads=8, max_position_embeddings=4096)
    with PretendedCard(inner="meta") as card:
        model = Decoder(config, weightless(config), dtype=torch.bfloat16, device="cuda")
        cache = model.new_cache(1, 1024)
        cache.lengths[0] = 511
        batch = TokenBatch.of([[1]], model.device)
        card.counted()
        model.forward(batch, cache)
    counts = card.counted()
    assert counts.n_waits == 0
    per_layer = 2 * (4096 * 4096 * 2 + 4096 * 1024 * 2 + 3 * 4096 * 14336)  # bfloat16
    head = 2 * 4096 * 128256
    assert counts.n_bytes == pytest.approx(2 * per_layer + head, rel=0.02)
    assert counts.kernels.count("flash rows") == 2


def texts_and_waits(arm, device="cuda"):
    with PretendedCard() as card:
        found, rounds = play(make_models(device), arm, requests(3, SAMPLINGS["greedy"], 6), 3, card)
    faults = [fault for generation in found for fault in generation.stats.faults]
    return [generation.token_ids for generation in found], faults, max(each.counts.n_waits for each in rounds)


def test_a_device_left_out_is_found(monkeypatch):
    wrong = mutant(static_plan, "torch.arange(width, device=device)", "torch.arange(width)")
    monkeypatch.setattr(decoder, "StaticPlan", wrong.StaticPlan)
    with pytest.raises(RuntimeError, match=r"two devices.*static_plan.py"):
        texts_and_waits("prompt look-up")


def test_a_forgotten_mask_is_found(monkeypatch):
    right = texts_and_waits("no draft")[0]
    wrong = mutant(static_plan, "device=device) > at[..., None]", "device=device) > form.capacity + at[..., None]")
    monkeypatch.setattr(decoder, "StaticPlan", wrong.StaticPlan)
    assert texts_and_waits("no draft")[0] != right


@pytest.mark.parametrize(
    ("arm", "module", "user", "name"),
    [
        ("head", drafting_on_card, drafting_loop, "draft_on_card"),
        ("draft model", draft_program, draft_model, "propose_by_program"),
    ],
)
def test_a_value_read_in_the_loop_is_found(arm, module, user, name, monkeypatch):
    text, _, n_waits = texts_and_waits(arm)
    line = "rows = draft.allowed(logits)"
    wrong = mutant(module, line, f"{line}; float(rows[0, 0])")
    monkeypatch.setattr(user, name, getattr(wrong, name))
    found = texts_and_waits(arm)
    assert found[0] == text
    assert found[2] > n_waits == 1
