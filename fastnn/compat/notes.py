"""What a script should be told once about what it runs on."""

import sys

__all__ = ["note", "notes"]

_said: list[str] = []
is_quiet = False


def note(text: str) -> None:
    """Say `text` on stderr, the first time only."""
    if text in _said:
        return
    _said.append(text)
    if not is_quiet:
        print(f"fastnn: {text}", file=sys.stderr, flush=True)


def notes() -> list[str]:
    """What has been said, in order."""
    return list(_said)
