"""What the engine asks of a card, and that its text is the CPU's, on a card that is not there."""

from collections import defaultdict
from dataclasses import replace

import pytest
import torch

from speculative.drafts.draft_model import DraftModel
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.settings import EngineSettings
from speculative.models.decoder import Decoder
from speculative.models.feature_head import FeatureHeadModel
from speculative.sampling.controls_on_device import DeviceControlledSampler
from speculative.sampling.sampling_params import SamplingParams
from tests.support.card_rounds import ARMS, SAMPLINGS, Models, make_models, play, requests, sizes, weights, with_graphs
from tests.support.hard_cases import RandomSelector
from tests.support.pretended_card import PretendedCard
from tests.support.tiny_models import Arm

N_NEW = 4


@pytest.fixture(scope="module")
def on_cpu():
    return make_models("cpu")


@pytest.fixture(scope="module")
def on_card():
    with PretendedCard():
        return with_graphs(make_models("cuda"))


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("arm", ARMS)
def test_the_text_on_a_card_is_the_cpus(on_cpu, on_card, arm, sampling, n):
    here, _ = play(on_cpu, arm, requests(n, SAMPLINGS[sampling], N_NEW), n)
    with PretendedCard() as card:
        there, rounds = play(on_card, arm, requests(n, SAMPLINGS[sampling], N_NEW), n, card)
    assert [generation.stats.faults for generation in there] == [[]] * n
    assert [generation.token_ids for generation in there] == [generation.token_ids for generation in here]
    assert rounds
    assert max(each.counts.n_waits for each in rounds) == 1


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("arm", ["draft model", "trimmed draft model", "early exit", "head"])
def test_a_draft_stops_below_its_confidence_where_the_cpus_does_and_nothing_waits_for_it(
    on_cpu, on_card, arm, sampling
):
    asked, found = requests(3, SAMPLINGS[sampling], 10), []
    with PretendedCard() as card:
        for models, counting in ((on_cpu, None), (on_card, card)):
            stopping = Arm(models.arms[arm].draft.stopping_below(0.2), models.arms[arm].draft_length)
            played, rounds = play(Models(models.target, {arm: stopping}), arm, asked, 3, counting)
            found.append([(each.token_ids, each.stats.proposed, each.stats.faults) for each in played])
    assert found[0] == found[1]
    assert len({n for _, proposed, _ in found[0] for n in proposed}) > 2
    assert max(each.counts.n_waits for each in rounds) == 1


@pytest.fixture(scope="module")
def near_on_card():
    """The same, but the draft model agrees with the target now and then."""
    with PretendedCard():
        models, config, noise = make_models("cuda"), sizes(), torch.Generator().manual_seed(1)
        near = {name: own + 0.1 * torch.randn(own.shape, generator=noise) for name, own in weights(config).items()}
        draft = DraftModel(Decoder(config, near, device="cuda"), name="near", n_target_vocab=config.n_vocab)
        models.arms["draft model"] = Arm(draft, 4)
        return models


@pytest.mark.parametrize("sampling", ["greedy", "coupled", "greedy, penalties", "rejection"])
@pytest.mark.parametrize("arm", ARMS)
def test_what_a_round_launches_does_not_depend_on_what_was_accepted(near_on_card, arm, sampling, monkeypatch):
    passes = []
    for model, name, place in ((Decoder, "forward", 1), (FeatureHeadModel, "read", 2), (FeatureHeadModel, "go_on", 2)):
        own = getattr(model, name)

        def counting(*given, own=own, place=place, **more):
            passes.append(tuple(given[place].counts))
            return own(*given, **more)

        monkeypatch.setattr(model, name, counting)
    launched, accepted = defaultdict(set), defaultdict(set)
    with PretendedCard() as card:
        engine = Engine(near_on_card.target, [near_on_card.arms[arm]])
        engine.submit(requests(1, SAMPLINGS[sampling], 24)[0])
        for _ in range(2):  # the target reads the prompt, then the draft does
            engine.step()
        while engine.n_unfinished:
            card.counted()
            passes.clear()
            [result] = engine.step()
            launched[result.n_proposed].add((*card.counted().kernels, *passes))
            accepted[result.n_proposed].add(result.n_accepted)
    assert {n: len(found) for n, found in launched.items()} == dict.fromkeys(launched, 1)
    if arm in ("prompt look-up", "draft model", "early exit"):
        assert max(len(found) for found in accepted.values()) > 1


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("sampling", ["greedy", "coupled", "rejection"])
@pytest.mark.parametrize("arm", ["draft model", "trimmed draft model"])
def test_a_draft_models_whole_proposal_is_one_graph_beside_the_targets(on_card, arm, sampling, n):
    with PretendedCard() as card:
        for _ in range(2):  # the first time they are recorded
            _, rounds = play(on_card, arm, requests(n, SAMPLINGS[sampling], 16), n, card)
    kernels = [tuple(each.counts.kernels) for each in rounds[1:] if each.proposed == (4,) * n]
    assert len(kernels) > 1
    assert {own.count("graph") for own in kernels} == {2}
    assert len({*kernels}) == 1
    assert on_card.arms[arm].draft.model.graphs.widths == {1, 5}  # a text's last rounds run by the same programs


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("sampling", ["greedy", "coupled", "coupled, top-k, top-p, min-p"])
@pytest.mark.parametrize("arm", ["no draft", "draft model"])
def test_a_rounds_pass_picks_and_accepts_in_its_graph_and_the_rest_is_copies(on_card, arm, sampling, n):
    with PretendedCard() as card:
        for _ in range(2):  # the first time they are recorded
            _, rounds = play(on_card, arm, requests(n, SAMPLINGS[sampling], 16), n, card)
    whole = [each for each in rounds[1:] if each.proposed == ((4 if arm == "draft model" else 0),) * n]
    assert len(whole) > 2
    for each in whole[:-1]:  # in the last one a request ends, and rows move up
        assert tuple(each.counts.kernels) == COPIES_AND_GRAPHS[arm]


