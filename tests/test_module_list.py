"""A list of modules whose parameters are found."""

import numpy as np
import pytest

from fastnn import nn


def test_module_list_is_a_list_whose_parameters_are_found():
    a, b, c = nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)
    layers = nn.ModuleList([a])
    layers.append(c).insert(1, b)
    assert list(layers) == [a, b, c]
    assert list(layers.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert (layers[-1], list(layers[1:]), len(layers)) == (c, [b, c], 3)
    layers[1] = nn.Tanh()
    del layers[0]
    assert [type(layer) for layer in layers] == [nn.Tanh, nn.Linear]
    with pytest.raises(TypeError, match=r"ModuleList: modules are needed. Received: str"):
        layers.append("a")
    with pytest.raises(TypeError, match=r"ModuleList does not define forward"):
        layers(np.zeros(2))
