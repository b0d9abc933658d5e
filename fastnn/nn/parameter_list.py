"""A list whose parameters are found."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from fastnn import _check
from fastnn.nn.module import Module
from fastnn.nn.parameter import Parameter

__all__ = ["ParameterList"]


class ParameterList(Module):
    """A list of parameters that belong to the module that holds it; those in a plain list are not found.

    Names are "0", "1", ...

    Args:
        parameters: parameters; arrays become some.
    Raises:
        TypeError: neither parameters nor arrays of float32 or float64.
    Example:
        >>> scales = nn.ParameterList([np.ones(2, np.float32), np.zeros(3, np.float32)])
        >>> len(scales), scales[1].shape, list(scales.state_dict())
        (2, (3,), ['0', '1'])
    """

    def __init__(self, parameters: Iterable[Any] = ()) -> None:
        super().__init__()
        self.extend(parameters)

    def append(self, parameter: Any) -> "ParameterList":
        """Add a parameter at the end."""
        return self.extend([parameter])

    def extend(self, parameters: Iterable[Any]) -> "ParameterList":
        """Add parameters at the end."""
        if isinstance(parameters, np.ndarray | Parameter):
            raise TypeError("ParameterList: parameters must be a list of parameters. Received: one array")
        try:
            added = [self._parameter(value) for value in parameters]
        except TypeError as error:
            if str(error).startswith("Parameter"):
                raise
            words = _check.shown(parameters)
            raise TypeError(f"ParameterList: parameters must be a list of parameters. Received: {words}") from None
        for parameter in added:
            self._parameters[str(len(self))] = parameter
        return self

    @staticmethod
    def _parameter(value: Any) -> Parameter:
        if isinstance(value, Parameter):
            return value
        if not isinstance(value, np.ndarray):
            raise TypeError(f"ParameterList: parameters are needed. Received: {_check.shown(value)}")
        return Parameter(value)

    def __getitem__(self, index: int) -> Parameter:
        return list(self)[index]

    def __setitem__(self, index: int, parameter: Any) -> None:
        name = list(self._parameters)[index]
        self._parameters[name] = self._parameter(parameter)

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Parameter]:
        return iter([parameter for parameter in self._parameters.values() if parameter is not None])
