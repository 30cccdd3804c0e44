"""A pool: the target, the arms it may be helped by and the encoder of queries, read from one TOML file."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from arms import ArmSet
from bandits import ContextEncoder, HashingEncoder, SentenceEncoder
from speculative.drafts.draft_model import DraftModel
from speculative.drafts.early_exit import EarlyExit
from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.drafts.suffix.draft import SuffixDraft
from speculative.drafts.suffix.store import SuffixStore
from speculative.models.decoder import Decoder
from speculative.models.settings import DEFAULT_CACHE, ModelSettings, WeightPrecision
from speculative.protocols.draft import Draft
from speculative.targets.hidden_state_encoder import HiddenStateEncoder
from speculative.targets.speculative_arm import SpeculativeArm, drafts_of
from speculative.targets.target import Target

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_SETTINGS = {
    "no_draft": (),
    "prompt_lookup": ("max_ngram", "min_ngram"),
    "suffix": ("max_match", "store_tokens", "max_tokens_per_match_token", "offset", "learn"),
    "draft_model": ("model", "weights"),
    "early_exit": ("n_layers",),
}


class ArmSpec(BaseModel):
    """One arm: which draft, how far it guesses, and the draft's settings.

    Attributes:
        kind: what drafts.
        draft_length: tokens guessed a round; 0 for no draft.
        name: of the arm; by default made of the draft's name and the draft length.
        model: of a draft model, whatever `resolve_model` finds.
        weights: of a draft model: "int4" keeps all of them at 4 bits, the head's too.
        max_ngram, min_ngram: longest and shortest match of a prompt lookup, tokens.
        max_match: longest match that a suffix draft tells apart, tokens.
        store_tokens: earlier outputs that a suffix draft keeps, tokens.
        max_tokens_per_match_token, offset: a suffix draft's limit on what it proposes.
        learn: whether a suffix draft stores what is generated. A draft that learns guesses differently each time:
            what is replayed or measured then holds no more.
        n_layers: layers of the target that an early exit runs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["no_draft", "prompt_lookup", "suffix", "draft_model", "early_exit"]
    draft_length: int = Field(default=0, ge=0, le=64)
    name: str | None = None
    model: str | None = None
    weights: Literal["dense", "int4"] = "dense"
    max_ngram: int = Field(default=4, ge=1)
    min_ngram: int = Field(default=1, ge=1)
    max_match: int = Field(default=16, ge=1)
    store_tokens: int = Field(default=65_536, ge=0)
    max_tokens_per_match_token: float | None = Field(default=None, ge=0)
    offset: float = 0.0
    learn: bool = False
    n_layers: int | None = Field(default=None, ge=1)

    @property
    def settings(self) -> dict[str, object]:
        """The draft's settings, by name: arms of equal kind and settings share a draft."""
        return {name: getattr(self, name) for name in _SETTINGS[self.kind]}

    @property
    def changed_settings(self) -> dict[str, object]:
        """Those that are not the defaults."""
        return {name: value for name, value in self.settings.items() if value != type(self).model_fields[name].default}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.kind == "no_draft") != (self.draft_length == 0):
            raise ValueError(f"draft_length must be 0 for no_draft and >= 1 for {self.kind}, got {self.draft_length}")
        if (self.kind == "draft_model") != (self.model is not None):
            raise ValueError(
                f"model must be given for draft_model and for no other kind, got {self.model!r} for {self.kind}"
            )
        if self.weights != "dense" and self.kind != "draft_model":
            raise ValueError(f"weights must be dense unless kind is draft_model, got {self.weights!r} for {self.kind}")
        if self.min_ngram > self.max_ngram:
            raise ValueError(f"min_ngram must be <= max_ngram, got {self.min_ngram} > {self.max_ngram}")
        if (self.kind == "early_exit") != (self.n_layers is not None):
            raise ValueError(
                f"n_layers must be given for early_exit and for no other kind, got {self.n_layers} for {self.kind}"
            )
        for kind, names in _SETTINGS.items():
            for name in names:
                if kind != self.kind and getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{name} is a setting of {kind} and of no other kind, got it for {self.kind}")
        return self


