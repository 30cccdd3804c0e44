"""What selectors that choose from round records share: a record keeper for each request."""

from abc import abstractmethod
from collections.abc import Callable, Sequence

from bandits import ContextEncoder
from bandits.encoders.encoder import check_same_encoder
from speculative.protocols.selector import QueryState, RoundContext, RoundObservation, Selector
from speculative.rounds.record import RecordKeeper, RecordLayout, RoundRecord
from speculative.selectors.prefill_encoder import encode_query


class RoundSelector(Selector):
    """Makes the record of each round and forgets a request that has ended; a subclass chooses.

    Args:
        layout: of the engine's arms, in their order.
        encoder: makes the prompt's context, where the layout takes something from it and no trace tells it.

    Attributes:
        on_choice: told of each round, its record and the arm chosen; None for nobody.

    Raises:
        ValueError: if the layout was learned with contexts of another encoder.
    """

    def __init__(self, layout: RecordLayout, encoder: ContextEncoder | None = None) -> None:
        if encoder is not None and layout.prompt is not None:
            check_same_encoder("the rounds", layout.prompt.encoder, "the selector", encoder.name)
        self.layout, self._encoder = layout, encoder
        self.on_choice: Callable[[RoundContext, RoundRecord, int], None] | None = None
        self._keepers: dict[str, RecordKeeper] = {}

    @property
    def encoder(self) -> ContextEncoder | None:
        """Makes the prompts' contexts."""
        return self._encoder

    @property
    def n_requests(self) -> int:
        """Requests that it remembers."""
        return len(self._keepers)

    @abstractmethod
    def choose(self, round_: RoundContext, record: RoundRecord) -> int:
        """Return the arm of one request's round."""

    def start(self, query: QueryState) -> None:
        """Begin with nothing known."""
        context = query.context
        if self.layout.prompt is not None:
            check_same_encoder("the rounds", self.layout.prompt.encoder, "the query's context", query.encoder)
            if context is None and self._encoder is not None:
                context = encode_query(self._encoder, query)
        self._keepers[query.request.id] = RecordKeeper(self.layout, context)

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """Make the records, and choose for each."""
        actions = []
        for round_ in rounds:
            record = self._keepers[round_.request_id].record(round_)
            actions.append(self.choose(round_, record))
            if self.on_choice is not None:
                self.on_choice(round_, record, actions[-1])
        return actions

    def observe(self, observations: Sequence[RoundObservation]) -> None:
        """Note what each round gave."""
        for observation in observations:
            self._keepers[observation.request_id].observe(observation)

    def finish(self, request_id: str) -> None:
        """Forget the request."""
        self._keepers.pop(request_id, None)
