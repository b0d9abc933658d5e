"""Text of a submission, made safe for a file: whatever bytes it printed, the file is well-formed."""

import re

__all__ = ["clean"]

# What XML 1.0 cannot hold, not even as a reference: halves of surrogate pairs, non-characters, control characters; and
# those that a terminal obeys.
_ILLEGAL = re.compile("[^\t\n\u0020-\u007e\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """The text with characters that XML, UTF-8 or a terminal do not show written as `\\x1b`.

    Example:
        >>> from fastnn.grading.text import clean
        >>> clean("a\\x1b[31mb")
        'a\\\\x1b[31mb'
    """
    return _ILLEGAL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
