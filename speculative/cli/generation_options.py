"""Options of the commands that generate: how text is sampled, and what picks the arms."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from arms import Query
    from bandits.online import TimeBudget
    from speculative.sampling.sampling_params import SamplingParams
    from speculative.targets.rendering import Rendering

ArmOption = Annotated[str | None, typer.Option("--arm", help="Use this arm of the pool always.", metavar="NAME")]
SelectorOption = Annotated[
    str | None,
    typer.Option(
        "--selector",
        help="Let a rule pick an arm at every round: meta_sd, ucb_spec, exp3_spec, hedge_spec, tap_out, priority_rule, "
        "acceptance_gate, fixed, or package.module:Class; --set gives its settings.",
        metavar="NAME",
    ),
]
RoundsOption = Annotated[
    Path | None,
    typer.Option("--rounds", help="Choose at every round by what draftpick train --rounds saved.", metavar="FILE"),
]
RewardOption = Annotated[
    str | None,
    typer.Option(
        "--reward",
        help="With --log: values each answer; time_saved by default, against this machine's cost profile.",
        metavar="FORMULA",
    ),
]
ConservativeOption = Annotated[
    float | None,
    typer.Option(
        "--conservative",
        min=0,
        help="Draft only while the time lost against no draft, all answers together, stays below so many seconds.",
        metavar="SECONDS",
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
TemplateOption = Annotated[
    str | None,
    typer.Option(
        "--chat-template-kwargs",
        help='Variables of the chat template, such as {"enable_thinking": false}; before those of the pool file.',
        metavar="JSON",
    ),
]
PrefillOption = Annotated[
    str | None, typer.Option("--prefill", help="How each answer begins: the target goes on from there.", metavar="TEXT")
]
ContinueOption = Annotated[
    bool,
    typer.Option("--continue-final", help="Go on with the last message of a prompt, which is the assistant's."),
]
ChoiceSeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of the policy's choices.")]


def read_budget(seconds: float | None) -> "TimeBudget | None":
    """Return what --conservative allows; None for no limit."""
    from bandits.online import TimeBudget

    return None if seconds is None else TimeBudget(seconds)


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


def read_rendering(template: str | None, prefill: str | None, *, go_on: bool = False) -> "Rendering":
    """Return what --chat-template-kwargs, --prefill and --continue-final tell the chat template.

    Raises:
        ValueError: if the variables are no JSON object, the prefill is blank, or both ways to go on are given.
    """
    from speculative.targets.rendering import Rendering

    if prefill is not None and (go_on or not prefill.strip()):
        fault = "--continue-final has no place beside it" if go_on else "it is blank"
        raise ValueError(f"--prefill must be how an answer begins: {fault}")
    try:
        variables = {} if template is None else json.loads(template)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"--chat-template-kwargs must be a JSON object, got {template!r:.80} ({error})") from error
    if not isinstance(variables, dict):
        raise ValueError(f"--chat-template-kwargs must be a JSON object, got {template!r:.80}")
    return Rendering(variables, continue_final_message=go_on or prefill is not None)


def begun(query: "Query", prefill: str | None) -> "Query":
    """Return a query whose answer begins with `prefill`, as a last message of the assistant's.

    Raises:
        ValueError: if the query ends in a message of the assistant's already.
    """
    from arms import Message

    if prefill is None:
        return query
    messages = query.messages or (Message(role="user", content=query.prompt),)
    if messages[-1].role == "assistant":
        raise ValueError(f"query {query.id!r} ends in an assistant's message: --continue-final goes on with it")
    return query.model_copy(update={"prompt": "", "messages": (*messages, Message(role="assistant", content=prefill))})


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
