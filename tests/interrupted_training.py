"""A training loop that is interrupted at random moments, run as a script in a process of its own by test_interrupts.py:

    python interrupted_training.py <signal or thread> <interrupts> <a fork after so many of them, or 0> <seed>

Prints one line of counts when all is well; else ends with an error.
"""

import ctypes
import gc
import hashlib
import os
import signal
import sys
import threading
import time
import warnings

import numpy as np

import fastnn
from fastnn import nn, optim
from fastnn.autograd.observer import Observer, observers, observing

N, CHANNELS, SIZE = 16, 8, 12  # activations of 72 KB: from the arena

rng = np.random.default_rng(0)
IMAGES = rng.standard_normal((N, 3, SIZE, SIZE)).astype(np.float32)
LABELS = rng.integers(0, 10, N)


class Model(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(3, CHANNELS, 3, padding=1),
            nn.BatchNorm2d(CHANNELS),
            nn.ReLU(),
            nn.Residual(nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS))),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(0.3),
            nn.Flatten(),
            nn.Linear(CHANNELS * (SIZE // 2) ** 2, 10),
        )


def step(model, optimizer, criterion, number):
    """One step as users write it, with settings that change and a watcher that comes and goes."""
    with (
        fastnn.conv2d_algorithm(("auto", "direct", "winograd")[number % 3]),
        fastnn.joined_layers(number % 2 == 0),
        observing(Observer()),
    ):
        optimizer.zero_grad()
        criterion(model(IMAGES), LABELS)
        model.backward(criterion.backward())
        optimizer.step()


def everything(model):
    return hashlib.sha256(b"".join(np.ascontiguousarray(v).tobytes() for v in model.state_dict().values())).hexdigest()


def train(model, steps):
    """The digest after so many steps from a fixed start, whatever happened to the model before."""
    fastnn.manual_seed(1)
    model.load_state_dict(Model().state_dict())
    optimizer, criterion = optim.SGD(model.parameters(), lr=0.01, momentum=0.9), nn.CrossEntropyLoss()
    for number in range(steps):
        step(model, optimizer, criterion, number)
    return everything(model)


class Stop(KeyboardInterrupt):
    """What interrupts the loop."""


lost = 0  # exceptions that arrived where Python can only report them, as in a destructor


def on_unraisable(what):
    global lost
    if not isinstance(what.exc_value, Stop):
        sys.__unraisablehook__(what)
        os._exit(3)
    lost += 1


class BySignal:
    def __init__(self):
        signal.signal(signal.SIGALRM, self._raise)

    def _raise(self, number, frame):
        raise Stop

    def arm(self, seconds):
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def close(self):
        pass


class ByThread:
    """Another thread throws. It is told by a bare lock, whose methods are C and cannot be cut in two."""

    def __init__(self):
        sys.setswitchinterval(1e-5)  # else it would mostly be heard where a kernel lets other threads run
        self._main = ctypes.c_ulong(threading.get_ident())
        self._go = threading.Lock()
        self._go.acquire()
        self._seconds = 0.0
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self):
        while True:
            self._go.acquire()
            if self._seconds < 0:
                return
            time.sleep(self._seconds)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(self._main, ctypes.py_object(Stop))

    def arm(self, seconds):
        self._seconds = seconds
        self._go.release()

    def close(self):
        self.arm(-1)


def allocate(stop):
    """Another thread that is often in the middle of an allocation."""
    while not stop.is_set():
        for n in (70_000, 90_000, 300_000):
            fastnn.functional.relu(np.ones(n // 4, np.float32))
        time.sleep(0.0005)


def fork(model, expected):
    """A child must find everything sound, whatever was interrupted before and whoever allocates at the moment."""
    child = os.fork()
    if child == 0:
        try:
            right = fastnn.num_threads() == 1 and train(model, 3) == expected
            fastnn.empty_cache()
        except BaseException as error:
            print("in the child:", repr(error), flush=True)
            os._exit(2)
        os._exit(0 if right else 1)
    return child


def main(way, interrupts, fork_every, seed):
    warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads is what is tried here
    sys.unraisablehook = on_unraisable
    random = np.random.default_rng(seed)
    model = Model()
    after_3, undisturbed = train(model, 3), train(Model(), 100)
    settings, choices = fastnn.build_info(), fastnn._runtime.choices()
    thread_stop = threading.Event()
    beside = threading.Thread(target=allocate, args=(thread_stop,))
    beside.start()
    interrupter = BySignal() if way == "signal" else ByThread()
    criterion = nn.CrossEntropyLoss()
    optimizers = [optim.SGD(model.parameters(), lr=0.01, momentum=0.9), optim.Adam(model.parameters(), amsgrad=True)]
    steps, hits = 0, 0
    while hits < interrupts:
        lost_before = lost
        try:
            interrupter.arm(random.uniform(1e-4, 6e-3))
            while lost == lost_before:
                step(model, optimizers[hits // 20 % 2], criterion, steps)
                steps += 1
        except Stop:
            hits += 1
        if fork_every and hits % fork_every == 0:
            child = fork(model, after_3)
            _, status = os.waitpid(child, 0)
            assert status == 0, f"the child ended with status {status}"
        if hits % 100 == 0:
            model.load_state_dict(Model().state_dict())  # a loss that jumps to NaN would hide what is wrong
    interrupter.close()
    thread_stop.set()
    beside.join()
    assert fastnn._runtime.choices() == choices, "a setting was left behind"
    assert fastnn.build_info() == settings
    assert not observers(), "an observer was left behind"
    assert train(model, 100) == undisturbed, "the interrupted model trains to other bits"
    assert train(Model(), 100) == undisturbed, "a new model trains to other bits"
    del model, optimizers, criterion
    gc.collect()
    assert fastnn.memory_info()["used"] == 0, fastnn.memory_info()
    fastnn.empty_cache()
    assert fastnn.memory_info() == {"used": 0, "cached": 0, "most_used": 0}
    print(f"{hits} interrupts in {steps} steps, {lost} lost")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
