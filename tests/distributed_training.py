"""A small training on shards, run under mpirun by the tests of fastnn.distributed:

    mpirun -n 3 python distributed_training.py '{"out": "folder", ...}'

Rank 0 prints one line of JSON: a digest of all weights and of the optimiser's and the average's state, and the history.
"""

import hashlib
import json
import os
import signal
import sys
import time

import numpy as np

import fastnn
from fastnn import data, nn, optim, training

SETTINGS = {
    "shards": 8, "epochs": 2, "images": 90, "batch_size": 32, "out": None, "resume": None, "seed": 0, "channels": 4,
    "lr": 0.05, "rank": -1, "fault": None, "fault_step": 4, "timeout": None, "bucket_bytes": 1000, "own_loop": False,
    "loader_seed": 0, "scale": 1, "slow": 0.0, "drop_last": False, "list_of_batches": False,
}  # fmt: skip


def network(channels):
    fastnn.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1, stride=2),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Residual(nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels))),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(channels * 64, 10),
    )


def digest(*states):
    found = hashlib.sha256()

    def walk(value):
        if isinstance(value, dict):
            for key in value:
                found.update(str(key).encode())
                walk(value[key])
        elif isinstance(value, list | tuple):
            for item in value:
                walk(item)
        elif isinstance(value, np.ndarray):
            found.update(np.ascontiguousarray(value).tobytes())
        else:
            found.update(repr(value).encode())

    walk(states)
    return found.hexdigest()


class Average(training.Callback):
    """Keeps a moving average of the weights."""

    def on_fit_begin(self, trainer):
        self.ema = optim.EMA(trainer.model, 0.9)
        if self.loaded is not None:
            self.ema.load_state_dict(self.loaded)

    def reset(self):
        self.loaded = None

    def on_step_end(self, trainer):
        self.ema.update()

    def state_dict(self):
        return self.ema.state_dict() if hasattr(self, "ema") else {}

    def load_state_dict(self, state):
        self.loaded = state


class Fault(training.Callback):
    """What goes wrong on one rank at one step."""

    def __init__(self, kind, step, seconds):
        self._kind, self._step, self._seconds = kind, step, seconds

    def on_step_begin(self, trainer):
        time.sleep(self._seconds)
        if trainer.step != self._step:
            return
        if self._kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self._kind == "raise":
            raise ZeroDivisionError("what this rank does is wrong")
        elif self._kind == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif self._kind == "exit":
            sys.exit(0)


def main(settings):
    with fastnn.distributed.World(
        settings["shards"], bucket_bytes=settings["bucket_bytes"], timeout=settings["timeout"]
    ) as world:
        if world.rank == settings.get("rank"):  # this rank differs in something
            settings = {**settings, **settings.get("there", {})}
        own = {"seed": settings["seed"]}
        model = network(settings["channels"])
        if settings["seed"]:
            fastnn.manual_seed(settings["seed"])
        images = data.Shapes32(settings["images"])
        if settings["scale"] != 1:
            images.labels[0] = (images.labels[0] + 1) % 10
        loader = data.Loader(
            images, batch_size=settings["batch_size"], shuffle=True, mean=images.mean, std=images.std,
            augment=[data.RandomCrop(2), data.RandomHorizontalFlip()], seed=settings["loader_seed"],
            drop_last=settings["drop_last"],
        )  # fmt: skip
        if settings["list_of_batches"]:
            loader = list(loader)
        optimizer = optim.SGD(model.parameters(), lr=settings["lr"], momentum=0.9, weight_decay=1e-3)
        criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
        if settings["own_loop"]:
            losses = []
            for _epoch in range(settings["epochs"]):
                for batch in world.batches(loader):
                    optimizer.zero_grad()
                    parts = []
                    for x, y in world.shards(model, batch):
                        parts.append(criterion(model(x), y))
                        model.backward(criterion.backward())
                    world.reduce_gradients(model)
                    optim.clip_grad_norm_(model.parameters(), 1.0)
                    optimizer.step()
                    losses.append(world.mean(parts))
            found = {"weights": digest(model.state_dict(), optimizer.state_dict()), "losses": losses}
        else:
            average = Average()
            average.loaded = None
            history = training.fit(
                model,
                loader,
                settings["epochs"],
                optimizer,
                criterion,
                scheduler=optim.CosineAnnealingLR(optimizer, 5),
                val_loader=data.Loader(data.Shapes32(70, train=False), batch_size=20, mean=images.mean, std=images.std),
                out=settings["out"],
                resume=settings["resume"],
                callbacks=[average, Fault(settings["fault"], settings["fault_step"], settings["slow"])],
                max_grad_norm=1.0,
                progress=False,
                distributed=world,
            )
            rows = [
                {name: value for name, value in row.items() if name not in ("train_seconds", "images_per_second")}
                for row in history.rows
            ]
            state = digest(model.state_dict(), optimizer.state_dict(), average.ema.state_dict())
            found = {"weights": state, "history": rows}
        # What the last bucket's timeline says is no part of the result.
        all_found = world.communicator.exchange("digests", {"weights": found["weights"]})
        assert all(one == all_found[0] for one in all_found), all_found
        if world.is_main:
            print(json.dumps({**found, "ranks": world.size, "isa": fastnn.isa(), **own}))


if __name__ == "__main__":
    main({**SETTINGS, **json.loads(sys.argv[1])})
