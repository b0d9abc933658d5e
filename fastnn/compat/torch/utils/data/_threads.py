"""Workers of a DataLoader: threads that make batches ahead of the consumer, handed out in order.

The consumer's iterator belongs to nobody else: threads know an epoch (what is asked and answered) and their own queue
of tasks, so that an iterator that is dropped is collected, and its threads end. They never wait for the consumer.
"""

import atexit
import contextvars
import copy
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, NamedTuple

from fastnn import _random
from fastnn.compat.torch.utils.data._generator import batch_generator
from fastnn.compat.torch.utils.data._utils.fetch import Fetch
from fastnn.compat.torch.utils.data._utils.worker import WorkerInfo, set_worker_info
from fastnn.functional.augment import thread_limit

__all__ = ["ThreadedBatches", "Workers"]

_SECONDS_AT_EXIT = 5.0  # that threads have to end what they are at; then the interpreter goes on without them


class _Failure(NamedTuple):
    error: BaseException


_END = object()  # of a worker's iterable data set


class _Epoch:
    """Answers by number, and whether anyone still wants them."""

    def __init__(self, seed: int) -> None:
        self.seed, self.is_over = seed, False
        self.answers: dict[int, Any] = {}
        self.changed = threading.Condition()

    def answer(self, number: int, value: Any) -> None:
        with self.changed:
            if not self.is_over:
                self.answers[number] = value
                self.changed.notify_all()

    def wait(self, number: int, timeout: float) -> Any:
        end = time.monotonic() + timeout if timeout > 0 else None
        with self.changed:
            while number not in self.answers:
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    raise RuntimeError(f"DataLoader timed out after {timeout} seconds")
                self.changed.wait(left)
            return self.answers.pop(number)

    def close(self) -> None:
        with self.changed:
            self.is_over = True
            self.answers.clear()


class _Task(NamedTuple):
    epoch: _Epoch
    number: int  # of the batch
    request: Any  # what the sampler said


class _Setting(NamedTuple):
    """What a worker needs besides tasks."""

    number: int
    workers: int
    dataset: Any
    make_fetch: Callable[[Any], Fetch]
    init: Callable[[int], Any] | None
    is_iterable: bool


class Workers:
    """Threads, each with a queue of its own, so that worker i makes every count-th batch.

    Args:
        count: how many.
        dataset: each worker has a shallow copy, on which `worker_init_fn` may set what only this worker should have.
        make_fetch: gives, for such a copy, a function from what the sampler says to a batch.
        init: called in each thread with its number.
    """

    def __init__(
        self,
        count: int,
        dataset: Any,
        make_fetch: Callable[[Any], Fetch],
        init: Callable[[int], Any] | None,
        is_iterable: bool,
    ) -> None:
        self.queues: list[SimpleQueue[_Task | None]] = [SimpleQueue() for _ in range(count)]
        self.threads = []
        for number, queue in enumerate(self.queues):
            setting = _Setting(number, count, dataset, make_fetch, init, is_iterable)
            context = contextvars.copy_context()  # the consumer's backend
            # Whoever ends the program should not have to end iterators first: daemons, told to stop at exit.
            thread = threading.Thread(
                target=context.run, args=(_work, setting, queue), name=f"fastnn-worker-{number}", daemon=True
            )
            thread.start()
            self.threads.append(thread)
        _running.add(self)

    def stop(self) -> None:
        """Let the threads end when they are through with what they are at."""
        for queue in self.queues:
            queue.put(None)


_running: weakref.WeakSet[Workers] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    groups = list(_running)
    for workers in groups:
        workers.stop()
    end = time.monotonic() + _SECONDS_AT_EXIT
    for workers in groups:
        for thread in workers.threads:
            thread.join(max(0.0, end - time.monotonic()))


def _work(setting: _Setting, queue: "SimpleQueue[_Task | None]") -> None:
    thread_limit.set(1)  # cores are for the training step
    fetch: Fetch | None = None
    epoch: _Epoch | None = None
    dataset: Any = None
    broken: BaseException | None = None
    while (task := queue.get()) is not None:
        if task.epoch.is_over:
            continue
        try:
            if dataset is None:
                dataset = _copy_of(setting.dataset)
                seed = task.epoch.seed + setting.number
                set_worker_info(WorkerInfo(setting.number, setting.workers, seed, dataset))
                _random.manual_seed(seed)
                if setting.init is not None:
                    try:
                        setting.init(setting.number)
                    except BaseException as error:
                        broken = error
            if broken is not None:
                raise broken
            key = (
                (task.epoch.seed, setting.number, task.number)
                if setting.is_iterable
                else (task.epoch.seed, task.number)
            )
            with _random.drawing_from(batch_generator(*key)):
                if fetch is None or epoch is not task.epoch:
                    fetch, epoch = setting.make_fetch(dataset), task.epoch
                answer = fetch(task.request)
        except StopIteration as error:
            answer = _END if setting.is_iterable else _Failure(_as_runtime_error(error))
        except BaseException as error:
            error.add_note(f"This was raised in worker {setting.number} of {setting.workers} of a DataLoader.")
            answer = _Failure(error)
        task.epoch.answer(task.number, answer)
        del task, answer  # nobody else may keep a batch alive


def _as_runtime_error(error: StopIteration) -> RuntimeError:
    """In the consumer's loop a StopIteration would look like the end."""
    made = RuntimeError("a worker's data set raised StopIteration")
    made.__cause__ = error
    return made


def _copy_of(dataset: Any) -> Any:
    """A copy with attributes of its own and the same data; the data set itself if it cannot be copied."""
    try:
        return copy.copy(dataset)
    except Exception:
        return dataset


class ThreadedBatches:
    """One epoch of batches, made by `workers`."""

    def __init__(
        self, workers: Workers, requests: Iterator[Any], seed: int, ahead: int, timeout: float, stop_after: bool
    ) -> None:
        self._workers, self._requests, self._timeout = workers, requests, timeout
        self._epoch = _Epoch(seed)
        self._active = list(range(len(workers.queues)))
        self._sent: dict[int, int] = {}  # the worker of each task that is not handed out
        self._next_sent = self._next = self._turn = 0
        # Not a method: that would keep this object alive.
        self._end = weakref.finalize(self, _end, self._epoch, workers if stop_after else None)
        for _ in range(ahead * len(workers.queues)):
            self._send()

    def _send(self) -> None:
        """Ask the next worker that has something for one more batch."""
        if not self._active:
            return
        try:
            request = next(self._requests)
        except StopIteration:
            return
        self._turn %= len(self._active)
        worker = self._active[self._turn]
        self._turn += 1
        self._sent[self._next_sent] = worker
        self._workers.queues[worker].put(_Task(self._epoch, self._next_sent, request))
        self._next_sent += 1

    def __iter__(self) -> "ThreadedBatches":
        return self

    def __next__(self) -> Any:
        while self._sent:
            answer = self._epoch.wait(self._next, self._timeout)
            worker = self._sent.pop(self._next)
            self._next += 1
            if answer is _END and worker in self._active:
                position = self._active.index(worker)
                self._active.remove(worker)
                self._turn -= position < self._turn
            self._send()
            if type(answer) is _Failure:
                raise answer.error
            if answer is not _END:
                return answer
        self.close()
        raise StopIteration

    def close(self) -> None:
        """Let nobody work on this epoch any more."""
        self._end()


def _end(epoch: _Epoch, workers: Workers | None) -> None:
    epoch.close()
    if workers is not None:
        workers.stop()
