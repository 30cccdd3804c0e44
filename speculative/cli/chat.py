"""`draftpick chat`."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from speculative.cli import generation_options as generation
from speculative.cli import options
from speculative.cli.answering import Answering, picked_line, speed_line
from speculative.cli.arm_choice import ArmChoice
from speculative.cli.decision_logs import check_log_options, opened_rewards, run_suffix

if TYPE_CHECKING:
    from arms import Message
    from speculative.sampling.sampling_params import SamplingParams
    from speculative.targets.rendering import Rendering
    from speculative.targets.target import Target

COMMANDS = "/reset forgets what was said, /exit ends"


def chat(
    pool: options.PoolOption = options.DEFAULT_POOL,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="Saved policy that picks the arm of each answer.", metavar="FILE")
    ] = None,
    arm: generation.ArmOption = None,
    selector: generation.SelectorOption = None,
    rounds: generation.RoundsOption = None,
    settings: options.SetOption = None,
    policy_class: options.PolicyClassOption = None,
    log: options.LogOption = None,
    reward: generation.RewardOption = None,
    system: Annotated[
        str | None, typer.Option("--system", help="A system message before all others.", metavar="TEXT")
    ] = None,
    max_new_tokens: generation.MaxNewTokensOption = None,
    stop: generation.StopOption = None,
    temperature: generation.TemperatureOption = 0.0,
    top_k: generation.TopKOption = 0,
    top_p: generation.TopPOption = 1.0,
    min_p: generation.MinPOption = 0.0,
    repetition_penalty: generation.PenaltyOption = 1.0,
    template: generation.TemplateOption = None,
    prefill: generation.PrefillOption = None,
    verification: generation.VerificationOption = "coupling",
    sampling_seed: generation.SamplingSeedOption = None,
    seed: generation.ChoiceSeedOption = 0,
    cache: options.CacheOption = None,
    threads: options.ThreadsOption = None,
    device: options.DeviceOption = None,
    dtype: options.DtypeOption = None,
    weights: options.WeightsOption = None,
    graphs: options.GraphsOption = None,
) -> None:
    """Talk with the target: a message a line, answers as they grow; /reset forgets what was said, /exit ends.

    Give --policy, --arm, --selector or --rounds. What helped, and how fast it was, stands on standard error after each
    answer. With --log, a policy's decisions and their rewards are kept, for `draftpick train LOG`.
    """
    from speculative.sampling.sampling_params import SamplingParams

    choice = ArmChoice(policy, arm, selector, settings or (), policy_class or (), seed, rounds, cache)
    sampling = SamplingParams(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        verification=verification,
        seed=sampling_seed,
        max_new_tokens=max_new_tokens,
        stop=stop or (),
    )
    generation.refuse_idle_options(sampling)
    check_log_options(log, reward, policy)
    rendering = generation.read_rendering(template, prefill)
    options.start_torch(threads)
    loaded = options.open_pool(
        options.read_spec(pool, device=device, dtype=dtype, weights=weights, graphs=graphs), cache
    )
    saying = Saying(sampling, rendering, system, prefill, run_suffix(log))
    with opened_rewards(loaded, log, reward, cache) as rewards:
        options.say(f"{loaded.target.name}: {COMMANDS}")
        kept = loaded.target.prefix_cache_bytes
        answering = Answering(loaded, choice, rewards=rewards, prefix_cache_bytes=kept)
        _talk(Conversation(loaded.target, answering, saying))


@dataclass(frozen=True, slots=True)
class Saying:
    """How every answer of a conversation is made.

    Attributes:
        sampling: how tokens are picked, and where an answer ends.
        rendering: what the chat template is told beside the messages.
        system: a message before all others.
        prefill: how each answer begins.
        run: ends the id of each answer, so that no other run of a log has it.
    """

    sampling: "SamplingParams"
    rendering: "Rendering"
    system: str | None = None
    prefill: str | None = None
    run: str = ""


class Conversation:
    """What was said so far, and the next answer.

    Args:
        target: encodes the messages.
        answering: generates.
        saying: how an answer is made.
    """

    def __init__(self, target: "Target", answering: Answering, saying: Saying) -> None:
        from arms import Message

        self._target, self._answering, self._saying = target, answering, saying
        self._system = [] if saying.system is None else [Message(role="system", content=saying.system)]
        self._n_answers = 0
        self.reset()

    def reset(self) -> None:
        """Forget what was said, but the system message."""
        self._said: list[Message] = []

    def say(self, text: str) -> None:
        """Answer a message, and keep both; a message that cannot be answered, or is interrupted, is dropped."""
        from arms import Message, Query

        asked = Message(role="user", content=text)
        messages = (*self._system, *self._said, asked)
        self._n_answers += 1
        begin = self._saying.prefill or ""
        name = f"answer-{self._n_answers}{self._saying.run}"
        query = generation.begun(Query(id=name, messages=messages), self._saying.prefill)
        try:
            request = self._target.request(query, self._saying.sampling, self._saying.rendering)
            typer.echo(begin, nl=False)
            for part in self._answering.texts(request):
                typer.echo(part, nl=False)
        except ValueError as error:
            options.say(f"error: {error} (/reset forgets what was said)")
            return
        except KeyboardInterrupt:
            typer.echo()
            options.say("stopped; this message and its answer are dropped")
            return
        typer.echo()
        account = self._answering.account(request)
        options.say(f"{picked_line(account)}\n{speed_line(account)}")
        if (answer := begin + str(account["text"])).strip():  # an empty turn is none
            self._said += [asked, Message(role="assistant", content=answer)]


def _talk(conversation: "Conversation") -> None:
    """Answer what is typed, and do what the commands say, until the end of the input or /exit."""
    for line in _lines():
        if line == "/exit":
            break
        if line == "/reset":
            conversation.reset()
            options.say("forgotten")
        elif line.startswith("/"):
            options.say(f"unknown command {line.split()[0]!r}: {COMMANDS}")
        else:
            conversation.say(line)


def _lines() -> Iterator[str]:
    """Yield what is typed, until the end of the input or an interrupt; blank lines say nothing."""
    while True:
        if sys.stdin.isatty():
            typer.echo("> ", nl=False, err=True)
        try:
            line = sys.stdin.readline()
        except KeyboardInterrupt:
            return
        if not line:
            return
        if line.strip():
            yield line.strip()
