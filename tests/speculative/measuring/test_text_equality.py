import pytest
import torch

from speculative.measuring.text_equality import TextEquality, compare_texts, tie_bound
from speculative.protocols.causal_lm import ForwardOutput
from speculative.protocols.token_batch import TokenBatch


def greedy(decoder, prompt, n):
    """The decoder's own text, one full pass a token."""
    text = list(prompt)
    for _ in range(n):
        output = decoder.forward(TokenBatch(torch.tensor(text), [len(text)]), decoder.new_cache(1))
        text.append(int(output.logits[-1].argmax()))
    return text[len(prompt) :]


def test_equal_texts_are_identical(tiny):
    assert compare_texts(tiny().decoder, [1, 2], [3, 4], [3, 4]) == TextEquality("identical")


def test_a_wrong_token_is_a_difference_and_is_placed(tiny):
    decoder = tiny().decoder
    text = greedy(decoder, [1, 2, 3], 5)
    wrong = [*text[:3], (text[3] + 1) % decoder.n_vocab, *text[4:]]
    found = compare_texts(decoder, [1, 2, 3], text, wrong)
    assert (found.kind, found.position) == ("different", 3)
    assert found.gap > 1e-4


def test_a_text_that_stops_early_is_a_difference(tiny):
    decoder = tiny().decoder
    text = greedy(decoder, [1, 2, 3], 4)
    assert compare_texts(decoder, [1, 2, 3], text, text[:2]).kind == "different"


@pytest.mark.parametrize(("swap", "kind"), [((5, 6), "tie"), ((5, 7), "different"), ((7, 5), "different")])
def test_only_the_two_best_tokens_may_part_at_a_tie(tiny, monkeypatch, swap, kind):
    decoder = tiny().decoder
    forward = type(decoder).forward

    def tied(self, *arguments):
        logits = torch.zeros_like(forward(self, *arguments).logits).clone()
        with torch.inference_mode():
            logits[:, [5, 6]] = torch.tensor([9.0, 9.0 - 5e-5])
        return ForwardOutput(logits, logits)

    monkeypatch.setattr(type(decoder), "forward", tied)
    assert compare_texts(decoder, [1], [swap[0], 1], [swap[1], 1]).kind == kind


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("logit", [0.7, 1.0, 1.5, 32.0, -45.0, 63.9])
def test_in_half_precision_a_tie_is_one_spacing_at_the_logits_size(dtype, logit):
    here = torch.tensor(abs(logit)).to(dtype)
    spacing = min(float(here.float() - other) for other in neighbours_below(here, dtype))
    assert tie_bound(dtype, float(here)) in (spacing, 2 * spacing)  # twice at a power of two, where spacing changes
    assert tie_bound(torch.float32, logit) == 1e-4


def neighbours_below(value, dtype):
    bits = value.view(torch.int16) - 1
    return [float(bits.view(dtype))]
