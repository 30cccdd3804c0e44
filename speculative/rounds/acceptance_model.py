"""How many of a draft's tokens will be accepted: a calibrated survival curve per draft, from the record of a round."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from arms.checks import at_least, positive
from bandits.checks import Float32, Float64
from bandits.policies import codec
from speculative.collection.arm_plan import ArmPlan
from speculative.rounds.hazard import fit_logistic, sigmoid
from speculative.rounds.prompt_features import PromptFeatures
from speculative.rounds.record import RECORD_VERSION, RecordLayout, RoundRecord

KIND = "AcceptanceModel"
NUMBERS = ("weights", "mean", "scale", "low", "high", "goes_on")
UNLIMITED = 1e30
N_HEADS = 2  # weights of the first draft token, and of those after an accepted one


@dataclass(frozen=True, slots=True)
class AcceptedCounts:
    """What each draft got accepted after rounds whose records are known.

    Attributes:
        records: (n, d) float32, the records' values.
        asked: per draft, (n,) int; tokens that it is asked for; 0 or less where it is not, or its look-up has no match.
        accepted: per draft, (n,) int; tokens accepted of those that it proposes, which may be fewer than asked for.
        goes_on: of a draft that stops where it is unsure, the share of the tokens computed that it proposes, in [0, 1].
    """

    records: Float32
    asked: Mapping[str, np.ndarray]
    accepted: Mapping[str, np.ndarray]
    goes_on: Mapping[str, float] = field(default_factory=dict)


class AcceptanceModel:
    """P(accepted >= i | record) of each draft, as a product of steps: discrete hazards.

        survival(i) = prod over s <= i of h(s),  h(s) = sigmoid(weights[head(s)] . z + depth * log(s))

    with z the record, standardised on training records, one set of weights for the first draft token and one for those
    after an accepted one. A number beyond all that were trained on counts as the farthest of them, since a line fitted
    within a range says nothing outside of it. It knows nothing of seconds, so that it serves on any machine.

    Args:
        layout: of the records.
        ridge: > 0, pulls the weights to zero, the constant's excepted.

    Attributes:
        goes_on: per draft, probability that it proposes the token that it computes; 1 where it never stops early.

    Raises:
        ValueError: if the ridge is not positive.

    Source: discrete-time survival analysis by logistic regression: Singer, Willett 1993, "It's about time", Journal of
    Educational Statistics 18(2).
    """

    def __init__(self, layout: RecordLayout, ridge: float = 10.0) -> None:
        self.layout, self.ridge = layout, positive(ridge, "ridge")
        n = len(layout.names)
        self.mean, self.scale = np.zeros(n), np.ones(n)
        self.low, self.high = np.full(n, -UNLIMITED), np.full(n, UNLIMITED)
        self.weights = np.zeros((len(layout.drafts), N_HEADS, n + 1))
        self.goes_on = np.ones(len(layout.drafts))

    def fit(self, counts: AcceptedCounts, without: Collection[str] = ()) -> "AcceptanceModel":
        """Learn from rounds whose outcome is known for every draft.

        Args:
            counts: records and what each draft got accepted.
            without: what the numbers' names begin or end with that it is not shown, to see what they are worth.

        Raises:
            ValueError: if there is no record, or a draft of the layout has no counts.
        """
        at_least(len(counts.records), 1, "records")
        missing = [draft for draft in self.layout.drafts if draft not in counts.accepted]
        if missing:
            raise ValueError(f"the counts hold nothing of draft {missing[0]!r}")
        records = counts.records.astype(np.float64)
        self.mean, self.scale = records.mean(axis=0), records.std(axis=0)
        self.low, self.high = records.min(axis=0), records.max(axis=0)
        self.scale[self.scale < 1e-6] = 1.0
        self.mean[0] = 0.0  # the constant stays one
        features = (records - self.mean) / self.scale
        features[
            :, [name.startswith(tuple(without)) or name.endswith(tuple(without)) for name in self.layout.names]
        ] = 0
        self.goes_on = np.array([counts.goes_on.get(draft, 1.0) for draft in self.layout.drafts])
        for d, draft in enumerate(self.layout.drafts):
            asked, accepted = counts.asked[draft], counts.accepted[draft]
            for head in range(N_HEADS):
                rows, outcomes = _steps(features, asked, accepted, head)
                if len(outcomes):
                    self.weights[d, head] = fit_logistic(rows, outcomes, self.ridge)
        return self

    def survival(self, record: RoundRecord, n_tokens: int) -> Float64:
        """Return P(accepted >= i), i = 1 .. n_tokens, of each draft, (drafts, n_tokens); 0 where no match is found."""
        features = (np.clip(record.values, self.low, self.high) - self.mean) / self.scale
        scores = self.weights[:, :, :-1] @ features
        depth = np.log(np.arange(1, n_tokens + 1))
        steps = scores[:, 1:] + self.weights[:, 1, -1:] * depth
        steps[:, 0] = scores[:, 0]
        survival = np.asarray(np.cumprod(sigmoid(steps), axis=1), dtype=np.float64)
        for d, match in enumerate(record.match_lengths):
            if match == 0:
                survival[d] = 0.0
        return survival

    def save(self, path: str | Path) -> Path:
        """Write the model to a folder or a .safetensors file and return the file's path."""
        return codec.write_file(path, *self.content())

    def content(self) -> tuple[dict[str, object], dict[str, np.ndarray]]:
        """Return the header and the arrays of a file; `of_content` reads them."""
        header: dict[str, object] = {"class": KIND, "record_version": RECORD_VERSION, "ridge": self.ridge}
        header |= {"drafts": list(self.layout.drafts)}
        tensors, prompt = {name: np.asarray(getattr(self, name)) for name in NUMBERS}, self.layout.prompt
        if prompt is not None:
            header |= {"prompt_encoder": prompt.encoder}
            tensors |= {"prompt_mean": prompt.mean, "prompt_components": prompt.components}
        return header, tensors

    @classmethod
    def load(cls, path: str | Path, arms: Mapping[str, ArmPlan]) -> "AcceptanceModel":
        """Read what `save` wrote, for arms with the same drafts; their lengths may differ.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is damaged, holds something else, or was learned from other records or drafts.
        """
        header, tensors = codec.read_file(path)
        if header.get("class") != KIND:
            raise ValueError(f"{path} holds a {header.get('class')}, not an {KIND}")
        return cls.of_content(path, header, tensors, arms)

    @classmethod
    def of_content(
        cls,
        path: str | Path,
        header: Mapping[str, object],
        tensors: Mapping[str, np.ndarray],
        arms: Mapping[str, ArmPlan],
    ) -> "AcceptanceModel":
        """Return the model of a file's header and arrays.

        Raises:
            ValueError: if they are damaged, or of other records or drafts.
        """
        if header.get("record_version") != RECORD_VERSION:
            raise ValueError(
                f"{path} was learned from round records of version {header.get('record_version')}, this draftpick "
                f"makes version {RECORD_VERSION}: fit it again"
            )
        layout = RecordLayout(arms, _prompt_features(tensors, header.get("prompt_encoder")))
        drafts = header.get("drafts")
        if drafts != list(layout.drafts):
            raise ValueError(f"{path} knows the drafts {drafts}, but the arms have {list(layout.drafts)}: fit it again")
        ridge = header.get("ridge")
        model = cls(layout, ridge if isinstance(ridge, float) else 0.0)
        for name in NUMBERS:
            found, like = tensors.get(name), getattr(model, name)
            if found is None or found.shape != like.shape or not np.isfinite(found).all():
                raise ValueError(f"{path}: {name} must be {like.shape} finite numbers: fit it again")
            setattr(model, name, found)
        return model


