"""What ranks compute together: sums, exchanges, gradients, buffers, random numbers. Ranks are threads here."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rank_threads import on_ranks

import fastnn
from fastnn import data, nn, optim, training
from fastnn.data._shards import cut, cut_batch, sizes_of
from fastnn.distributed import Disagreement, RankLost, World, launched_ranks
from fastnn.distributed._exchange import sum_over_shards
from fastnn.distributed._tree import Pile, blocks_of, shards_of_rank, total


# ---- the tree --------------------------------------------------------------------------------------------------------
def bracketed(left, right):
    return f"({left}+{right})"


def tree_sum(ranks, shards):
    """The sum as text: each rank adds its shards, and all blocks are added."""
    values = {}
    for rank in range(ranks):
        pile = Pile(bracketed)
        for shard in shards_of_rank(rank, ranks, shards):
            pile.push(shard, str(shard))
        assert pile.blocks == blocks_of(shards_of_rank(rank, ranks, shards))
        values.update(pile)
    return total(values, shards, bracketed)


def test_tree_of_eight_shards_is_balanced():
    assert tree_sum(1, 8) == "(((0+1)+(2+3))+((4+5)+(6+7)))"


@given(st.integers(1, 70), st.data())
def test_tree_is_the_same_for_every_number_of_ranks(shards, draw):
    ranks = draw.draw(st.integers(1, shards))
    assert tree_sum(ranks, shards) == tree_sum(1, shards)


@given(st.integers(1, 70), st.data())
def test_ranks_share_all_shards_evenly(shards, draw):
    ranks = draw.draw(st.integers(1, shards))
    parts = [shards_of_rank(rank, ranks, shards) for rank in range(ranks)]
    assert [shard for part in parts for shard in part] == list(range(shards))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert min(map(len, parts)) >= 1


def test_total_names_a_shard_that_is_in_no_block():
    with pytest.raises(ValueError, match="shard 1 of 2 is in no block"):
        total({blocks_of(range(1))[0]: "0"}, 2, bracketed)


@given(st.integers(0, 100), st.integers(1, 20))
def test_shards_of_a_batch_are_even_and_complete(n, shards):
    sizes = sizes_of(n, shards)
    assert sum(sizes) == n
    assert max(sizes) - min(sizes) <= 1
    assert [len(range(n)[cut(n, shard, shards)]) for shard in range(shards)] == sizes


def test_cut_batch_cuts_every_part_of_several_inputs():
    x = {"image": np.arange(10.0).reshape(10, 1), "weight": np.arange(10)}
    batch = cut_batch(x, (np.arange(10), np.arange(10.0)), range(1, 3), 3)
    assert [part[0]["weight"].tolist() for part in batch.parts] == [[3, 4, 5], [6, 7, 8, 9]]
    assert [part[1][1].tolist() for part in batch.parts] == [[3, 4, 5], [6, 7, 8, 9]]
    assert batch.n == 10


def test_cut_batch_refuses_targets_without_samples():
    with pytest.raises(ValueError, match="one entry for each of 4 samples"):
        cut_batch(np.zeros((4, 2)), np.zeros(3), range(1), 2)


# ---- sums of arrays --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [1, 7, 20_000])
@pytest.mark.parametrize(("ranks", "shards"), [(1, 1), (2, 2), (2, 8), (3, 8), (5, 8), (8, 8), (3, 7), (4, 6)])
def test_sum_over_shards_has_the_bits_of_the_tree(ranks, shards, size, rng):
    leaves = rng.standard_normal((shards, size)).astype(np.float32)
    expected = sum_over_shards(training_alone(), 0, shards, [leaf.copy() for leaf in leaves])

    def summed(processes):
        own = shards_of_rank(processes.rank, processes.size, shards)
        return sum_over_shards(processes.communicator, 3, shards, [leaves[shard].copy() for shard in own])

    for result in on_ranks(ranks, summed):
        assert result.tobytes() == expected.tobytes()
    assert np.allclose(expected, leaves.sum(axis=0), atol=1e-4)


def training_alone():
    from fastnn.distributed._processes import Processes

    return Processes().communicator


def test_sum_over_shards_differs_from_a_sum_in_another_order(rng):
    # Else the tests above could not tell an order from another.
    leaves = rng.standard_normal((8, 1000)).astype(np.float32)
    tree = sum_over_shards(training_alone(), 0, 8, [leaf.copy() for leaf in leaves])
    assert tree.tobytes() != np.add.reduce(leaves[::-1], axis=0).tobytes()


# ---- gradients -------------------------------------------------------------------------------------------------------
def network():
    fastnn.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Dropout(0.3), nn.Linear(16, 5),
    )  # fmt: skip


def batch_of(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 3, 6, 6)).astype(np.float32), rng.integers(0, 5, n)


def bits(model):
    found = [np.ascontiguousarray(array).tobytes() for array in model.state_dict().values()]
    return found + [None if p.grad is None else np.ascontiguousarray(p.grad).tobytes() for p in model.parameters()]


def steps(processes, shards=8, make=network, sizes=(24, 24, 13, 3), bucket_bytes=400, forward=None):
    """Weights, gradients and losses after some steps in a loop."""
    model = make()
    criterion, optimizer = nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.01)
    losses = []
    with World(shards, bucket_bytes=bucket_bytes, processes=processes) as world:
        for number, n in enumerate(sizes):
            optimizer.zero_grad()
            own = []
            for x, y in world.shards(model, batch_of(n, number)):
                own.append(criterion(model(x) if forward is None else forward(model, x, number), y))
                model.backward(criterion.backward())
            world.reduce_gradients(model)
            optimizer.step()
            losses.append(world.mean(own))
    return bits(model), losses


@pytest.mark.parametrize("ranks", [2, 3, 5, 8])
def test_steps_have_the_same_bits_for_every_number_of_ranks(ranks):
    alone = on_ranks(1, steps)[0]
    for found in on_ranks(ranks, steps):
        assert found == alone


@pytest.mark.parametrize("bucket_bytes", [1, 100, 1 << 20])
def test_steps_have_the_same_bits_for_every_size_of_buckets(bucket_bytes):
    alone = on_ranks(1, steps)[0]
    assert on_ranks(3, lambda processes: steps(processes, bucket_bytes=bucket_bytes))[1] == alone


def test_another_number_of_shards_gives_other_bits():
    # Batch norm sees other samples together.
    assert on_ranks(1, steps)[0] != on_ranks(1, lambda processes: steps(processes, shards=4))[0]


def test_gradient_is_that_of_the_mean_over_the_whole_batch():
    def make():
        fastnn.manual_seed(1)
        return nn.Sequential(nn.Flatten(), nn.Linear(108, 5))

    x, y = batch_of(13)
    whole, criterion = make(), nn.CrossEntropyLoss()
    loss = criterion(whole(x), y)
    whole.backward(criterion.backward())
    model = make()
    with World(4) as world:
        own = []
        for part, targets in world.shards(model, (x, y)):
            own.append(criterion(model(part), targets))
            model.backward(criterion.backward())
        world.reduce_gradients(model)
        assert world.mean(own) == pytest.approx(loss, rel=1e-6)
    for a, b in zip(whole.parameters(), model.parameters(), strict=True):
        np.testing.assert_allclose(a.grad, b.grad, rtol=1e-5, atol=1e-7)


def test_gradients_that_were_there_are_added_to():
    model = nn.Linear(2, 1, bias=False)
    x, y = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    criterion = nn.MSELoss()
    gradients = []
    with World(2) as world:
        for _ in range(2):
            for part, targets in world.shards(model, (x, y)):
                criterion(model(part), targets)
                model.backward(criterion.backward())
            world.reduce_gradients(model)
            gradients.append(model.weight.grad.copy())
    np.testing.assert_array_equal(gradients[1], 2 * gradients[0])


class Recurrent(nn.Module):
    """Uses its layer more or less often, so that nobody can know when its gradient is complete."""

    def __init__(self):
        super().__init__()
        fastnn.manual_seed(2)
        self.first, self.cell, self.last = nn.Linear(108, 6), nn.Linear(6, 6), nn.Linear(6, 5)

    def forward(self, x, times=1):
        x = self.first(x.reshape(len(x), -1))
        for _ in range(times):
            x = np.tanh(self.cell(x))
        return self.last(x)


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("times", [(2, 5, 1, 3), (1, 1, 4, 4), (3, 0, 3, 2)])
def test_layer_used_more_often_than_before_is_summed_again(ranks, times):
    def forward(model, x, number):
        return model(x, times[number])

    def late(processes):
        return steps(processes, make=Recurrent, sizes=(16, 16, 16, 16), bucket_bytes=1, forward=forward)

    def never_early(processes):
        # One bucket is full only at the end.
        return steps(processes, make=Recurrent, sizes=(16, 16, 16, 16), bucket_bytes=1 << 30, forward=forward)

    assert on_ranks(ranks, late)[0] == on_ranks(1, never_early)[0]


def test_layer_used_more_often_on_one_rank_only_is_summed_again():
    def run(processes):
        model = Recurrent()
        criterion = nn.CrossEntropyLoss()
        found = []
        with World(4, bucket_bytes=1, processes=processes) as world:
            for number in range(3):
                model.zero_grad()
                for shard, (x, y) in zip(world.own, world.shards(model, batch_of(8)), strict=True):
                    times = 4 if (number, shard) in {(1, 1), (2, 3)} else 2
                    criterion(model(x, times), y)
                    model.backward(criterion.backward())
                world.reduce_gradients(model)
                found.append(bits(model))
        return found

    alone = on_ranks(1, run)[0]
    assert on_ranks(4, run)[2] == alone
    assert on_ranks(2, run)[1] == alone


def test_layer_that_is_frozen_and_trained_again_has_the_same_bits():
    def forward(model, x, number):
        model[0].weight.requires_grad = model[-1].bias.requires_grad = number % 3 != 1
        return model(x)

    def run(processes):
        return steps(processes, sizes=(16,) * 5, bucket_bytes=1, forward=forward)

    alone = on_ranks(1, run)[0]
    assert on_ranks(3, run)[0] == alone
    assert on_ranks(8, run)[5] == alone


def test_gradients_are_sent_before_backward_ends():
    model = nn.Sequential(nn.Flatten(), *(nn.Linear(108, 108) for _ in range(6)), nn.Linear(108, 5))
    criterion = nn.CrossEntropyLoss()
    with World(2, bucket_bytes=1) as world:
        for number in range(3):
            for x, y in world.shards(model, batch_of(8, number)):
                criterion(model(x), y)
                model.backward(criterion.backward())
            world.reduce_gradients(model)
            backward, *buckets = world.timeline
            early = [bucket for bucket in buckets if bucket.begin < backward.end]
            # The first step learns in which order gradients are complete.
            assert len(early) == (0 if number == 0 else len(buckets))


def test_parameter_that_no_shard_uses_has_no_gradient():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            fastnn.manual_seed(0)
            self.used, self.some, self.unused = nn.Linear(108, 5), nn.Linear(108, 5), nn.Linear(108, 5)

        def forward(self, x):
            x = x.reshape(len(x), -1)
            return self.used(x) + self.some(x) if x[0, 0] > 0 else self.used(x)

    def run(processes):
        model, criterion = Net(), nn.CrossEntropyLoss()
        with World(4, processes=processes) as world:
            for x, y in world.shards(model, batch_of(8, 3)):
                criterion(model(x), y)
                model.backward(criterion.backward())
            world.reduce_gradients(model)
        assert model.unused.weight.grad is None
        assert model.some.weight.grad is not None
        return bits(model)

    assert on_ranks(3, run)[2] == on_ranks(1, run)[0]


def test_running_statistics_are_the_mean_over_shards():
    x, y = batch_of(10)
    parts = [x[cut(10, shard, 4)] for shard in range(4)]
    expected = [np.zeros(3), np.zeros(3)]
    for part in parts:
        layer = nn.BatchNorm2d(3)
        layer(part)
        expected[0] += len(part) / 10 * layer.running_mean
        expected[1] += len(part) / 10 * layer.running_var
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(108, 5))
    criterion = nn.CrossEntropyLoss()
    with World(4) as world:
        for part, targets in world.shards(model, (x, y)):
            criterion(model(part), targets)
            model.backward(criterion.backward())
        world.reduce_gradients(model)
    np.testing.assert_allclose(model[0].running_mean, expected[0], rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(model[0].running_var, expected[1], rtol=1e-5)
    assert model[0].num_batches_tracked == 1


def test_buffer_that_is_written_in_place_is_the_mean_too():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", np.zeros(2, np.float64))
            self.linear = nn.Linear(108, 5)

        def forward(self, x):
            self.seen += len(x)
            return self.linear(x.reshape(len(x), -1))

    def run(processes):
        fastnn.manual_seed(0)
        model, criterion = Counting(), nn.CrossEntropyLoss()
        with World(2, processes=processes) as world:
            for part, targets in world.shards(model, batch_of(8)):
                criterion(model(part), targets)
                model.backward(criterion.backward())
            world.reduce_gradients(model)
        return model.seen.tolist()

    assert on_ranks(1, run) == [[4.0, 4.0]]
    assert on_ranks(2, run) == [[4.0, 4.0]] * 2


# ---- a training ------------------------------------------------------------------------------------------------------
def train(processes, criterion=None, targets=None, loader=None, **kwargs):
    model, criterion = network(), copy.deepcopy(criterion)  # a loss keeps what its backward needs
    x, y = batch_of(50)
    loader = loader or data.Loader(x, y if targets is None else targets, batch_size=16, shuffle=True, seed=3)
    with World(8, bucket_bytes=300, processes=processes) as world:
        history = training.fit(
            model, loader, 2, criterion=criterion, val_loader=loader, progress=False, distributed=world, **kwargs
        )
    return bits(model), [
        {name: value for name, value in row.items() if "second" not in name} for row in history.rows
    ], history.state_dict()["steps"]  # fmt: skip


@pytest.mark.parametrize(
    "criterion",
    [
        nn.CrossEntropyLoss(weight=[1.0, 2.0, 0.5, 1.0, 3.0]),
        nn.CrossEntropyLoss(ignore_index=2),
        nn.CrossEntropyLoss(reduction="sum"),
        lambda outputs, y: fastnn.functional.cross_entropy(outputs, y),
    ],
)
def test_losses_of_all_kinds_have_the_same_bits(criterion):
    alone = on_ranks(1, lambda processes: train(processes, criterion))[0]
    assert on_ranks(3, lambda processes: train(processes, criterion))[0] == alone


def test_weighted_loss_is_that_of_the_whole_batch():
    criterion = nn.CrossEntropyLoss(weight=[1.0, 2.0, 0.5, 1.0, 3.0], ignore_index=4)
    x, y = batch_of(21)

    def trained(**kwargs):
        fastnn.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(108, 5))
        history = training.fit(
            model, [(x, y)], 1, optim.SGD(model.parameters(), lr=1.0), criterion, progress=False, **kwargs
        )
        return model.state_dict()["1.weight"], history["train_loss"]

    with World(4) as world:
        weights, losses = trained(distributed=world)
    expected_weights, expected_losses = trained()
    np.testing.assert_allclose(weights, expected_weights, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-6)


def test_batch_whose_labels_are_all_ignored_changes_nothing():
    x, _ = batch_of(16)
    model = nn.Sequential(nn.Flatten(), nn.Linear(108, 5))
    before = bits(model)[:2]
    with World(4) as world:
        training.fit(model, [(x, np.full(16, -100))], 1, progress=False, distributed=world)
    assert bits(model)[:2] == before


def test_metric_and_list_of_batches_have_the_same_bits():
    def error(outputs, y):
        return float(abs(outputs).mean())

    def run(processes):
        return train(processes, loader=[batch_of(n, n) for n in (16, 9, 3)], metrics=[error])

    assert on_ranks(3, run)[1] == on_ranks(1, run)[0]


@pytest.mark.parametrize("augment", [[data.RandomCrop(1), data.MixUp(0.4)], [data.CutMix()], [data.Cutout(2)]])
def test_augmentation_depends_on_the_shard_and_not_on_the_rank(augment):
    images = np.random.default_rng(0).integers(0, 256, (45, 3, 6, 6), np.uint8)

    def run(processes):
        loader = data.Loader(
            images, np.arange(45) % 5, batch_size=20, shuffle=True, augment=augment, num_classes=5, seed=1
        )
        return train(processes, loader=loader)

    assert on_ranks(4, run)[3] == on_ranks(1, run)[0]


def test_loader_reads_samples_of_its_own_shards_in_the_order_of_whole_batches():
    numbers = np.arange(50, dtype=np.float32).reshape(50, 1)
    loader = data.Loader(numbers, np.arange(50), batch_size=16, shuffle=True, seed=5)
    loader.set_epoch(2)
    whole = [y.tolist() for _, y in loader]
    of_ranks = []
    for own in (range(3), range(3, 8)):
        loader.set_epoch(2)
        of_ranks.append([[y.tolist() for _, y in batch.parts] for batch in loader.iterate_shards(own, 8)])
    again = [[label for parts in both for part in parts for label in part] for both in zip(*of_ranks, strict=True)]
    assert again == whole
    assert loader.state_dict()["epoch"] == 3


def test_loss_that_is_not_finite_is_named_on_all_ranks():
    x, y = batch_of(32)
    x[11] = np.nan

    def run(processes):
        try:
            train(processes, loader=[(x, y)])
        except training.NonFiniteLoss as error:
            return str(error)

    found = on_ranks(4, run)
    assert set(found) == {"the loss is nan in step 1: the batch itself holds NaN or infinity"}


def test_evaluation_takes_turns_and_has_the_bits_of_one_process():
    model = network()
    batches = [batch_of(n, n) for n in (10, 20, 5, 7, 9)]
    expected = training.evaluate(model, batches)
    seen = []

    def run(processes):
        own = []
        with World(8, processes=processes) as world:
            found = training.evaluate(network(), batches, distributed=world, on_batch=own.append)
        seen.append(own)
        return found

    assert on_ranks(3, run) == [expected] * 3
    assert sorted(n for own in seen for n in own) == sorted(len(y) for _, y in batches)


# ---- what cannot be --------------------------------------------------------------------------------------------------
def test_more_ranks_than_shards_is_an_error():
    with pytest.raises(ValueError, match="3 processes cannot share 2 shards"):
        on_ranks(3, lambda processes: World(2, processes=processes).__enter__())


def test_different_numbers_of_shards_are_named():
    with pytest.raises(Disagreement, match="the number of shards is 4 on rank 1 and 8 on rank 0"):
        on_ranks(2, lambda processes: World(8 - 4 * processes.rank, processes=processes).__enter__())


def test_other_batches_on_one_rank_are_named():
    with pytest.raises(Disagreement, match="rank 1 has another batch than rank 0: the number of samples is 17 and 16"):
        on_ranks(2, lambda processes: steps(processes, sizes=(16 + processes.rank,)))


def test_other_targets_on_one_rank_are_named():
    def run(processes):
        x, y = batch_of(16)
        batches = [(x, (y + processes.rank) % 5)]
        model = nn.Sequential(nn.Flatten(), nn.Linear(108, 5))
        with World(2, processes=processes) as world:
            for batch in world.batches(batches):
                for part, targets in world.shards(model, batch):
                    criterion = nn.CrossEntropyLoss()
                    criterion(model(part), targets)
                    model.backward(criterion.backward())
                world.reduce_gradients(model)

    with pytest.raises(Disagreement, match="the checksum of the targets"):
        on_ranks(2, run)


def test_rank_that_does_not_answer_is_named():
    def run(processes):
        if processes.rank == 1:
            return
        steps(processes)

    with pytest.raises(RankLost, match=r"rank 1 has not answered for 0\.5 s"):
        on_ranks(3, run, timeout=0.5)


def test_ranks_that_run_different_programs_are_told_so():
    def run(processes):
        with World(2, processes=processes) as world:
            return world.barrier() if processes.rank else world.communicator.exchange("something else", {})

    with pytest.raises(Disagreement):
        on_ranks(2, run)


def test_training_goes_on_with_the_same_number_of_shards_only(tmp_path):
    def trained(shards, epochs, resume=None):
        model = network()
        with World(shards) as world:
            training.fit(model, [batch_of(16)], epochs, out=tmp_path, resume=resume, progress=False, distributed=world)

    trained(4, 1)
    with pytest.raises(training.CheckpointError, match="cut into 4 shards and is cut into 2 shards"):
        trained(2, 2, tmp_path / "last.safetensors")
    with pytest.raises(training.CheckpointError, match="cut into 4 shards and is not cut into shards"):
        training.fit(network(), [batch_of(16)], 2, out=tmp_path, resume=tmp_path / "last.safetensors", progress=False)


def test_world_needs_a_block():
    world = World(2)
    with pytest.raises(RuntimeError, match="needs a block"):
        world.reduce_gradients(nn.Linear(1, 1))
    with pytest.raises(RuntimeError, match="needs a block"):
        training.fit(nn.Linear(1, 1), [batch_of(2)], 1, distributed=world)
    with pytest.raises(TypeError, match=r"distributed must be a fastnn\.distributed\.World\. Received: a int"):
        training.fit(nn.Linear(1, 1), [batch_of(2)], 1, distributed=8)


def test_steps_that_are_left_out_are_errors():
    model = nn.Linear(1, 1)
    with World(2) as world:
        with pytest.raises(RuntimeError, match=r"go through all of world\.shards"):
            world.reduce_gradients(model)
        with pytest.raises(TypeError, match=r"a batch is a pair \(x, y\)"):
            next(world.shards(model, np.zeros((2, 1))))
        batch = np.zeros((2, 1), np.float32), np.zeros((2, 1), np.float32)
        list(world.shards(model, batch))
        with pytest.raises(RuntimeError, match="call reduce_gradients"):
            next(world.shards(model, batch))
        world.reduce_gradients(model)
        with pytest.raises(ValueError, match=r"2 numbers are needed\. Received: 1"):
            world.mean([1.0])


@pytest.mark.parametrize(
    ("environment", "ranks"),
    [
        ({}, 1),
        ({"OMPI_COMM_WORLD_SIZE": "4"}, 4),
        ({"PMI_SIZE": "3"}, 3),
        ({"PMIX_RANK": "0", "SLURM_STEP_NUM_TASKS": "2"}, 2),
        ({"SLURM_STEP_NUM_TASKS": "2"}, 1),  # the script of a job itself
        ({"OMPI_COMM_WORLD_SIZE": "many"}, 1),
    ],
)
def test_launchers_are_known_by_their_environment(environment, ranks):
    assert launched_ranks(environment) == ranks


def test_timeout_of_the_environment_is_checked(monkeypatch):
    monkeypatch.setenv("FASTNN_MPI_TIMEOUT", "soon")
    with pytest.raises(ValueError, match="FASTNN_MPI_TIMEOUT='soon': a number of seconds is needed"):
        World(2)
