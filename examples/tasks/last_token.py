"""A draft of one's own: one class. It keeps nothing of a request, so it is its own session."""

from speculative import Draft, DraftSession, Proposal


# --8<-- [start:class]
class LastToken(Draft, DraftSession):
    """Proposes the last token again."""

    name = "last_token"

    def open(self, prompt, shared=None):
        return self

    def propose(self, prefix, draft_length, sampler=None):
        return Proposal([prefix[-1]] * draft_length)


# --8<-- [end:class]
