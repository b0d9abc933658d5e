"""Explanations of layers and operations: formula, NumPy twin, source, and how they would run on this machine."""

import difflib
import html
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastnn import _check, functional, nn
from fastnn.autograd.tape import Op
from fastnn.insight._explained_twins import FUNCTIONS, helpers_of, intro, papers, source_of, twins_of

__all__ = ["Explanation", "Section", "explain"]


class Section(NamedTuple):
    """A section of an `Explanation`: its title and its text."""

    title: str
    text: str


@dataclass(frozen=True, repr=False)
class Explanation:
    """The result of `explain`. It prints as text, and notebooks show it as HTML.

    `explanation["Formula"]` is the text of one section.

    Attributes:
        name: the layer with its settings, or the operation.
        sections: the sections (title, text). Titles are, for example, 'Formula', 'Forward in NumPy', 'Backward in
            NumPy'.
    Example:
        >>> from fastnn import insight
        >>> insight.explain("relu")["Formula"]
        'max(x, 0), element by element.'
    """

    name: str
    sections: tuple[Section, ...]

    def to_text(self) -> str:
        """The whole explanation as text, for a terminal."""
        return "\n\n".join([self.name, *(f"{title}\n{'-' * len(title)}\n{text}" for title, text in self.sections)])

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        """For notebooks."""
        parts = [f"<h4>{html.escape(title)}</h4>\n<pre>{html.escape(text)}</pre>" for title, text in self.sections]
        return "\n".join([f"<h3>{html.escape(self.name)}</h3>", *parts])

    def __getitem__(self, key: str) -> str:
        """The text of the section with this title. KeyError if there is none."""
        for title, text in self.sections:
            if title == key:
                return text
        known = ", ".join(title for title, _ in self.sections)
        raise KeyError(f"there is no section {key!r}, but {known}")


def explain(what: Any, shape: Any = None) -> Explanation:
    """Explain what a layer or an operation computes, and how: formula, NumPy twin, source, algorithm for a shape.

    Args:
        what: a layer, a network, a class of `nn`, a function of `fastnn.functional`, the name of one ('conv2d',
            'batch_norm', 'Linear'), or an operation (`fastnn.Op`) or its class. A class or a name is explained with a
            typical layer, which the text names.
        shape: the shape of the input with the batch, (N, C, H, W); for several inputs a tuple of shapes. With it, the
            text also tells sizes, multiplications, memory and the kernels that run. For a convolution it names the
            algorithm of each direction, the reason, and the estimated cost of the others on this machine.
    Returns:
        An `insight.Explanation`, which prints as text. `explanation["Formula"]` is the text of one section.
    Raises:
        TypeError: `what` is none of these.
        ValueError: there is no such name, or the layer does not accept the shape.
    Example:
        >>> import fastnn
        >>> print(fastnn.explain("relu"))
        relu
        <BLANKLINE>
        Formula
        -------
        max(x, 0), element by element.
        <BLANKLINE>
        Gradients
        ---------
        The gradient with respect to x: dy where y > 0, else 0 (the derivative at 0 is taken as 0).
        <BLANKLINE>
        Forward in NumPy
        ----------------
        def relu(x: NDArray) -> NDArray:
            \"\"\"y = max(x, 0)\"\"\"
            return np.maximum(x, 0)
        <BLANKLINE>
        Backward in NumPy
        -----------------
        def relu_backward(dy: NDArray, y: NDArray) -> NDArray:
            \"\"\"dx = dy where y > 0 (or y is NaN), else 0\"\"\"
            return np.where(y <= 0, np.zeros_like(dy), dy)
        <BLANKLINE>
        Source
        ------
        Nair and Hinton, 2010, "Rectified linear units improve restricted Boltzmann machines".
        >>> layer = nn.Conv2d(64, 128, 3, padding=1)
        >>> text = fastnn.explain(layer, (128, 64, 16, 16))["With an input of 128x64x16x16"]
        >>> print(*text.splitlines()[:4], sep="\\n")
        input            128x64x16x16 of float32
        output           128x128x16x16
        parameters       73,856 (295.4 kB)
        multiplications  2,415,919,104 forward; training takes about three times as many
    """
    subject = _subject(what)
    sections = [section for section in _sections(subject) if section.text]
    if shape is not None:
        from fastnn.insight._explained_cost import cost, costs_of_parts  # the profile, which looks into networks, too
        from fastnn.models.summary import shapes_of

        shapes = shapes_of("explain", shape, "shape")
        layer = _typical(subject, shapes) if subject.layer is None else subject.layer
        if not layer._takes_arrays:
            raise TypeError(f"explain: with a shape, what must be a module of fastnn.nn. Received: {subject.name}")
        inputs = _inputs(layer, shapes)
        words = [] if subject.layer is layer else [f"of {layer!r}", ""]
        lines = costs_of_parts(layer, inputs) if _is_network(layer) else cost(layer, inputs)
        of_one = shapes if isinstance(shapes, tuple) and isinstance(shapes[0], int) else None
        given = "x".join(map(str, of_one)) if of_one else str(shapes)
        sections.append(Section(f"With an input of {given}", "\n".join([*words, *lines])))
    return Explanation(subject.name, tuple(sections))