def test_after_so_many_kinds_of_sampling_no_more_passes_pick_in_their_graph_and_the_text_stays(on_cpu):
    kinds = [SamplingParams(temperature=0.5 + i / 10, seed=3) for i in range(10)]
    launched = []
    with PretendedCard() as card:
        models = with_graphs(make_models("cuda"))
        for kind in [*kinds, kinds[0]]:
            [there], rounds = play(models, "no draft", requests(1, kind, 6), card=card)
            [here], _ = play(on_cpu, "no draft", requests(1, kind, 6))
            assert there.token_ids == here.token_ids
            launched.append(len(rounds[-1].counts.kernels))
    assert launched[:8] == [launched[0]] * 8
    assert min(launched[8:10]) > launched[0]
    assert launched[10] == launched[0]


COPIES_AND_GRAPHS = {
    "no draft": ("copy_", "copy_", "graph"),  # into the graph: tokens, places
    "draft model": (
        *("copy_", "copy_", "copy_", "graph", "clone", "clone"),  # tokens, places, numbers; draft tokens, their logits
        *("cat", "copy_", "copy_", "graph"),  # the text's last tokens with the draft tokens
        *("_to_copy", "_to_copy", "cat"),  # what the host reads, as one
    ),
}


@pytest.mark.parametrize("arm", ["prompt look-up", "trimmed draft model", "early exit", "head"])
def test_requests_that_sample_differently_and_end_apart_share_a_round_on_a_card(on_cpu, on_card, arm):
    kinds = [*SAMPLINGS.values(), SAMPLINGS["coupled"], SamplingParams(0.6, seed=9, verification="rejection")]
    asked = [
        replace(request, sampling=kinds[i], max_new_tokens=3 + i)
        for i, request in enumerate(requests(len(kinds), SAMPLINGS["greedy"]))
    ]
    here, _ = play(on_cpu, arm, asked, len(asked))
    with PretendedCard() as card:
        there, rounds = play(on_card, arm, asked, len(asked), card)
    assert [generation.stats.faults for generation in there] == [[]] * len(asked)
    assert [generation.token_ids for generation in there] == [generation.token_ids for generation in here]
    assert max(each.counts.n_waits for each in rounds) == 1


@pytest.mark.parametrize("n_before", [0, 1, 4])
def test_a_sampler_that_raises_costs_its_own_request_the_draft_alone(on_cpu, on_card, n_before, monkeypatch):
    asked, calls, own = requests(3, SAMPLINGS["greedy, penalties"], N_NEW), [], DeviceControlledSampler.pick

    def raising(*given):
        calls.append(given)
        if len(calls) == n_before + 1:
            raise ArithmeticError("on purpose")
        return own(*given)

    here, _ = play(on_cpu, "no draft", asked, 3)
    monkeypatch.setattr(DeviceControlledSampler, "pick", raising)
    with PretendedCard():
        there, _ = play(on_card, "draft model", asked, 3)
    reasons = [fault.reason for generation in there for fault in generation.stats.faults]
    assert reasons == ["ArithmeticError: on purpose"]
    assert [generation.token_ids for generation in there] == [generation.token_ids for generation in here]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_runs_on_a_card(dtype):
    with PretendedCard():
        models = make_models("cuda", dtype)
        for arm in ("suffix", "draft model", "eagle3 head"):
            for generation in play(models, arm, requests(2, SAMPLINGS["coupled"], N_NEW), 2)[0]:
                assert generation.finished == "length"
                assert not generation.stats.faults


@pytest.mark.parametrize("sampling", ["coupled", "rejection"])
def test_arms_that_differ_from_request_to_request_keep_the_text_on_a_card(on_cpu, on_card, sampling):
    asked = requests(5, SAMPLINGS[sampling], 6)

    def answered(models):
        arms = list(models.arms.values())
        engine = Engine(models.target, arms, RandomSelector(len(arms), 1), settings=EngineSettings(max_batch=5))
        return generate(engine, asked)

    here = answered(on_cpu)
    with PretendedCard():
        there = answered(on_card)
    assert [generation.stats.faults for generation in there] == [[]] * 5
    assert [generation.token_ids for generation in there] == [generation.token_ids for generation in here]


