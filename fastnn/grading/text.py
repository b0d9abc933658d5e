"""Text of a submission, made safe for a file or a terminal: whatever bytes it printed, it is shown as what it is."""

import re

__all__ = ["clean", "one_line"]

# What XML 1.0 cannot hold, not even as a reference: halves of surrogate pairs, non-characters, control characters;
# those that a terminal obeys; and those that reverse the order in which others are shown, or end a line unseen.
_ILLEGAL = re.compile(
    "[^\t\n\u0020-\u007e\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)


def clean(text: str) -> str:
    """The text with characters that XML, UTF-8 or a terminal do not show written as `\\x1b`.

    Example:
        >>> from fastnn.grading.text import clean
        >>> clean("a\\x1b[31mb")
        'a\\\\x1b[31mb'
    """
    return _ILLEGAL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    """The same on one line, so that no text of a submission looks like the next line of a report.

    Example:
        >>> from fastnn.grading.text import one_line
        >>> one_line("wrong\\nTask 2: 10 of 10 points")
        'wrong Task 2: 10 of 10 points'
    """
    return clean(" ".join(text.split()))
