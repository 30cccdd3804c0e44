"""The head that a new one goes on from, as it is when the work begins."""

from dataclasses import dataclass, replace
from pathlib import Path

from speculative.distillation.head_training import HeadRecipe, HeadSettings
from speculative.drafts.draft_model import read_vocabulary
from speculative.models.decoder import Decoder, Weights
from speculative.models.head_files import default_layers, load_head
from speculative.models.weight_files import read_weights
from speculative.targets.target import Target


@dataclass(frozen=True, slots=True)
class EarlierHead:
    """A distilled head of a target, read once: what becomes of its folder later changes nothing.

    Attributes:
        target_ids: the target's id of each id that it knows.
        n_intermediate: units of its feed-forward.
        weights: by EAGLE-3's names.
        fingerprint: what tells it from another head.
    """

    target_ids: tuple[int, ...]
    n_intermediate: int
    weights: Weights
    fingerprint: str

    @classmethod
    def read(cls, folder: Path, target: Target, decoder: Decoder) -> "EarlierHead":
        """Read a head's folder.

        Args:
            folder: as `save_head` wrote it.
            target: whose head it must be.
            decoder: the target's model.

        Raises:
            ValueError: if that is no distilled head of this target.
        """
        head = load_head(folder, decoder)
        config, layers = head.config, default_layers(decoder.config.n_layers)
        fits = config.form == "eagle3" and config.state_layers == layers and not config.norm_before_residual
        if not fits or config.target_ids is None:
            raise ValueError(f"{folder} is no head that was distilled for {target.name}: name one that distill made")
        read_vocabulary(folder, target.tokenizer)
        weights = dict(read_weights(folder))
        return cls(config.target_ids, config.layer.n_intermediate, weights, head.fingerprint())

    def recipe(self, decoder: Decoder, settings: HeadSettings) -> HeadRecipe:
        """Return the recipe of a head that goes on from this one, with its vocabulary and size."""
        sized = replace(settings, n_vocab=len(self.target_ids), n_intermediate=self.n_intermediate)
        layers = default_layers(decoder.config.n_layers)
        return HeadRecipe(decoder.config, layers, self.target_ids, sized, self.weights)
