"""Text after any rendering of a chat is that of transformers' own template and `generate`, whatever drafts."""

from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM

from speculative import Rendering, Target
from speculative.drafts import DRAFTS, read_draft_spec
from tests.support.heads import save_head
from tests.support.tiny_pool import MAX_POSITIONS, N_VOCAB, byte_tokenizer, save_pool

TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}</>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% if thinking is false %}<no>{% endif %}{{ mood }}{% endif %}"
)
USER = {"role": "user", "content": "abcabcabc"}
PREFILLED = [USER, {"role": "assistant", "content": "Sure: abcab"}]
N_NEW = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = save_pool(tmp_path_factory.mktemp("pool"), TEMPLATE).parent
    save_head("eagle3", folder / "head", n_vocab=N_VOCAB, max_position_embeddings=MAX_POSITIONS)
    return folder


@pytest.fixture(scope="module")
def target(folder):
    return Target.load(str(folder / "target"), max_new_tokens=N_NEW)


@pytest.fixture(scope="module")
def theirs(folder):
    return AutoModelForCausalLM.from_pretrained(folder / "target", dtype=torch.float32).eval()


def transformers_text(model, messages, variables, goes_on):
    """New tokens of `generate` after transformers' own rendering."""
    ids = byte_tokenizer(TEMPLATE).apply_chat_template(
        messages,
        add_generation_prompt=not goes_on,
        continue_final_message=goes_on,
        return_tensors="pt",
        return_dict=True,
        **variables,
    )
    tokens = model.generate(**ids, do_sample=False, max_new_tokens=N_NEW, pad_token_id=0)
    return tuple(tokens[0, ids["input_ids"].shape[1] :].tolist())


@pytest.mark.parametrize("kind", DRAFTS)
@pytest.mark.parametrize(
    ("messages", "variables", "goes_on"),
    [
        (PREFILLED, {}, True),
        ([USER], {"thinking": False}, False),
        ([USER], {"thinking": True, "mood": "glad"}, False),
        (PREFILLED, {"mood": "glad"}, True),
    ],
    ids=["prefill", "a variable", "two variables", "prefill and a variable"],
)
def test_a_prefilled_or_configured_answer_is_that_of_transformers_whatever_drafts(
    folder, target, theirs, messages, variables, goes_on, kind
):
    own = {
        "draft_model": {"model": str(folder / "small")},
        "early_exit": {"n_layers": 1},
        "feature_head": {"model": str(folder / "head")},
    }
    draft = read_draft_spec({"kind": kind, **own.get(kind, {})}).build(target)
    options = {"draft": draft, "draft_length": 0 if kind == "no_draft" else 4}
    expected = transformers_text(theirs, messages, variables, goes_on)
    rendering = Rendering(variables, continue_final_message=goes_on)
    answer = target.generate(messages, rendering=rendering, **options)
    assert answer.token_ids == expected
    assert answer.text == target.text(expected)
    assert "".join(target.stream(messages, rendering=rendering, **options)) == answer.text
    by_target = replace(target, chat_template_kwargs=variables)
    goes = Rendering(continue_final_message=goes_on)
    assert by_target.generate(messages, rendering=goes, **options).token_ids == expected