@pytest.mark.parametrize("arm", ["no draft", "prompt look-up"])
def test_a_token_after_which_the_targets_logits_are_no_numbers_ends_its_own_request_alone(arm):
    kinds, poison, found = [*SAMPLINGS.values()], 9, []
    asked = [
        replace(request, token_ids=(*(token for token in request.token_ids if token != poison), 1), sampling=kind)
        for request, kind in zip(requests(len(kinds), kinds[0]), kinds, strict=True)
    ]
    with PretendedCard():
        for device in ("cpu", "cuda"):
            models = make_models(device)
            models.target.embedding[poison] = float("nan")
            answers = play(models, arm, asked, len(asked))[0]
            found.append([(each.token_ids, each.finished, each.failure) for each in answers])
    assert found[0] == found[1]
    assert {finished for _, finished, _ in found[1]} == {"failed", "length"}
    assert all((finished == "failed") == (poison in token_ids) for token_ids, finished, _ in found[1])


@pytest.mark.parametrize("sampling", ["coupled", "rejection"])
@pytest.mark.parametrize("arm", ["draft model", "head"])
def test_logits_that_are_no_numbers_are_told_with_the_one_read_and_the_text_stays(on_cpu, arm, sampling):
    asked = requests(3, SAMPLINGS[sampling], N_NEW)
    here, _ = play(on_cpu, "no draft", asked, 3)
    with PretendedCard() as card:
        models = make_models("cuda")
        spoil(models.arms[arm].draft)
        there, rounds = play(models, arm, asked, 3, card)
    assert [[fault.reason[:18] for fault in generation.stats.faults] for generation in there] == [
        ["FloatingPointError"]
    ] * 3
    assert [generation.token_ids for generation in there] == [generation.token_ids for generation in here]
    assert max(each.counts.n_waits for each in rounds) == 1


@pytest.mark.parametrize("arm", ["draft model", "head"])
def test_what_is_no_number_in_a_drafts_cache_reaches_no_later_request(arm):
    long, short, longest = (requests(4, SAMPLINGS["coupled"], N_NEW)[i] for i in (2, 0, 3))
    with PretendedCard():
        models = make_models("cuda")
        engine = Engine(models.target, [models.arms[arm]], settings=EngineSettings(max_batch=2))
        with pytest.MonkeyPatch.context() as patch:
            spoil_passes(models.arms[arm].draft, patch)
            [spoilt] = generate(engine, [long])
        later = generate(engine, [short, longest])
    assert spoilt.stats.faults
    assert [generation.stats.faults for generation in later] == [[], []]


def spoil_passes(draft, patch):
    """Let a draft's own passes take in NaN, keys and values too."""
    if isinstance(draft, DraftModel):
        patch.setattr(draft.model, "embedding", draft.model.embedding * float("nan"))
    else:
        read = draft.head.read
        patch.setattr(draft.head, "read", lambda states, *more: read(states * float("nan"), *more))


def spoil(draft):
    """Let a draft's own passes give NaN."""
    if isinstance(draft, DraftModel):
        draft.model.embedding.fill_(float("nan"))
    else:
        read = draft.head.read

        def spoilt(*arguments):
            output = read(*arguments)
            return output._replace(logits=output.logits * float("nan"))

        draft.head.read = spoilt


@pytest.mark.parametrize("sampling", ["greedy", "coupled"])
def test_tokens_that_are_left_out_keep_no_row_of_the_target_from_giving_its_token(on_cpu, sampling):
    """A draft that is never sure drafts to its full length on a card; those tokens spoil the pass that reads them."""
    asked = requests(2, SAMPLINGS[sampling], N_NEW)
    here, _ = play(on_cpu, "no draft", asked, 2)
    with PretendedCard():
        models = make_models("cuda")
        models.arms["never sure"] = Arm(models.arms["draft model"].draft.stopping_below(1.0), 4)
        forward = models.target.forward

        def spoilt(batch, cache, logit_rows=None):
            output = forward(batch, cache, logit_rows)
            is_spoilt = logit_rows is None and max(batch.counts) > 1
            return replace(output, logits=output.logits * float("nan"), accepted=None) if is_spoilt else output

        models.target.forward = spoilt
        there, _ = play(models, "never sure", asked, 2)
    assert [generation.token_ids for generation in there] == [generation.token_ids for generation in here]
    assert all("allow no choice" in generation.stats.faults[0].reason for generation in there)


def test_a_draft_on_another_device_than_the_target_is_refused_before_anything_runs(on_cpu, on_card):
    for arm in ("draft model", "early exit", "head"):
        with (
            PretendedCard(),
            pytest.raises(ValueError, match="its draft must be on the target's device, cuda, got cpu"),
        ):
            Engine(on_card.target, [on_cpu.arms[arm]])
    with PretendedCard(), pytest.raises(ValueError, match="device, cpu, got cuda"):
        Engine(on_cpu.target, [on_card.arms["draft model"]])
