"""Networks of users, as commands name them: `net.py:make_net`, or `package.module:make_net`."""

import contextlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from fastnn import nn
from fastnn.insight._state import preserved

__all__ = ["NetworkError", "classes_of", "is_user_network", "load_network", "network_of", "user_code"]


class NetworkError(ValueError):
    """There is no such network, or the code that makes it fails; the message has its file and line."""


def is_user_network(name: str) -> bool:
    """Whether this is no name of a built-in network or recipe: it has a colon, or is a file of Python."""
    return ":" in name or name.endswith(".py")


def network_of(name: str) -> nn.Module:
    """The network that a command names: a user's, that of a recipe, or a model of `fastnn.models`.

    Raises:
        ValueError: there is none.
    """
    from fastnn import models, training

    if is_user_network(name):
        return load_network(name)
    return training.RECIPES[name].make_model() if name in training.RECIPES else models.create(name)


def load_network(name: str) -> nn.Module:
    """Import the file or module before the last colon and call what follows it, without arguments.

    What a file imports from its own folder is found, as if it were run.

    Args:
        name: `net.py:make_net` or `package.module:make_net`: a function, or a class, that gives an `nn.Module`; or one.
    Raises:
        NetworkError: there is no such file, module or name, it gives something else, or its code fails.
    Example:
        >>> import tempfile, pathlib
        >>> from fastnn._user_network import load_network
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "net.py")
        ...     _ = path.write_text("from fastnn import nn\\ndef make(): return nn.Linear(4, 2)\\n")
        ...     load_network(f"{path}:make")
        Linear(in_features=4, out_features=2, bias=True)
    """
    place, colon, attribute = name.rpartition(":")
    if not colon or not place or not attribute.isidentifier():  # the colon may be that of a drive: C:\\net.py
        raise NetworkError(f"{name}: say what makes the network, as in net.py:make_net")
    with user_code(name):
        module = _imported(place)
        if not hasattr(module, attribute):
            known = [key for key, value in vars(module).items() if _may_make(module, key, value)]
            hint = f"; there is {', '.join(known)}" if known else ""
            raise NetworkError(f"{place} has no {attribute!r}{hint}")
        made = getattr(module, attribute)
        if not isinstance(made, nn.Module):
            if not callable(made):
                raise NetworkError(f"{name} is no function but of type {type(made).__name__}")
            try:
                made = made()
            except TypeError as error:
                if error.__traceback__ is not None and error.__traceback__.tb_next is None:  # not from within
                    raise NetworkError(f"{name} is called without arguments: {error}") from None
                raise
        if not isinstance(made, nn.Module):
            raise NetworkError(f"{name} must give an nn.Module. Received: {type(made).__name__}")
        return made


def _may_make(module: ModuleType, key: str, value: Any) -> bool:
    return callable(value) and not key.startswith("_") and getattr(value, "__module__", None) == module.__name__


def classes_of(name: str, model: nn.Module, input_shape: Sequence[int]) -> int:
    """Classes that a network tells apart: it is run on one image of noise.

    Raises:
        NetworkError: it does not give (1, classes), or its code fails.
        ValueError, TypeError: a layer refuses an input of this shape; the message shows it.
    """
    x = np.random.default_rng(0).standard_normal((1, *input_shape), np.float32)
    with user_code(name), preserved(model):
        y = model.eval()(x)
    if not isinstance(y, np.ndarray) or y.ndim != 2 or len(y) != 1 or not y.shape[1]:
        shape = f"shape {y.shape}" if isinstance(y, np.ndarray) else type(y).__name__
        raise NetworkError(f"{name} must give (N, classes) for an input of {(1, *input_shape)}. Received: {shape}")
    return y.shape[1]


@contextlib.contextmanager
def user_code(name: str) -> Iterator[None]:
    """Within the block, an exception that comes from the file of a user's network becomes one that names the line.

    With other names nothing changes. The exception itself is the cause, for those who ask for its traceback.
    """
    if not is_user_network(name):
        yield
        return
    place = name.rpartition(":")[0]
    with _importable(Path(place).resolve().parent if place.endswith(".py") else Path.cwd()):
        try:
            yield
        except NetworkError:
            raise
        except (Exception, SystemExit) as error:
            where = _line(error, place)
            if where is None:
                raise
            words = " ".join(str(error).split())
            raise NetworkError(f"{where}: {type(error).__name__}{': ' if words else ''}{words}") from error


def _imported(place: str) -> ModuleType:
    if not place.endswith(".py"):
        try:
            return importlib.import_module(place)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{place}.".startswith(f"{error.name}."):
                raise  # it is there, and imports what is not
            raise NetworkError(f"there is no module {place!r}; for a file, end its name in .py") from None
        except (TypeError, ValueError):  # relative or empty names
            raise NetworkError(f"{place!r} is no name of a module") from None
    path = Path(place).resolve()
    if not path.is_file():
        raise NetworkError(f"there is no file {place}")
    module_name = f"fastnn_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses and pickles look it up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    before = list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = before


def _line(error: BaseException, place: str) -> str | None:
    """`file:line` of the last line of the user's code that ran; None if none of it did."""
    path = _file_of(place)
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{_shown(error.filename)}:{error.lineno}"
    if path is None:
        return None
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _same_file(frame.filename, path)]
    return f"{_shown(frames[-1].filename)}:{frames[-1].lineno}" if frames else None


def _file_of(place: str) -> str | None:
    if place.endswith(".py"):
        return str(Path(place).resolve())
    module = sys.modules.get(place)
    with contextlib.suppress(Exception):
        spec = importlib.util.find_spec(place) if module is None else None
        return module.__file__ if module is not None else spec.origin if spec is not None else None
    return None


def _same_file(a: str, b: str) -> bool:
    return os.path.realpath(a) == os.path.realpath(b)


def _shown(path: str) -> str:
    """Relative to the working folder if it lies there."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # on another drive of Windows
        return path
    return path if relative.startswith("..") else relative
