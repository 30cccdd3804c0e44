"""Options of the commands that generate: how text is sampled, and what picks the arms."""

from typing import TYPE_CHECKING, Annotated, Literal

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
PresenceOption = Annotated[
    float, typer.Option("--presence-penalty", help="Taken off the logit of each token that the answer holds.")
]
FrequencyOption = Annotated[
    float, typer.Option("--frequency-penalty", help="Taken off as often as the answer holds the token.")
]
LogitBiasOption = Annotated[
    list[str] | None,
    typer.Option("--logit-bias", help="Add to a token's logit; may be given more than once.", metavar="ID=BIAS"),
]
MinNewTokensOption = Annotated[
    int, typer.Option("--min-new-tokens", min=0, help="No token that ends the text before so many.")
]
LogprobsOption = Annotated[
    int | None,
    typer.Option(
        "--logprobs", min=0, help="In JSON: log-probabilities of each token and of this many best ones.", metavar="N"
    ),
]
VerificationOption = Annotated[
    Literal["coupling", "rejection"],
    typer.Option(
        "--verification",
        help="How sampled text is verified: under coupling the text does not depend on the drafts.",
    ),
]
SamplingSeedOption = Annotated[
    int | None,
    typer.Option("--sampling-seed", help="Seed of sampled text; a fresh one by default.", metavar="SEED"),
]
ChoiceSeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of the policy's choices.")]


def read_logit_bias(given: list[str] | None) -> tuple[tuple[int, float], ...]:
    """Return the pairs of --logit-bias.

    Raises:
        ValueError: naming what is no ID=BIAS.
    """
    pairs = []
    for text in given or ():
        token, _, bias = text.partition("=")
        try:
            pairs.append((int(token), float(bias)))
        except ValueError as error:
            raise ValueError(f"--logit-bias must be ID=BIAS, such as 42=-100, got {text!r}") from error
    return tuple(pairs)


def refuse_idle_options(sampling: "SamplingParams") -> None:
    """Reject options of sampled text where none is sampled: they could only be a mistake.

    Raises:
        ValueError: naming the option.
    """
    default = type(sampling)()
    for name in ("top_k", "top_p", "min_p", "verification", "seed"):
        if sampling.greedy and getattr(sampling, name) != getattr(default, name):
            option = "--sampling-seed" if name == "seed" else "--" + name.replace("_", "-")
            raise ValueError(f"{option} changes sampled text only: give a --temperature above 0 with it, got 0")
