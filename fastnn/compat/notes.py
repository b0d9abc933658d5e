"""What a script should be told once about what it runs on."""

from fastnn._terminal import say

__all__ = ["SEEDS", "note", "notes"]

# For whoever seeds the random numbers: `note(SEEDS)`.
SEEDS = "seeds give other random numbers than PyTorch's, so results agree in distribution, not number by number"

is_quiet = False
_said: list[str] = []


def note(text: str) -> None:
    """Say `text` on standard error, the first time only; with `is_quiet` it is kept, and not said."""
    if text in _said:
        return
    _said.append(text)
    if not is_quiet:
        say(f"fastnn: {text}")


def notes() -> list[str]:
    """What has been noted, in order."""
    return list(_said)
