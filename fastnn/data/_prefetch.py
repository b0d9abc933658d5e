"""Computing the next items while the present one is used."""

import contextvars
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from fastnn.functional import augment

Argument = TypeVar("Argument")
Item = TypeVar("Item")

_AHEAD = 2  # items computed or being computed besides the one in use


def ahead(function: Callable[[Argument], Item], arguments: Iterable[Argument]) -> Generator[Item, None, None]:
    """`map(function, arguments)`, computed by one thread, up to two items ahead of the consumer.

    The order is that of the arguments, and an exception of `function` is raised where its item was due. The
    thread ends with the generator: when it is exhausted, closed, or dropped. It is never left waiting for a
    consumer (each item is a task of its own, submitted only when there is room), so it holds up neither
    `close()` nor the end of the interpreter. A forked child, which has no such thread, computes in its own.
    """
    process = os.getpid()
    context = contextvars.copy_context()  # the thread uses the consumer's backend
    context.run(augment.thread_limit.set, 1)
    pool = ThreadPoolExecutor(1, thread_name_prefix="fastnn-data")
    remaining = iter(arguments)
    waiting: deque[tuple[Argument, Future[Item]]] = deque()

    def submit() -> None:
        for argument in remaining:
            waiting.append((argument, pool.submit(context.run, function, argument)))
            if len(waiting) == _AHEAD:
                break

    try:
        submit()
        while waiting and os.getpid() == process:
            argument, future = waiting.popleft()
            item = future.result()
            del future  # or it would keep the item alive while the consumer uses, and drops, it
            submit()
            yield item
            del item
        # Only a forked child comes here with anything left. Its copies of the futures may hold locks of the
        # lost thread.
        for argument in [argument for argument, _ in waiting]:
            yield function(argument)
        for argument in remaining:
            yield function(argument)
    finally:
        if os.getpid() == process:
            pool.shutdown(wait=True, cancel_futures=True)
