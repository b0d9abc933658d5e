"""torch.hub: models and weights from elsewhere, which are not fetched here."""

import os

from fastnn.compat.torch._missing import missing

__all__ = ["get_dir", "set_dir"]

_dir: str | None = None


def get_dir() -> str:
    """The folder for files that were fetched: that of `set_dir`, $TORCH_HOME/hub, or ~/.cache/torch/hub."""
    if _dir is not None:
        return _dir
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return os.path.join(os.path.expanduser(os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))), "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Set the folder for files that were fetched."""
    global _dir
    _dir = os.path.expanduser(os.fspath(d))


FETCH = "fetch the file first (curl -O <url>), then torch.load(path)"
_MODELS = "make the model by its class, and load its weights: model.load_state_dict(torch.load(path))"
__getattr__ = missing(
    __name__,
    {
        "download_url_to_file": "use urllib.request.urlretrieve(url, path)",
        "load_state_dict_from_url": FETCH,
        "load": _MODELS,
        "list": _MODELS,
        "help": _MODELS,
    },
)