# ---- what is meant ---------------------------------------------------------------------------------------------------
class _Subject(NamedTuple):
    """What is explained.

    Attributes:
        name: for the reader.
        documented: whose docstring speaks of it as a whole.
        functions: names in `fastnn.functional`.
        layer: an instance, if one was given.
        kind: the class of the layer, if one was given or meant.
        own: code of a user's that has no twin, by title.
    """

    name: str
    documented: Any
    functions: tuple[str, ...]
    layer: nn.Module | None = None
    kind: type[nn.Module] | None = None
    own: tuple[tuple[str, Any], ...] = ()


def _subject(what: Any) -> _Subject:
    if isinstance(what, nn.Module):
        name = type(what).__name__ if what._modules and not _is_ours(type(what)) else repr(what)
        return _of_class(type(what), name, what)
    if isinstance(what, str):
        return _of_name(what)
    if inspect.isclass(what) and issubclass(what, nn.Module):
        return _of_class(what, what.__name__, None)
    if isinstance(what, Op) or (inspect.isclass(what) and issubclass(what, Op)):
        return _of_operation(what if inspect.isclass(what) else type(what))
    name = getattr(what, "__name__", "")
    if inspect.isfunction(what) and getattr(functional, name, None) is what:
        return _of_name(name)
    raise TypeError(
        f"explain: a layer, a function of fastnn.functional, an Op or a name is needed. Received: {_check.shown(what)}"
    )


def _of_name(name: str) -> _Subject:
    kind = getattr(nn, name, None)
    if inspect.isclass(kind) and issubclass(kind, nn.Module):
        return _of_class(kind, name, None)
    function = getattr(functional, name, None)
    if not inspect.isfunction(function):
        known = [*{names[0]: None for names in FUNCTIONS.values() if names}, *(kind.__name__ for kind in FUNCTIONS)]
        near = difflib.get_close_matches(str(name), known, 3, 0.5) or ["conv2d", "batch_norm", "Linear"]
        raise ValueError(f"explain: there is no operation {_check.shown(name)}; known are {', '.join(near)} and more")
    base = name.removesuffix("_backward")
    base = base if hasattr(functional, base) else name
    return _Subject(name, getattr(functional, base), (base,))


def _of_class(kind: type[nn.Module], name: str, layer: nn.Module | None) -> _Subject:
    known = next((parent for parent in kind.__mro__ if parent in FUNCTIONS and _runs_as(kind, parent)), None)
    if known is not None:
        documented = kind if vars(kind).get("__doc__") else known
        return _Subject(name, documented, FUNCTIONS[known], layer, kind)
    own = [("Forward", getattr(kind.forward, "entered", kind.forward))]
    if not getattr(kind.backward, "is_derived", False):
        own.append(("Backward", inspect.unwrap(kind.backward)))
    return _Subject(name, kind if kind.__doc__ else None, (), layer, kind, tuple(own))


def _runs_as(kind: type[nn.Module], parent: type[nn.Module]) -> bool:
    forward = getattr(kind.forward, "extends", kind.forward)
    return forward is parent.forward and kind.backward is parent.backward


def _of_operation(kind: type[Op]) -> _Subject:
    """One of fastnn's says in its docstring which function it is; any other has its own code."""
    words = (kind.__doc__ or "").split("`")
    if kind.__module__.startswith("fastnn.functional.") and len(words) > 2:
        name = words[1]
        if inspect.isfunction(getattr(functional, name, None)):
            return _of_name(name)
    return _Subject(kind.__name__, kind, (), own=(("Forward", kind.forward), ("Backward", kind.backward)))


def _is_ours(kind: type[nn.Module]) -> bool:
    return kind.__module__.startswith("fastnn.nn.")


def _is_network(layer: nn.Module) -> bool:
    """Whether its parts are told one by one."""
    return bool(layer._modules) and not (_is_ours(type(layer)) and not isinstance(layer, nn.Sequential | nn.Residual))


# ---- what is said ----------------------------------------------------------------------------------------------------
# In a layer that is made of others, what is explained under its own name.
_BY_THEMSELVES = {"linear", "dropout"}


