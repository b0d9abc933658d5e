"""Ranks that are threads of one process, for tests of what they compute, without MPI."""

import copy
import json
import queue
import threading

import fastnn
from fastnn.distributed._communicator import Communicator
from fastnn.distributed._errors import Disagreement
from fastnn.distributed._processes import Processes


class _Received:
    def __init__(self, messages, array):
        self.messages, self.array, self.done = messages, array, False


class ThreadCommunicator(Communicator):
    """Copies of arrays and texts go through queues, one for each pair of ranks and tag."""

    def __init__(self, rank, size, boxes, timeout=20.0):
        super().__init__(timeout)
        self.rank, self.size, self._boxes = rank, size, boxes

    def _box(self, source, target, tag):
        return self._boxes.setdefault((source, target, tag), queue.SimpleQueue())

    def send(self, array, rank, tag):
        assert array.flags.c_contiguous
        self._box(self.rank, rank, tag).put(array.copy())
        return True

    def receive(self, array, rank, tag):
        assert array.flags.c_contiguous
        return _Received(self._box(rank, self.rank, tag), array)

    def is_done(self, request):
        if request is not True and not request.done:
            try:
                request.array[...] = request.messages.get_nowait()
            except queue.Empty:
                return False
            request.done = True
        return True

    def exchange(self, kind, payload):
        text = json.dumps([kind, payload])
        for rank in range(self.size):
            self._box(self.rank, rank, "text").put(text)
        found = {}

        def missing():
            for rank in range(self.size):
                if rank not in found:
                    try:
                        found[rank] = json.loads(self._box(rank, self.rank, "text").get_nowait())
                    except queue.Empty:
                        continue
            return [rank for rank in range(self.size) if rank not in found]

        self.wait(missing, kind)
        if any(one[0] != kind for one in found.values()):
            raise Disagreement(f"ranks are at {[one[0] for one in found.values()]}")
        return [found[rank][1] for rank in range(self.size)]

    def broadcast(self, data):
        return bytes.fromhex(self.exchange("bytes", {"data": data.hex() if self.rank == 0 else ""})[0]["data"])


def on_ranks(size, function, timeout=20.0):
    """function(processes) in a thread for each rank; their results, or the first error of one of them."""
    boxes, results, errors = {}, [None] * size, [None] * size
    lock = threading.Lock()

    class Boxes(dict):
        def setdefault(self, key, value):
            with lock:
                return super().setdefault(key, value)

    boxes = Boxes()

    def run(rank):
        processes = Processes(timeout)
        processes.communicator = ThreadCommunicator(rank, size, boxes, timeout)
        try:
            with fastnn.num_threads(1):
                results[rank] = function(processes)
        except BaseException as error:
            errors[rank] = error

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for error in errors:
        if error is not None:
            raise copy.copy(error).with_traceback(error.__traceback__)
    assert not any(thread.is_alive() for thread in threads)
    return results
