"""torch.utils.data of the layer: order, seeds, threads, and what becomes of errors. Without PyTorch."""

import functools
import gc
import operator
import threading
import time
import weakref

import numpy as np
import pytest

import fastnn.compat.torch as torch
from fastnn.compat.torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    _in_memory,
    get_worker_info,
    random_split,
)
from fastnn.compat.torch.utils.data.distributed import DistributedSampler


class Numbers(Dataset):
    """Its items are their indices."""

    def __init__(self, n=20):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        return index


def order(loader):
    return [int(number) for batch in loader for number in batch]


# ---- order and seeds -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_shuffled_order_has_every_item_once_and_another_one_each_epoch(workers):
    loader = DataLoader(Numbers(), batch_size=3, shuffle=True, num_workers=workers)
    first, second = order(loader), order(loader)
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second != sorted(second)


@pytest.mark.parametrize("workers", [0, 2])
def test_order_is_that_of_the_seed(workers):
    def epochs():
        torch.manual_seed(3)
        loader = DataLoader(Numbers(), batch_size=4, shuffle=True, num_workers=workers)
        return order(loader), order(loader)

    assert epochs() == epochs()


def test_order_is_that_of_the_generator_whatever_else_is_drawn():
    def epoch():
        torch.rand(3)
        return order(DataLoader(Numbers(), shuffle=True, generator=torch.Generator().manual_seed(5)))

    assert epoch() == epoch()