def _sections(subject: _Subject) -> Iterator[Section]:
    names = subject.functions
    if len(names) > 1:
        words = f"It is made of {', '.join(names[:-1])} and {names[-1]}"
        others = [name for name in names if name in _BY_THEMSELVES]
        names = tuple(name for name in names if name not in _BY_THEMSELVES)
        more = " and ".join(f"explain({name!r})" for name in others)
        yield Section("What it does", f"{intro(subject.documented)}\n\n{words}; see also {more}.")
    elif not names and subject.documented is not None:
        yield Section("What it does", intro(subject.documented))
    functions = [getattr(functional, name) for name in names]
    gradients = [getattr(functional, f"{name}_backward", None) for name in names]
    formulas = [_gradient_intro(gradient) for gradient in gradients if gradient is not None]
    yield Section("Formula", "\n\n".join(map(intro, functions)))
    yield Section("Gradients", "\n\n".join(formulas))
    twins = [twins_of(name) for name in names]
    forward = [function for pair in twins for function in pair[0]]
    backward = [function for pair in twins for function in pair[1]]
    of_forward = helpers_of(forward)
    of_backward = [helper for helper in helpers_of(forward + backward) if helper not in of_forward]
    yield Section("Forward in NumPy", source_of([*of_forward, *forward]))
    if not backward and not formulas and any(set(names) <= set(known) for known in FUNCTIONS.values()) and names:
        yield Section("Backward in NumPy", "It has no twin of its own: the tape goes back through the forward.")
    yield Section("Backward in NumPy", source_of([*of_backward, *backward]) if backward else "")
    for title, function in subject.own:
        yield Section(title, _own_source(function))
    is_container = subject.kind is not None and issubclass(subject.kind, nn.Sequential)
    if subject.kind is not None and not names and not subject.own and not is_container:
        yield Section("In NumPy", "It does no arithmetic, so that it has no twin.")
    sources = list(dict.fromkeys(filter(None, map(papers, [subject.documented, *functions]))))
    longest = [text for text in sources if not any(text.rstrip(".") in other for other in sources if other != text)]
    yield Section("Source", "\n".join(longest))


def _gradient_intro(function: Any) -> str:
    """Without the line that says whose gradients these are."""
    text = intro(function)
    first, _, rest = text.partition("\n")
    return rest.strip() if first.startswith("Gradient") and first.endswith("`.") else text


def _own_source(function: Any) -> str:
    try:
        return inspect.cleandoc("\n" + inspect.getsource(function))
    except (OSError, TypeError):  # typed in, or built in
        return "The source is not to be had."


# ---- an example of a layer -------------------------------------------------------------------------------------------
def _typical(subject: _Subject, shapes: Any) -> nn.Module:
    """A layer of this kind, for an input of this shape."""
    if subject.kind is None and subject.functions:
        kinds: list[Any] = [kind for kind, names in FUNCTIONS.items() if names == subject.functions]
    else:
        kinds = [subject.kind] if subject.kind in FUNCTIONS else []
    if not _are_several(shapes):
        sizes = _typical_settings(shapes)
        # batch_norm is that of features and of images: the last one's name ends in 2d.
        for kind in sorted(kinds, key=lambda kind: kind.__name__.endswith("2d"), reverse=len(shapes) == 4):
            needed = [
                parameter.name
                for parameter in inspect.signature(kind).parameters.values()
                if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            ]
            if all(name in sizes for name in needed) and not issubclass(kind, nn.Loss):
                padding = {"padding": 1} if kind is nn.Conv2d else {}
                return kind(**{name: sizes[name] for name in needed}, **padding)
    raise ValueError(f"explain: with a shape, give a layer rather than {subject.name}")


def _typical_settings(shape: tuple[int, ...]) -> dict[str, Any]:
    """What constructors need, by the names of their arguments: as many channels or features out as come in."""
    channels, features = shape[min(1, len(shape) - 1)], shape[-1]
    return {
        "in_channels": channels, "out_channels": channels, "kernel_size": 3, "num_features": channels,
        "num_channels": channels, "num_groups": 1, "in_features": features, "out_features": features,
        "normalized_shape": features, "embed_dim": features, "num_heads": 1, "input_size": features,
        "hidden_size": features, "num_embeddings": 1000, "embedding_dim": 64, "output_size": 1, "size": 5,
        "upscale_factor": 2, "downscale_factor": 2, "padding": 1,
    }  # fmt: skip


def _are_several(shapes: Any) -> bool:
    return isinstance(shapes, dict) or not isinstance(shapes[0], int)


def _inputs(layer: nn.Module, shapes: Any) -> Any:
    """Zeros; integers for an embedding that comes first, and for the classes of a loss."""
    dtype: Any = next((parameter.dtype for parameter in layer.parameters()), np.dtype(np.float32))
    if not _are_several(shapes):
        first = next((part for part in layer.modules() if not part._modules), layer)
        return np.zeros(shapes, np.int64 if isinstance(first, nn.Embedding) else dtype)
    if isinstance(shapes, dict):
        return {name: np.zeros(shape, dtype) for name, shape in shapes.items()}
    is_class = isinstance(layer, nn.Loss) and len(shapes) > 1 and len(shapes[1]) < len(shapes[0])
    return tuple(np.zeros(shape, np.int64 if i and is_class else dtype) for i, shape in enumerate(shapes))
