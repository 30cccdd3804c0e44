"""Options of the commands that generate: how text is sampled, and what picks the arms."""

from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

if TYPE_CHECKING:
    from speculative.sampling.sampling_params import SamplingParams

ArmOption = Annotated[str | None, typer.Option("--arm", help="Use this arm of the pool always.", metavar="NAME")]
SelectorOption = Annotated[
    str | None,
    typer.Option(
        "--selector",
        help="Let a rule pick an arm at every round: meta_sd, ucb_spec, priority_rule, fixed, or package.module:Class; "
        "--set gives its settings.",
        metavar="NAME",
    ),
]
MaxNewTokensOption = Annotated[
    int | None, typer.Option("--max-new-tokens", min=1, help="Length of an answer; the pool's by default.")
]
StopOption = Annotated[
    list[str] | None,
    typer.Option("--stop", help="End the text before this string; may be given more than once.", metavar="TEXT"),
]
TemperatureOption = Annotated[
    float, typer.Option("--temperature", help="Sample: divide the logits by this; 0 takes the best token.")
]
TopKOption = Annotated[int, typer.Option("--top-k", help="Sample among this many best tokens; 0 for all.")]
TopPOption = Annotated[
    float, typer.Option("--top-p", help="Sample among the fewest tokens of this probability together.")
]
MinPOption = Annotated[
    float, typer.Option("--min-p", help="Sample no token less likely than this share of the best one's probability.")
]
PenaltyOption = Annotated[
    float, typer.Option("--repetition-penalty", help="Make tokens seen before less likely; 1 for no penalty.")
]
VerificationOption = Annotated[
    str,
    typer.Option(
        "--verification",
        help="How sampled text is verified: coupling (the text does not depend on the drafts) or rejection.",
    ),
]
SamplingSeedOption = Annotated[
    int | None,
    typer.Option("--sampling-seed", help="Seed of sampled text; a fresh one by default.", metavar="SEED"),
]
ChoiceSeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of the policy's choices.")]


def sampling_of(
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
    repetition_penalty: float,
    verification: str,
    seed: int | None,
) -> "SamplingParams":
    """Build the sampling that the options ask for.

    Raises:
        ValueError: if one is out of range, or is for sampled text where none is sampled: that could only be a mistake.
    """
    from speculative.sampling.sampling_params import SamplingParams

    rule = cast(Literal["coupling", "rejection"], verification)  # checked by the class
    sampling = SamplingParams(temperature, top_k, top_p, min_p, repetition_penalty, rule, seed)
    default = SamplingParams()
    for name in ("top_k", "top_p", "min_p", "verification", "seed"):
        if sampling.greedy and getattr(sampling, name) != getattr(default, name):
            option = "--sampling-seed" if name == "seed" else "--" + name.replace("_", "-")
            raise ValueError(f"{option} changes sampled text only: give a --temperature above 0 with it, got 0")
    return sampling
