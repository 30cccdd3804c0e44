"""Text of a growing token sequence: decoded piece by piece, ended by stop strings, shown once it is certain."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

_INCOMPLETE = "\ufffd"  # what the bytes of an unfinished character decode to
_MAX_CHARACTER_TOKENS = 4  # UTF-8 writes a character in at most four bytes
_FIRST_SURROGATE = 0xD800
_SEGMENT = 16  # tokens kept before those still to be decoded, for decoders that look back
_MAX_UNCLEAN = 32  # tokens after which unfinished characters are taken for bytes that are no text at all


class TextStream:
    """Decodes a request's new tokens as they come, and says where a stop string ends the text.

    Only the generated text counts: a stop string that begins in the prompt is not seen (transformers'
    `StopStringCriteria` sees it). The token that completes a stop string is kept, its text is cut before the stop
    string. What a decoder leaves out, such as special tokens, is never shown; a stop string may hold all or part of it,
    and one that does not is found across it.

    The text equals the decoding of all tokens at once unless the tokenizer changes, on a later token, what it had
    decoded before (bytes that are no UTF-8 in a tokenizer with byte fallback, spaces cleaned up afterwards); what was
    shown then stands and the later token's own text is appended.

    Args:
        decode: text of a sequence of token ids. An unfinished character at the end must decode to U+FFFD.
        stop: strings that end the text, none of them empty.
        unshown: the text of the tokens that `decode` leaves out.
    """

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        stop: tuple[str, ...] = (),
        unshown: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        self._decode, self._stop, self._unshown = decode, stop, unshown
        self._window = _Window()
        self._undecoded: list[int] = []
        self._held = ""  # the longest end of the certain text that a stop string could begin with
        self._hidden: dict[str, str] = {}  # characters of unshown text, as surrogates: no decoder gives those
        self._meant: dict[int, str] = {}  # and back
        self._ready: list[str] = []
        self._shown: list[str] = []
        self._stopped: str | None = None

    @property
    def text(self) -> str:
        """Everything released so far."""
        self._shown = ["".join(self._shown)]
        return self._shown[0]

    @property
    def n_kept(self) -> int:
        """Tokens that are decoded again with the next ones; bounded, however long the text."""
        return len(self._window.token_ids)

    @property
    def stopped(self) -> str | None:
        """The stop string that ended the text: of those the same token completed the one that starts first."""
        return self._stopped

    def feed(self, token_ids: Sequence[int]) -> int:
        """Take a round's new tokens and return how many of them belong to the text.

        Returns:
            All of them, or the tokens up to the one that completes a stop string; 0 after a stop.
        """
        if self._stopped is not None:
            return 0
        if not self._stop:  # decoded when somebody wants to read it
            self._undecoded += token_ids
            return len(token_ids)
        if not any(token in self._unshown for token in token_ids):
            window, new = self._window.extend(self._decode, token_ids)
            if self._find(self._held + new) is None:
                self._window = window
                self._take(new)
                return len(token_ids)
        for n_kept, token in enumerate(token_ids, 1):
            self._window, new = self._window.extend(self._decode, [token])
            hidden = self._hide(self._unshown.get(token, ""))
            if hidden:  # unfinished characters before it stay so if the text ends here
                whole = new + self._window.end(self._decode) + hidden
                hidden = whole[len(new) :] if self._find(self._held + whole) is not None else hidden
            self._take(new + hidden)
            if self._stopped is not None:
                return n_kept
        return len(token_ids)

    def release(self) -> str:
        """Text that became certain since the last call.

        Held back: unfinished characters and the longest end that a stop string begins with. After a stop: the rest up
        to the stop string.
        """
        self._decode_rest()
        return self._release()

    def finish(self) -> str:
        """Everything not yet released, for a text that ends here without a stop string; its last release."""
        self._decode_rest()
        if self._stopped is None:
            new = self._window.end(self._decode)
            self._window = _Window()
            self._ready += [self._held, new]
            self._held = ""
        return self._release()

    def _decode_rest(self) -> None:
        if self._undecoded:
            self._window, new = self._window.extend(self._decode, self._undecoded)
            self._undecoded = []
            self._ready.append(new)

    def _release(self) -> str:
        released = self._shown_part("".join(self._ready))
        self._ready.clear()
        if released:
            self._shown.append(released)
        return released

    def _take(self, new: str) -> None:
        """Sort certain text into what can be shown, what must wait and what a stop string cuts off."""
        text = self._held + new
        found = self._find(text)
        if found is None:
            certain = len(text) - self._n_held(text)
            self._ready.append(text[:certain])
            self._held = text[certain:]
        else:
            start, self._stopped = found
            self._ready.append(text[:start])
            self._held = ""

    def _hide(self, text: str) -> str:
        """Mark text as never to be shown, which stop strings may hold nevertheless."""
        for character in text:
            if character not in self._hidden:
                self._hidden[character] = chr(_FIRST_SURROGATE + len(self._hidden))
                self._meant[ord(self._hidden[character])] = character
        return "".join(self._hidden[character] for character in text)

    def _shown_part(self, text: str) -> str:
        return text.translate(dict.fromkeys(self._meant)) if self._hidden else text

    def _find(self, text: str) -> tuple[int, str] | None:
        """Where the first stop string in `text` starts, and which it is: among equals the one given first."""
        found = [(start, stop) for stop in self._stop if (start := text.find(stop)) >= 0]
        if self._hidden:  # with what is not shown, and across it
            whole, shown, places = self._readings(text)
            found = [(start, stop) for stop in self._stop if (start := whole.find(stop)) >= 0]
            found += [(places[start], stop) for stop in self._stop if (start := shown.find(stop)) >= 0]
        return min(found, key=lambda one: one[0], default=None)

    def _readings(self, text: str) -> tuple[str, str, list[int]]:
        """Return the text with what is not shown, without it, and where each character of the latter stands."""
        places = [i for i, character in enumerate(text) if ord(character) not in self._meant]
        return text.translate(self._meant), "".join(text[i] for i in places), places

    def _n_held(self, text: str) -> int:
        """Length of the longest end of `text` that is the beginning of a stop string."""
        if not self._hidden:
            return self._n_begun(text)
        whole, shown, places = self._readings(text)
        n_shown = self._n_begun(shown)
        return max(self._n_begun(whole), len(text) - places[-n_shown] if n_shown else 0)

    def _n_begun(self, text: str) -> int:
        n_begun = 0
        for stop in self._stop:
            start = text.find(stop[0], max(0, len(text) - len(stop) + 1))
            while start >= 0 and len(text) - start > n_begun:
                if stop.startswith(text[start:]):
                    n_begun = len(text) - start
                start = text.find(stop[0], start + 1)
        return n_begun


@dataclass(frozen=True, slots=True)
class _Window:
    """The last tokens of a sequence and how much of their text has been given out.

    A decoder may look back (a leading space is dropped, bytes join to characters), so new tokens are decoded behind
    some old ones and the old ones' text is taken off. A place between two tokens is clean where no character is
    unfinished; only there may the window begin.

    Attributes:
        token_ids: from some clean place on.
        text: the part of their decoding that was given out.
        n_clean: tokens up to the last clean place.
        clean_text: the length of their text.
        mark: tokens up to the clean place at which the window may begin next.
        mark_text: the length of their text.
    """

    token_ids: tuple[int, ...] = ()
    text: str = ""
    n_clean: int = 0
    clean_text: int = 0
    mark: int = 0
    mark_text: int = 0

    def extend(self, decode: Callable[[Sequence[int]], str], new: Sequence[int]) -> tuple["_Window", str]:
        """Append tokens: the window afterwards, and the text that became certain."""
        token_ids = (*self.token_ids, *new)
        whole = decode(token_ids)
        if not whole.endswith(_INCOMPLETE):
            n_clean, clean, certain = len(token_ids), whole, whole
        else:
            n_clean, clean = self._last_clean(decode, token_ids)
            certain = whole.rstrip(_INCOMPLETE)
        if len(token_ids) - n_clean > _MAX_UNCLEAN:  # no text: only the last of the bytes is uncertain
            n_clean, clean, certain = len(token_ids), whole[:-1], whole[:-1]
        known = [text for text in (certain, clean) if text.startswith(self.text)]
        if not known:
            return self._restart(decode, token_ids, wait=n_clean < len(token_ids))
        text = max(known, key=len)
        if not text.startswith(clean):
            n_clean, clean = self.n_clean, text[: self.clean_text]
        window = _Window(token_ids, text, n_clean, len(clean), self.mark, self.mark_text)
        return window._shorten(decode), text[len(self.text) :]

    def end(self, decode: Callable[[Sequence[int]], str]) -> str:
        """Return the text not yet given out, unfinished characters as they are."""
        if not self.token_ids:
            return ""
        whole = decode(self.token_ids)
        if whole.startswith(self.text):
            return whole[len(self.text) :]
        return decode(self.token_ids[self.n_clean :])[len(self.text) - self.clean_text :]

    def _last_clean(self, decode: Callable[[Sequence[int]], str], token_ids: tuple[int, ...]) -> tuple[int, str]:
        """Return the clean place before an unfinished character, and the text up to there."""
        first = max(self.n_clean, len(token_ids) - _MAX_CHARACTER_TOKENS)
        for n in range(len(token_ids) - 1, first, -1):
            text = decode(token_ids[:n])
            if not text.endswith(_INCOMPLETE):
                return n, text
        return self.n_clean, self.text[: self.clean_text]

    def _shorten(self, decode: Callable[[Sequence[int]], str]) -> "_Window":
        """Forget the tokens before the mark once enough follow it."""
        if self.n_clean - self.mark < _SEGMENT:
            return self
        if self.clean_text == self.mark_text:  # tokens without a text, such as special ones
            token_ids = self.token_ids[: self.mark] + self.token_ids[self.n_clean :]
            return _Window(token_ids, self.text, self.mark, self.clean_text, self.mark, self.mark_text)
        segment = decode(self.token_ids[self.mark : self.n_clean]).removesuffix(_INCOMPLETE)
        if not segment:
            return self
        n, text = self.n_clean - self.mark, segment + self.text[self.clean_text :]
        return _Window(self.token_ids[self.mark :], text, n, len(segment), n, len(segment))

    def _restart(
        self, decode: Callable[[Sequence[int]], str], token_ids: tuple[int, ...], wait: bool
    ) -> tuple["_Window", str]:
        """Where the decoding of old tokens changed: wait while a character is unfinished, else start anew."""
        if wait:
            return _Window(token_ids, self.text, self.n_clean, self.clean_text, self.mark, self.mark_text), ""
        rest = decode(token_ids[self.n_clean :])
        new = rest[len(self.text) - self.clean_text :]
        return _Window(token_ids[self.n_clean :], rest, len(token_ids) - self.n_clean, len(rest)), new