def _prompt_features(tensors: Mapping[str, np.ndarray], encoder: object) -> PromptFeatures | None:
    mean, components = tensors.get("prompt_mean"), tensors.get("prompt_components")
    if mean is None or components is None:
        return None
    if components.ndim != 2 or mean.shape != components.shape[1:]:
        raise ValueError(f"a saved prompt's directions must be (q, {len(mean)}), got {components.shape}: fit it again")
    return PromptFeatures(mean, components, encoder if isinstance(encoder, str) else None)


def _steps(features: Float64, asked: np.ndarray, accepted: np.ndarray, head: int) -> tuple[Float64, Float64]:
    """Return a row for each step, of the first ones or of those after, and whether its token was accepted.

    A token that was asked for and not proposed counts as not accepted: it brings as little as a rejected one.
    """
    if head == 0:
        was_asked = asked > 0
        zeros = np.zeros((int(was_asked.sum()), 1))
        return np.hstack([features[was_asked], zeros]), (accepted[was_asked] > 0).astype(np.float64)
    examined = np.minimum(accepted + 1, asked)
    n_later = np.maximum(examined - 1, 0)
    at = np.repeat(np.arange(len(features)), n_later)
    step = np.concatenate([np.arange(2, n + 2) for n in n_later]) if len(at) else np.zeros(0)
    outcomes = (step <= accepted[at]).astype(np.float64)
    return np.hstack([features[at], np.log(np.maximum(step, 1))[:, None]]), outcomes


def expected_tokens(survival: Float64, draft_of: Sequence[int | None], lengths: Sequence[int]) -> Float64:
    """Return the new tokens to expect of each arm, the target's own included, (k,)."""
    sums = np.concatenate([np.zeros((len(survival), 1)), np.cumsum(survival, axis=1)], axis=1)
    return np.array([1.0 if d is None else 1.0 + sums[d, n] for d, n in zip(draft_of, lengths, strict=True)])
