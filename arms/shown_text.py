"""Text of others on a page or a terminal: the one way in which it is escaped, so that it can do nothing there."""

import html

_CONTROLS = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\n\t"} | {127: "\u2421"}
_UNPICTURED = (*range(0x80, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Controls of terminals (C1), line ends, and orders to write what follows in the other direction."""
_SHOWN = _CONTROLS | dict.fromkeys(_UNPICTURED, "\ufffd")


def visible(text: str) -> str:
    """Return a text whose control characters are pictures or U+FFFD, so that it can do nothing where it is shown."""
    return text.encode("utf-8", "replace").decode().translate(_SHOWN)


def escape(text: str) -> str:
    """Return a text as HTML, for between tags and inside quoted attributes, made `visible` first."""
    return html.escape(visible(text))
