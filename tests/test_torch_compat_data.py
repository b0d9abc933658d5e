"""fastnn.compat.torch.utils.data does what torch.utils.data does."""

import collections
import inspect

import numpy as np
import pytest

import fastnn.compat.torch as own_torch
from fastnn.compat.torch.utils import data as own_data

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def torch():
    import torch
    import torch.utils.data

    return torch


def plain(value):
    """Tensors as their dtype and numbers, all else as it is."""
    if type(value).__name__ == "Tensor":
        return ("tensor", str(value.dtype), value.tolist())
    if isinstance(value, dict):
        return type(value)((key, plain(part)) for key, part in value.items()), type(value)
    if isinstance(value, tuple | list):
        return type(value).__name__, [plain(part) for part in value]
    return value


def outcome(call):
    """What a call gives, or the kind of its error."""
    try:
        return plain(call())
    except Exception as error:
        return type(error)


# ---- names -----------------------------------------------------------------------------------------------------------
LACKING = {
    "DFIterDataPipe", "DataChunk", "IterDataPipe", "MapDataPipe", "argument_validation", "functional_datapipe",
    "guaranteed_datapipes_determinism", "non_deterministic", "runtime_validation", "runtime_validation_disabled",
}  # fmt: skip


def test_all_names_are_there_or_lack_with_advice(torch):
    theirs = set(torch.utils.data.__all__)
    assert {name for name in theirs if not hasattr(own_data, name)} == LACKING


@pytest.mark.parametrize("name", [name for name in own_data.__all__ if name[0] != "_" and name != "DistributedSampler"])
def test_arguments_are_those_of_pytorch(torch, name):
    own, theirs = getattr(own_data, name), getattr(torch.utils.data, name)
    found, expected = (
        [(p.name, p.kind, p.default) for p in inspect.signature(kind).parameters.values()] for kind in (own, theirs)
    )
    if name == "random_split":  # there the default generator is an object
        assert [part[0] for part in found] == [part[0] for part in expected]
    elif name not in ("Sampler", "Dataset", "IterableDataset"):
        assert found == expected


# ---- collating -------------------------------------------------------------------------------------------------------
Point = collections.namedtuple("Point", "x y")


def batches(torch):
    tensor, rng = torch.tensor, np.random.default_rng(0)
    image = rng.random((2, 3))
    yield [1, 2, 3]
    yield [1.5, 2.0]
    yield [True, False]
    yield ["a", "b"]
    yield [b"a", b"b"]
    yield [np.float32(1), np.float32(2)]
    yield [np.int64(1), np.int64(2)]
    yield [np.bool_(True), np.bool_(False)]
    yield [image, image + 1]
    yield [image.astype(np.float32), image.astype(np.float32)]
    yield [image.astype(np.uint8)] * 2
    yield [tensor([1.0, 2.0]), tensor([3.0, 4.0])]
    yield [tensor(1), tensor(2)]
    yield [tensor([1, 2]), tensor([1, 2])]
    yield [(tensor([1.0]), 3), (tensor([2.0]), 4)]
    yield [[tensor([1.0]), 3], [tensor([2.0]), 4]]
    yield [{"a": 1, "b": tensor([1.0])}, {"a": 2, "b": tensor([2.0])}]
    yield [collections.OrderedDict(a=1), collections.OrderedDict(a=2)]
    yield [Point(1, 2.0), Point(3, 4.0)]
    yield [{"a": [1, {"b": "c"}]}, {"a": [2, {"b": "d"}]}]
    yield [(1, "a", np.ones(2)), (2, "b", np.zeros(2))]
    # errors
    yield [tensor([1.0, 2.0]), tensor([3.0])]
    yield [[1, 2], [3]]
    yield [None, None]
    yield [object(), object()]
    yield [np.array(["a"]), np.array(["b"])]
    yield [{"a": 1}, {"b": 2}]
    yield []


def test_batches_are_collated_as_pytorch_does(torch):
    pairs = list(zip(batches(own_torch), batches(torch), strict=True))
    assert len(pairs) == 28
    for own, theirs in pairs:
        assert outcome(lambda own=own: own_data.default_collate(own)) == outcome(
            lambda theirs=theirs: torch.utils.data.default_collate(theirs)
        ), own


def test_items_are_converted_as_pytorch_does(torch):
    for own, theirs in zip(batches(own_torch), batches(torch), strict=True):
        found, expected = own_data.default_convert(own), torch.utils.data.default_convert(theirs)
        if not own or type(own[0]) is not object:
            assert plain(found) == plain(expected)


# ---- data sets and samplers ------------------------------------------------------------------------------------------
def datasets(torch, data):
    x, y = torch.arange(10).float().reshape(5, 2), torch.arange(5)

    class Squares(data.Dataset):
        def __len__(self):
            return 7

        def __getitem__(self, index):
            return torch.tensor(index * index), str(index)

    class Count(data.IterableDataset):
        def __init__(self, n=5):
            self.n = n

        def __iter__(self):
            return iter(range(self.n))

        def __len__(self):
            return self.n

    tensors = data.TensorDataset(x, y)
    yield tensors
    yield Squares()
    yield data.Subset(tensors, [4, 0, 2])
    yield data.Subset(data.Subset(Squares(), [6, 3, 1, 0]), [2, 0])
    yield data.ConcatDataset([tensors, data.Subset(tensors, [1])])
    yield tensors + tensors
    yield data.StackDataset(tensors, y)
    yield data.StackDataset(a=tensors, b=y)
    yield [1, 2, 3]
    yield Count()
    yield Count(0)
    yield Count(3) + Count(2)