class Noisy(Dataset):
    """Its items are random, and take different times."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        time.sleep(0.002 * (index % 3))
        return torch.rand(2) + index


def test_batches_have_the_same_numbers_with_any_number_of_workers():
    def batches(workers):
        torch.manual_seed(1)
        return np.stack([batch.numpy() for batch in DataLoader(Noisy(), batch_size=3, num_workers=workers)])

    expected = batches(0)
    assert len(np.unique(expected)) == expected.size
    for workers in (1, 2, 5):
        np.testing.assert_array_equal(batches(workers), expected)


def test_random_split_is_that_of_the_generator_and_shares_no_item():
    parts = random_split(Numbers(), [0.5, 0.25, 0.25], generator=torch.Generator().manual_seed(42))
    again = random_split(Numbers(), [10, 5, 5], generator=torch.Generator().manual_seed(42))
    assert [part.indices for part in parts] == [part.indices for part in again]
    assert sorted(functools.reduce(operator.iadd, (part.indices for part in parts), [])) == list(range(20))


def test_weighted_sampler_draws_in_proportion():
    torch.manual_seed(0)
    drawn = np.bincount(list(WeightedRandomSampler([1.0, 0.0, 3.0], 4000)), minlength=3)
    assert drawn[1] == 0
    assert abs(drawn[2] / 4000 - 0.75) < 0.03  # four standard deviations
    without = list(WeightedRandomSampler([1.0, 0.0, 3.0], 2, replacement=False))
    assert sorted(without) == [0, 2]


def test_subset_sampler_gives_its_indices_in_random_order():
    torch.manual_seed(0)
    chosen = list(range(5, 17))
    found = [list(SubsetRandomSampler(chosen)) for _ in range(2)]
    assert sorted(found[0]) == chosen
    assert found[0] != found[1]


def test_random_sampler_of_more_than_there_is_goes_through_all_again():
    torch.manual_seed(0)
    found = list(RandomSampler(range(4), num_samples=10))
    assert sorted(found[:4]) == sorted(found[4:8]) == [0, 1, 2, 3]
    assert len(found) == 10


# ---- what is known is not asked item after item ----------------------------------------------------------------------
def counted(monkeypatch, kind):
    asked = []
    usual = kind.__getitem__
    monkeypatch.setattr(kind, "__getitem__", lambda self, index: asked.append(index) or usual(self, index))
    return asked


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: Subset(s, [5, 2, 2, 0]), lambda s: random_split(s, [4, 6])[0]])
def test_tensors_come_in_whole_batches_with_the_numbers_of_items(monkeypatch, wrap):
    tensors = TensorDataset(torch.arange(20.0).reshape(10, 2), torch.arange(10))
    dataset = wrap(tensors)
    expected = [dataset[i] for i in range(len(dataset))]
    asked = counted(monkeypatch, TensorDataset)
    batches = list(DataLoader(dataset, batch_size=3))
    assert asked == []
    np.testing.assert_array_equal(torch.cat([x for x, _ in batches]).numpy(), [x.tolist() for x, _ in expected])
    np.testing.assert_array_equal(torch.cat([y for _, y in batches]).numpy(), [y.item() for _, y in expected])
    assert batches[0][0].dtype == torch.float32
    assert batches[0][1].dtype == torch.int64


@pytest.mark.parametrize("options", [{"collate_fn": lambda items: items}, {"batch_size": None}])
def test_tensors_are_asked_for_items_where_items_are_wanted(monkeypatch, options):
    asked = counted(monkeypatch, TensorDataset)
    list(DataLoader(TensorDataset(torch.arange(4)), **options))
    assert asked == [0, 1, 2, 3]


def test_a_subclass_with_items_of_its_own_is_asked_for_them():
    class Doubled(TensorDataset):
        def __getitem__(self, index):
            return tuple(2 * x for x in super().__getitem__(index))

    batch = next(iter(DataLoader(Doubled(torch.arange(4)), batch_size=4)))
    assert batch[0].tolist() == [0, 2, 4, 6]


def test_batches_of_tensors_are_copies():
    x = torch.zeros(4, 2)
    for (batch,) in DataLoader(TensorDataset(x), batch_size=2):
        batch += 1
    assert x.sum() == 0


def test_an_index_outside_of_tensors_is_an_error():
    loader = DataLoader(TensorDataset(torch.arange(4)), sampler=[1, 4])
    with pytest.raises(IndexError, match="4 items of TensorDataset"):
        list(loader)


def test_what_is_not_known_is_left_to_items():
    loader = DataLoader(ConcatDataset([TensorDataset(torch.arange(2)), TensorDataset(torch.arange(2))]))
    assert _in_memory.batches(loader, 0, iter([[0]])) is None
    assert [batch[0].item() for batch in loader] == [0, 1, 0, 1]


# ---- workers ---------------------------------------------------------------------------------------------------------
def test_workers_are_threads_that_know_their_number_and_end_with_the_epoch():
    seen = []

    class Where(Numbers):
        def __getitem__(self, index):
            seen.append((threading.current_thread(), get_worker_info().id, get_worker_info().num_workers))
            return index

    assert get_worker_info() is None
    assert order(DataLoader(Where(12), batch_size=2, num_workers=3)) == list(range(12))
    assert {(number, count) for _, number, count in seen} == {(0, 3), (1, 3), (2, 3)}
    threads = {thread for thread, *_ in seen}
    assert len(threads) == 3
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_persistent_workers_are_the_same_threads_and_end_with_the_loader():
    seen = []

    class Where(Numbers):
        def __getitem__(self, index):
            seen.append(threading.current_thread())
            return index

    loader = DataLoader(Where(), batch_size=2, num_workers=2, persistent_workers=True)
    assert order(loader) == order(loader) == list(range(20))
    assert len(set(seen)) == 2
    del loader
    gc.collect()
    for thread in set(seen):
        thread.join(10)
        assert not thread.is_alive()


def test_an_epoch_that_is_left_early_ends_its_threads():
    before = set(threading.enumerate())
    for _ in DataLoader(Numbers(1000), num_workers=2):
        break
    gc.collect()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_an_item_is_raised_where_its_batch_was_due(workers):
    class Broken(Numbers):
        def __getitem__(self, index):
            if index == 7:
                raise KeyError("seven")
            return index

    batches = iter(DataLoader(Broken(), batch_size=2, num_workers=workers))
    assert [next(batches).tolist() for _ in range(3)] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(KeyError, match="seven") as error:
        next(batches)
    assert len(getattr(error.value, "__notes__", [])) == (workers > 0)


def test_worker_init_sees_its_number_and_its_own_copy_of_the_data_set():
    class Offset(Numbers):
        offset = 0

        def __getitem__(self, index):
            return index + self.offset

    def init(number):
        get_worker_info().dataset.offset = 100 * number

    dataset = Offset(8)
    assert order(DataLoader(dataset, batch_size=2, num_workers=2, worker_init_fn=init)) == [
        0, 1, 102, 103, 4, 5, 106, 107,
    ]  # fmt: skip
    assert dataset.offset == 0


def test_workers_share_an_iterable_data_set_as_it_says():
    class Shared(IterableDataset):
        def __iter__(self):
            info = get_worker_info()
            return iter(range(10)) if info is None else iter(range(info.id, 10, info.num_workers))

    assert order(DataLoader(Shared(), batch_size=2)) == list(range(10))
    for workers in (1, 2, 3):
        assert sorted(order(DataLoader(Shared(), batch_size=2, num_workers=workers))) == list(range(10))


def test_a_batch_that_takes_too_long_is_an_error():
    class Slow(Numbers):
        def __getitem__(self, index):
            time.sleep(0.5)
            return index

    with pytest.raises(RuntimeError, match=r"timed out after 0\.01 seconds"):
        next(iter(DataLoader(Slow(), num_workers=1, timeout=0.01)))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_batch_is_gone_when_the_next_is_there(workers):
    class Big(Numbers):
        def __getitem__(self, index):
            return np.zeros(3)

    batches = iter(DataLoader(Big(6), num_workers=workers))
    batch = next(batches)
    watch = weakref.ref(batch)
    del batch
    next(batches)
    gc.collect()
    assert watch() is None


# ---- errors ----------------------------------------------------------------------------------------------------------
def test_settings_cannot_be_changed_afterwards():
    loader = DataLoader(Numbers())
    with pytest.raises(ValueError, match="batch_size attribute should not be set"):
        loader.batch_size = 4


def test_distributed_sampler_says_what_to_do():
    with pytest.raises(RuntimeError, match="one process on all cores"):
        DistributedSampler(Numbers())


def test_lacking_names_say_what_to_use():
    with pytest.raises(AttributeError, match="IterableDataset"):
        torch.utils.data.IterDataPipe  # noqa: B018


def test_a_length_that_is_too_small_is_said():
    class Liar(IterableDataset):
        def __iter__(self):
            return iter(range(4))

        def __len__(self):
            return 3

    loader = DataLoader(Liar())
    assert len(loader) == 3
    with pytest.warns(UserWarning, match="was reported to be 3"):
        list(loader)
