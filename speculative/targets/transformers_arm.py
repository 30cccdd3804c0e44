"""An arm that answers with transformers' own `generate`, which drafts as the arm says."""

from __future__ import annotations

import time

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from arms import Arm, Observation, Query
from arms.checks import at_least
from arms.fingerprint import digest
from speculative.models.fingerprint import model_fingerprint, sample_digest
from speculative.models.tokenizer import tokenizer_fingerprint
from speculative.targets.rendering import render

_ADAPTED = "num_assistant_tokens"  # of an assistant, by `generate` as it goes


class TransformersArm(Arm):
    """The model's own greedy text by transformers' `generate`, with one of the drafts that a call of it may have.

    Nothing of draftpick's engine runs, so that a choice among such arms needs no other engine than the one in use.
    transformers does not say how many draft tokens it accepted; an observation has text, tokens and seconds. The
    model's own generation settings count: `generate` takes the end of text, a repetition penalty and whatever else is
    not set here from `model.generation_config`.

    Args:
        model: a causal LM that is in memory; arms may share it.
        tokenizer: its own; with a chat template, queries are rendered under it.
        assistant_model: drafts, as in `generate`; None for none.
        prompt_lookup_num_tokens: copied from the prompt in each round, as in `generate`; None for none.
        name: by default "no_draft", "prompt_lookup_N" or "assistant".
        max_new_tokens: length of an answer where a query sets none.

    Raises:
        ValueError: if both drafts are given, or a number is below 1.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        assistant_model: PreTrainedModel | None = None,
        prompt_lookup_num_tokens: int | None = None,
        name: str | None = None,
        max_new_tokens: int = 128,
    ) -> None:
        if assistant_model is not None and prompt_lookup_num_tokens is not None:
            raise ValueError(
                "an arm has one draft, got assistant_model and prompt_lookup_num_tokens: make an arm of each"
            )
        self.model, self.tokenizer = model.eval(), tokenizer
        self.assistant_model = None if assistant_model is None else assistant_model.eval()
        self.prompt_lookup_num_tokens = prompt_lookup_num_tokens
        self.max_new_tokens = at_least(max_new_tokens, 1, "max_new_tokens")
        usual = "no_draft" if assistant_model is None else "assistant"
        if prompt_lookup_num_tokens is not None:
            usual = f"prompt_lookup_{at_least(prompt_lookup_num_tokens, 1, 'prompt_lookup_num_tokens')}"
        self.name = usual if name is None else name

    def fingerprint(self) -> str:
        """Return a digest of the models, their generation settings included, the tokenizer and the settings."""
        assistant = None if self.assistant_model is None else _model_digest(self.assistant_model)
        words = tokenizer_fingerprint(self.tokenizer), self.tokenizer.chat_template
        return digest(_model_digest(self.model), words, assistant, self.prompt_lookup_num_tokens, self.max_new_tokens)

    def pull(self, query: Query, seed: int) -> Observation:
        """Generate the answer, greedily; the seed changes nothing.

        Raises:
            ValueError: if the chat template refuses the query.
        """
        begin = time.perf_counter()
        prompt = torch.tensor([render(self.tokenizer, query)], device=self.model.device)
        settings = GenerationConfig(
            max_new_tokens=query.max_new_tokens or self.max_new_tokens,
            do_sample=False,
            num_beams=1,
            pad_token_id=self._pad_id(),
        )
        with torch.inference_mode():
            tokens = self.model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                generation_config=settings,
                assistant_model=self.assistant_model,
                prompt_lookup_num_tokens=self.prompt_lookup_num_tokens,
            )[0, prompt.shape[1] :]
        text = self.tokenizer.decode(tokens, skip_special_tokens=True)
        seconds = time.perf_counter() - begin
        return Observation(arm=self.name, query_id=query.id, text=text, n_tokens=len(tokens), seconds=seconds)

    def _pad_id(self) -> int:
        """Return any id: one prompt is never padded, and `generate` warns where there is none."""
        pad = self.tokenizer.pad_token_id
        return 0 if pad is None else int(pad)


def _model_digest(model: PreTrainedModel) -> str:
    digests = ((name, sample_digest(weight)) for name, weight in model.named_parameters())
    generation = model.generation_config.to_json_string(ignore_metadata=True, keys_to_pop=[_ADAPTED])
    return model_fingerprint(f"{model.config.to_json_string()} {generation} {model.dtype}", digests)