OPTIONS = [
    {},
    {"batch_size": 2},
    {"batch_size": 2, "drop_last": True},
    {"batch_size": None},
    {"batch_size": 3, "num_workers": 2},
    {"batch_size": 2, "num_workers": 2, "drop_last": True, "persistent_workers": True},
    {"batch_size": 2, "collate_fn": list},
    {"sampler": [1, 0], "batch_size": 2},
    {"batch_sampler": [[0, 1], [2]]},
    {"shuffle": True, "sampler": [0]},
    {"batch_sampler": [[0]], "batch_size": 2},
    {"batch_size": None, "drop_last": True},
    {"batch_size": 0},
    {"num_workers": -1},
    {"prefetch_factor": 2},
    {"persistent_workers": True},
    {"timeout": -1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_loaders_give_the_batches_of_pytorch(torch, options):
    pairs = list(zip(datasets(own_torch, own_data), datasets(torch, torch.utils.data), strict=True))
    assert len(pairs) == 12
    for number, (own, theirs) in enumerate(pairs):
        if options.get("num_workers") and number >= 9:
            continue  # each worker has the whole, in PyTorch in another process
        if options.get("num_workers"):
            expected_options = {k: v for k, v in options.items() if k not in ("num_workers", "persistent_workers")}
        else:
            expected_options = options

        def all_of(data, dataset, given):
            loader = data.DataLoader(dataset, **given)
            return [len(loader), list(loader), list(loader)]

        found = outcome(lambda own=own: all_of(own_data, own, options))
        expected = outcome(lambda theirs=theirs, given=expected_options: all_of(torch.utils.data, theirs, given))
        if options == {"num_workers": -1}:
            expected = ValueError
        assert found == expected, (number, options)


def test_items_of_data_sets_are_those_of_pytorch(torch):
    for own, theirs in zip(datasets(own_torch, own_data), datasets(torch, torch.utils.data), strict=True):
        if not hasattr(own, "__getitem__") or isinstance(own, own_data.IterableDataset):
            continue
        assert len(own) == len(theirs)
        for index in (0, 1, -1, len(own), 100, -100):
            assert outcome(lambda own=own, index=index: own[index]) == outcome(
                lambda theirs=theirs, index=index: theirs[index]
            ), (own, index)


def test_lengths_of_splits_are_those_of_pytorch(torch):
    for lengths in ([3, 4], [0.5, 0.5], [0.3, 0.3, 0.4], [1.0], [7, 0], [3, 3], [0.2, 0.2], [1.5, -0.5], [8, -1]):

        def parts(data, lengths=lengths):
            return [len(part) for part in data.random_split(range(7), lengths)]

        assert outcome(lambda: parts(own_data)) == outcome(lambda: parts(torch.utils.data)), lengths


def test_samplers_are_as_long_as_those_of_pytorch_and_refuse_the_same(torch):
    calls = [
        ("SequentialSampler", (range(5),), {}),
        ("RandomSampler", (range(5),), {}),
        ("RandomSampler", (range(5),), {"num_samples": 12}),
        ("RandomSampler", (range(5),), {"replacement": True, "num_samples": 3}),
        ("RandomSampler", (range(5),), {"num_samples": 0}),
        ("RandomSampler", (range(0),), {}),
        ("RandomSampler", (range(5),), {"replacement": 1}),
        ("SubsetRandomSampler", ([3, 5, 9],), {}),
        ("WeightedRandomSampler", ([0.1, 0.0, 2.0], 4), {}),
        ("WeightedRandomSampler", ([0.1, 0.0, 2.0], 2, False), {}),
        ("WeightedRandomSampler", ([0.1, 0.2], 0), {}),
        ("WeightedRandomSampler", ([[0.1, 0.2]], 1), {}),
        ("WeightedRandomSampler", ([0.1, 0.2], 2, 1), {}),
        ("BatchSampler", (range(5), 2, False), {}),
        ("BatchSampler", (range(5), 2, True), {}),
        ("BatchSampler", (range(5), 0, True), {}),
        ("BatchSampler", (range(5), 2, 1), {}),
    ]
    for name, arguments, options in calls:

        def sizes(data, name=name, arguments=arguments, options=options):
            sampler = getattr(data, name)(*arguments, **options)
            found = list(sampler)
            return (
                len(sampler),
                len(found),
                len({str(item) for item in found}) if name != "WeightedRandomSampler" else 0,
            )

        found, expected = outcome(lambda: sizes(own_data)), outcome(lambda: sizes(torch.utils.data))
        if options.get("replacement") is True:
            found, expected = found[1][:2], expected[1][:2]
        assert found == expected, (name, arguments, options)
