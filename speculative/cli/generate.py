"""`draftpick generate`."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from speculative.cli import generation_options as generation
from speculative.cli import options
from speculative.cli.answering import Answering, summary
from speculative.cli.arm_choice import ArmChoice
from speculative.cli.decision_logs import check_log_options, opened_rewards, run_suffix
from speculative.cli.explanations import Explanations
from speculative.cli.plain_errors import OUR_FAULT
from speculative.cli.progress import progress

if TYPE_CHECKING:
    from arms import Query
    from speculative.protocols.request import Request


def generate(
    prompt: Annotated[str | None, typer.Argument(help="The prompt; - reads it from standard input.")] = None,
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", help="Answer many: JSONL with prompt or messages a line.", metavar="FILE"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="With --prompts: a new JSONL file of answers; standard output by default.", metavar="FILE"
        ),
    ] = None,
    pool: options.PoolOption = options.DEFAULT_POOL,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="Saved policy that picks the arm of each query.", metavar="FILE")
    ] = None,
    arm: generation.ArmOption = None,
    selector: generation.SelectorOption = None,
    rounds: generation.RoundsOption = None,
    conservative: generation.ConservativeOption = None,
    settings: options.SetOption = None,
    policy_class: options.PolicyClassOption = None,
    log: options.LogOption = None,
    reward: generation.RewardOption = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Tell accepted, rejected and the target's own tokens apart, round by round."),
    ] = False,
    explain_html: Annotated[
        Path | None,
        typer.Option("--explain-html", help="A new page that explains every answer the same way.", metavar="FILE"),
    ] = None,
    max_new_tokens: generation.MaxNewTokensOption = None,
    stop: generation.StopOption = None,
    temperature: generation.TemperatureOption = 0.0,
    top_k: generation.TopKOption = 0,
    top_p: generation.TopPOption = 1.0,
    min_p: generation.MinPOption = 0.0,
    repetition_penalty: generation.PenaltyOption = 1.0,
    presence_penalty: generation.PresenceOption = 0.0,
    frequency_penalty: generation.FrequencyOption = 0.0,
    logit_bias: generation.LogitBiasOption = None,
    min_new_tokens: generation.MinNewTokensOption = 0,
    logprobs: generation.LogprobsOption = None,
    template: generation.TemplateOption = None,
    prefill: generation.PrefillOption = None,
    continue_final_message: generation.ContinueOption = False,
    verification: generation.VerificationOption = "coupling",
    sampling_seed: generation.SamplingSeedOption = None,
    seed: generation.ChoiceSeedOption = 0,
    cache: options.CacheOption = None,
    threads: options.ThreadsOption = None,
    device: options.DeviceOption = None,
    dtype: options.DtypeOption = None,
    weights: options.WeightsOption = None,
    graphs: options.GraphsOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Answer one prompt, or a file of prompts; the text is the target's own, whatever helps.

    Give --policy, --arm, --selector or --rounds. One answer is on standard output as it grows; then, on standard error,
    what helped and why. Many are JSON lines in the order of the prompts. With a --temperature, tokens are sampled from
    the target's probabilities. With --log, a policy's decisions and their rewards are kept, for `draftpick train LOG`.
    With --explain the answer is shown once it is whole: whose each token is, and what was known, picked and given in
    every round.
    """
    from speculative.sampling.sampling_params import SamplingParams

    explanations, budget = Explanations(explain, explain_html), generation.read_budget(conservative)
    choice = ArmChoice(policy, arm, selector, settings or (), policy_class or (), seed, rounds, cache, budget)
    sampling = SamplingParams(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        verification=verification,
        seed=sampling_seed,
        presence_penalty=presence_penalty,
        frequency_penalty=frequency_penalty,
        logit_bias=generation.read_logit_bias(logit_bias),
        min_new_tokens=min_new_tokens,
        logprobs=logprobs,
        max_new_tokens=max_new_tokens,
        stop=stop or (),
        rounds=explanations.wanted,
    )
    generation.refuse_idle_options(sampling)
    check_log_options(log, reward, policy)
    rendering = generation.read_rendering(template, prefill, go_on=continue_final_message)
    queries = [generation.begun(query, prefill) for query in _queries(prompt, prompts, out, run_suffix(log))]
    options.start_torch(threads)
    loaded = options.open_pool(
        options.read_spec(pool, device=device, dtype=dtype, weights=weights, graphs=graphs), cache
    )
    if prompts is not None:
        loaded.target.check(queries, sampling, rendering)  # all of them before the first is answered
    requests = [loaded.target.request(query, sampling, rendering) for query in queries]
    with opened_rewards(loaded, log, reward, cache) as rewards:
        # shared passes would blur the seconds that a decision is rewarded for
        max_batch = 1 if prompts is None or log is not None else loaded.target.max_batch
        answering = Answering(loaded, choice, rewards=rewards, max_batch=max_batch, explanations=explanations)
        try:
            if prompts is None:
                _answer_one(answering, requests[0], explanations, as_json)
            else:
                _answer_all(answering, requests, out)
        finally:
            explanations.write(requests)
    if budget is not None:
        options.say(f"budget: {budget}")


def _queries(prompt: str | None, prompts: Path | None, out: Path | None, run: str) -> "list[Query]":
    """Read what is asked; `run` ends the ids."""
    from arms import Query, read_queries

    if (prompt is None) == (prompts is None):
        raise ValueError("give exactly one of PROMPT and --prompts")
    if out is not None and prompts is None:
        raise ValueError("--out is for the answers to --prompts: leave it out")
    if out is not None and out.exists():
        raise ValueError(f"{out} exists: name another --out, or remove it")
    if prompts is not None:
        return [query.model_copy(update={"id": query.id + run}) for query in read_queries(prompts)]
    text = options.standard_input() if prompt == "-" else str(prompt)
    if not text.strip():
        raise ValueError("the prompt must not be blank")
    return [Query(id=f"prompt{run}", prompt=text)]


def _answer_one(answering: Answering, request: "Request", explanations: Explanations, as_json: bool) -> None:
    for text in answering.texts(request):
        if not as_json and not explanations.shown:
            typer.echo(text, nl=False)
    account = answering.account(request)
    if as_json:
        options.report(account, "", as_json=True)
    else:
        if explanations.shown:
            explanations.show(request)
        else:
            typer.echo()
        options.say(summary(account))
    if account["finished"] == "failed":
        raise typer.Exit(OUR_FAULT)


def _answer_all(answering: Answering, requests: "Sequence[Request]", out: Path | None) -> None:
    """Write an answer a line in the order asked; what is finished when the run is stopped is written too."""
    done: dict[str, dict[str, Any]] = {}
    order = [request.id for request in requests]
    n_written = 0
    with _lines(out) as file, progress("answering", len(requests)) as advance:
        try:
            for request_id, account in answering.each(requests):
                done[request_id] = account
                while n_written < len(order) and order[n_written] in done:
                    _write_line(file, order[n_written], done.pop(order[n_written]))
                    n_written += 1
                advance(1)
        finally:
            for request_id in order[n_written:]:
                if request_id in done:
                    _write_line(file, request_id, done[request_id])


@contextmanager
def _lines(out: Path | None) -> "Iterator[IO[str]]":
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
    with nullcontext(sys.stdout) if out is None else out.open("x", encoding="utf-8") as file:
        yield file


def _write_line(file: "IO[str]", query_id: str, account: dict[str, Any]) -> None:
    file.write(json.dumps({"id": query_id, **account}, ensure_ascii=False) + "\n")
    file.flush()