class EncoderSpec(BaseModel):
    """How queries become contexts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["sentence", "hidden_state", "hashing"] = "sentence"
    model: str | None = None
    n_features: int = Field(default=256, ge=1)


class PoolSpec(BaseModel):
    """The content of a pool.toml.

    Attributes:
        target: whatever `resolve_model` finds.
        weights: of the target: "int4", "int4_fast" and "int4_all" keep them at 4 bits, as `load_decoder`
            says; faster, and the text is another.
        dtype: of the target's other numbers, and of every draft.
        device: of all models.
        max_new_tokens: length of an answer where a query sets none.
        max_batch: most queries answered at once.
        encoder: how queries become contexts.
        arms: one of kind no_draft at least.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: str
    weights: WeightPrecision = "dense"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "cpu"
    max_new_tokens: int = Field(default=128, ge=1)
    max_batch: int = Field(default=8, ge=1)
    encoder: EncoderSpec = EncoderSpec()
    arms: tuple[ArmSpec, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not any(arm.kind == "no_draft" for arm in self.arms):
            raise ValueError("arms must hold one of kind no_draft: what every other arm is compared with")
        return self


@dataclass(frozen=True, slots=True)
class Pool:
    """A loaded pool."""

    spec: PoolSpec
    target: Target
    arms: ArmSet[SpeculativeArm]
    encoder: ContextEncoder

    @property
    def drafts(self) -> list[Draft]:
        """Each draft once, in the order of the arms."""
        return drafts_of(self.arms)


def read_pool_spec(path: Path) -> PoolSpec:
    """Read and check a pool.toml; relative model folders and files are taken from where it lies.

    Raises:
        ValueError: if the file is missing, is no TOML or breaks a rule; it names file, field and value.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"pool file {path} cannot be read ({error.strerror}); check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"pool file {path} is not TOML: {error}") from error
    try:
        spec = PoolSpec.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ", ".join([f"pool file {path}", *filter(None, [".".join(map(str, first["loc"]))])])
        rule = first["msg"].removeprefix("Value error, ")
        got = "" if isinstance(first["input"], dict) else f", got {first['input']!r}"
        raise ValueError(f"{where}: {rule}{got}") from error
    arms = tuple(arm.model_copy(update={"model": _beside(path, arm.model)}) for arm in spec.arms)
    encoder = spec.encoder.model_copy(update={"model": _beside(path, spec.encoder.model)})
    return spec.model_copy(update={"target": _beside(path, spec.target), "encoder": encoder, "arms": arms})


def load_target(spec: PoolSpec, cache: Path = DEFAULT_CACHE) -> Target:
    """Load a pool's target alone.

    Raises:
        ValueError: if it cannot be found or read.
    """
    return Target.load(
        spec.target,
        ModelSettings(dtype=_DTYPES[spec.dtype], device=spec.device, weights=spec.weights, cache=cache),
        max_new_tokens=spec.max_new_tokens,
        max_batch=spec.max_batch,
    )


def load_pool(spec: PoolSpec, cache: Path = DEFAULT_CACHE) -> Pool:
    """Load the target and every draft.

    Raises:
        ValueError: if a model is missing, a draft speaks other tokens, or two arms or drafts share a name.
    """
    target = load_target(spec, cache)
    drafts: dict[tuple[object, ...], Draft] = {}
    arms = ArmSet[SpeculativeArm]()
    for arm in spec.arms:
        key = (arm.kind, *arm.settings.values())
        if key not in drafts:
            drafts[key] = _load_draft(arm, target, cache)
        arms.add(SpeculativeArm(target, drafts[key], arm.draft_length, name=arm.name))
    names = [draft.name for draft in drafts.values()]
    twice = [name for name in names if names.count(name) > 1]
    if twice:  # traces and costs are filed under a draft's name
        raise ValueError(f"two models of the pool give a draft the name {twice[0]!r}; rename one's folder or file")
    return Pool(spec, target, arms, _make_encoder(spec.encoder, target))


def _load_draft(arm: ArmSpec, target: Target, cache: Path) -> Draft:
    if arm.kind == "no_draft":
        return NoDraft()
    if arm.kind == "prompt_lookup":
        lookup = PromptLookup(arm.max_ngram, min_ngram=arm.min_ngram)
        if arm.changed_settings:
            lookup.name += f"_{arm.min_ngram}to{arm.max_ngram}"
        return lookup
    if arm.kind == "suffix":
        return SuffixDraft(
            SuffixStore(arm.store_tokens, arm.max_match),
            learn=arm.learn,
            max_tokens_per_match_token=arm.max_tokens_per_match_token,
            offset=arm.offset,
            name="_".join(["suffix", *(f"{name}_{value}" for name, value in arm.changed_settings.items())]),
        )
    if arm.kind == "early_exit":
        assert arm.n_layers is not None
        if not isinstance(target.model, Decoder):
            raise ValueError(f"early_exit needs a target that draftpick's own decoder computes, not {target.name!r}")
        return EarlyExit(target.model, n_layers=arm.n_layers, n_target_vocab=target.n_tokens)
    assert arm.model is not None
    model = target.model
    draft = DraftModel.load(
        arm.model,
        target.tokenizer,
        target.n_tokens or model.n_vocab,
        ModelSettings(
            dtype=model.dtype,
            device=model.device,
            weights="int4_all" if arm.weights == "int4" else "dense",  # a guess may be less exact than a text
            cache=cache,
        ),
    )
    if arm.weights == "int4":
        draft.name += "_int4"
    return draft


def _make_encoder(spec: EncoderSpec, target: Target) -> ContextEncoder:
    if spec.kind == "hashing":
        return HashingEncoder(spec.n_features)
    if spec.kind == "hidden_state":
        return HiddenStateEncoder(target)
    return SentenceEncoder() if spec.model is None else SentenceEncoder(spec.model)


def _beside(path: Path, model: str | None) -> str | None:
    """A model named by a path that exists beside the pool file is taken from there."""
    if model and (path.parent / model).exists():
        return str((path.parent / model).resolve())
    return model
