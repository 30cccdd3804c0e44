"""`draftpick choose`."""

import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arms.named_call import listed
from speculative.cli import options
from speculative.cli.decision_logs import opened_log
from speculative.cli.plugins import encoder_of, load_one_policy, policy_digest

if TYPE_CHECKING:
    from bandits import ContextEncoder, Policy
    from bandits.checks import Float32
    from bandits.encoders import ColumnFeatures


def choose(
    policy: Annotated[Path, typer.Option("--policy", help="Saved policy that chooses.", metavar="FILE")],
    text: Annotated[str | None, typer.Argument(help="The query; - reads it from standard input.")] = None,
    context: Annotated[
        str | None,
        typer.Option(
            "--context",
            help="The context itself, instead of a text: a JSON array of numbers; or, for a policy that learned from "
            "columns of a table, an object of their values.",
            metavar="JSON",
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            help="Makes the context from the text; by default the one that the policy's data were made with, where "
            "its name tells all (hashing-256).",
            metavar="NAME",
        ),
    ] = None,
    available: Annotated[
        str | None, typer.Option("--available", help="Choose among these arms only.", metavar="ARM,ARM")
    ] = None,
    query_id: Annotated[
        str | None, typer.Option("--id", help="Names the decision; a fresh name by default.", metavar="ID")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Seed of the draw; by default each call draws anew.")
    ] = None,
    log: options.LogOption = None,
    policy_class: options.PolicyClassOption = None,
) -> None:
    """Choose an arm for one query and print the decision as JSON: arm, propensity, the distribution drawn from, id.

    With --log the decision is written there before it is printed; `draftpick reward` joins its reward later, and
    `draftpick train LOG` learns from both. Torch is needed only where the encoder is a model.
    """
    import numpy as np

    loaded = load_one_policy(policy, policy_class or ())
    name, row = _context(loaded, text, context, encoder)
    arms = None if available is None else tuple(listed(available))
    decision = loaded.choose(row, np.random.default_rng(seed), None if arms is None else list(arms))
    decision_id = query_id or secrets.token_hex(8)
    if log is not None:
        from bandits.online import PolicyVersion

        version = PolicyVersion(type(loaded).__name__, policy_digest(policy), name)
        with opened_log(log) as decisions:
            decisions.decided(decisions.next_number(), decision_id, row, decision, version, arms)
    result = {
        "id": decision_id,
        "arm": decision.arm,
        "propensity": decision.propensity,
        "probabilities": dict(decision.probabilities),
    }
    typer.echo(json.dumps(result))


def _context(
    policy: "Policy", text: str | None, context: str | None, encoder: str | None
) -> "tuple[str | None, Float32]":
    """Return the mark of the policy's contexts and the context, (d,) float32."""
    import numpy as np

    from bandits.encoders import ColumnFeatures
    from bandits.encoders.columns import encoder_beside
    from bandits.encoders.encoder import check_same_encoder

    mark = policy.learned.encoder
    features, beside = ColumnFeatures.of_name(mark), encoder_beside(mark)
    if encoder is not None and text is None:
        raise ValueError("--encoder makes a context from a text, and --context is one already: leave one out")
    if features is not None and beside is not None:
        if text is None or context is None:
            raise ValueError("the policy learned from texts and columns: give both TEXT and --context")
    elif features is not None and text is not None:
        raise ValueError(f"the policy learned from the columns {', '.join(features.levels)}: give them with --context")
    elif (text is None) == (context is None):
        raise ValueError("give exactly one of TEXT and --context")
    parts = []
    if text is not None:
        chosen = _recorded(beside) if encoder is None else encoder_of(encoder)
        check_same_encoder("the policy", beside or mark, "--encoder", chosen.name)
        parts.append(chosen.encode([_words(text)])[0])
        mark = mark or chosen.name
    if context is not None:
        parts.append(_row(context, features))
    return mark, np.concatenate(parts)


def _words(text: str) -> str:
    words = options.standard_input() if text == "-" else text
    if not words.strip():
        raise ValueError("the text must not be blank")
    return words


def _recorded(name: str | None) -> "ContextEncoder":
    from bandits.encoders.named import recorded_encoder

    found = None if name is None else recorded_encoder(name)
    if found is None:
        made = "does not know what made its contexts" if name is None else f"has contexts of encoder {name!r}"
        raise ValueError(
            f"the policy {made}, and no encoder can be made from that: name one with --encoder, or give --context"
        )
    return found


def _row(text: str, features: "ColumnFeatures | None") -> "Float32":
    """Return the context that --context says, or the part of it that columns are."""
    import numpy as np

    from bandits import checks

    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"--context must be a JSON array of numbers, got {text!r:.80} ({error})") from error
    if isinstance(values, dict) and features is not None:
        columns = {
            name: [value] if isinstance(value, str) else checks.vector([value], f"--context {name}", np.float64, 1)
            for name, value in values.items()
        }
        unknown = [name for name in columns if name not in features.levels]
        if unknown:
            raise ValueError(f"--context names {unknown[0]!r}; the policy learned from {', '.join(features.levels)}")
        found: Float32 = features.encode_columns(columns)[0].astype(np.float32)
        return found
    if not isinstance(values, list):
        wanted = "" if features is None else f", or an object of {', '.join(features.levels)}"
        raise ValueError(f"--context must be a JSON array of numbers{wanted}, got {text!r:.80}")
    row: Float32 = checks.vector(values, "--context", np.float32, None)
    return row
