"""What training in several processes costs: messages on this machine, overlap with backward, and a forecast.

    mpirun -n 4 python benchmarks/bench_distributed.py
    mpirun -n 4 --hostfile hosts python benchmarks/bench_distributed.py --shards 64 --ranks 1 2 4 8 16 32 64

1. Exchanges of one bucket, of several sizes: the time is fitted by latency + bytes / bandwidth. And the message of a
   step, in which the processes tell each other losses, errors and whether to stop.
2. Steps of a network with small and large buckets: what of the exchange is hidden behind backward.
3. A forecast of the time of a step for other numbers of processes, from the time of one shard and the fit.

--json writes all numbers. Run it on a machine that does nothing else.
"""

import argparse
import json
import statistics
import time

import numpy as np

import fastnn
from fastnn import models, nn, optim
from fastnn.distributed import World
from fastnn.distributed._exchange import Exchange
from fastnn.distributed._tree import Pile

BYTES = [1 << k for k in (8, 12, 14, 15, 16, 18, 20, 22, 24)]


def measure_exchanges(world, rounds):
    """(bytes, seconds) of the sum of one array over all ranks: the median over the rounds, of the slowest rank."""
    rows = []
    for n_bytes in BYTES:
        own = Pile(np.add)  # a process has added its shards before
        for shard in world.own:
            own.push(shard, np.ones(n_bytes // 4, np.float32))
        seconds = []
        for _ in range(rounds):
            world.barrier()
            start = time.perf_counter()
            exchange = Exchange(world.communicator, 0, world.n_shards, own)
            world.communicator.wait(exchange.missing, "a sum over the shards")
            seconds.append(time.perf_counter() - start)
        told = world.communicator.exchange("times", {"seconds": statistics.median(seconds)})
        rows.append((n_bytes, max(one["seconds"] for one in told)))
    return rows


def measure_message(world, rounds):
    """Median seconds of the message of a step, of the slowest rank."""
    seconds = []
    for _ in range(rounds):
        world.barrier()
        start = time.perf_counter()
        world.communicator.exchange("a message", {"records": [(0, 1.0, 16)], "interrupted": False})
        seconds.append(time.perf_counter() - start)
    told = world.communicator.exchange("times", {"seconds": statistics.median(seconds)})
    return max(one["seconds"] for one in told)


def fit_line(rows):
    """(seconds, seconds for each byte): the line through the times whose relative errors are smallest."""
    n_bytes, seconds = np.array(rows, float).T
    matrix = np.stack([1 / seconds, n_bytes / seconds], axis=1)
    (latency, per_byte), *_ = np.linalg.lstsq(matrix, np.ones(len(rows)), rcond=None)
    return max(float(latency), 0.0), max(float(per_byte), 0.0)


def measure_steps(world, name, batch_size, bucket_bytes, rounds):
    """Medians of a step: its seconds, those of the last backward, and those that passed between it and the last sum."""
    fastnn.manual_seed(0)
    model = models.create(name)
    criterion, optimizer = nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    rng = np.random.default_rng(0)
    batch = rng.standard_normal((batch_size, 3, 32, 32)).astype(np.float32), rng.integers(0, 10, batch_size)
    world._bucket_bytes, world._reducer = bucket_bytes, None
    found = []
    for number in range(rounds + 2):
        world.barrier()
        start = time.perf_counter()
        optimizer.zero_grad()
        for x, y in world.shards(model, batch):
            criterion(model(x), y)
            model.backward(criterion.backward())
        computed = time.perf_counter()
        world.reduce_gradients(model)
        reduced = time.perf_counter()
        optimizer.step()
        end = time.perf_counter()
        backward, *buckets = world.timeline
        hidden = sum(max(0.0, min(b.end, backward.end) - min(b.begin, backward.end)) for b in buckets)
        under_way = sum(b.end - b.begin for b in buckets)
        if number >= 2:  # the first steps learn the order of the gradients
            found.append((end - start, computed - start, reduced - computed, end - reduced, hidden, under_way))
    names = ("step", "compute", "wait", "update", "hidden", "under way")
    row = dict(zip(names, map(statistics.median, zip(*found, strict=True)), strict=True))
    row["buckets"] = len(world.timeline) - 1
    row["bytes"] = sum(event.bytes for event in world.timeline)
    return row, list(world.timeline)


def forecast(ranks, shards, shard_seconds, update_seconds, n_bytes, latency, per_byte, measured_ranks):
    """Seconds of a step with other numbers of processes, each on CPUs of its own.

    compute = the most shards of a process * seconds of a shard + seconds of the update
    exchange = latency grown with the number of other processes, + bytes * (R - 1) / R at the measured rate
    """
    compute = -(-shards // ranks) * shard_seconds + update_seconds
    if ranks == 1:
        return compute, 0.0
    share = (ranks - 1) / ranks
    measured_share = (measured_ranks - 1) / measured_ranks
    exchange = latency * (ranks - 1) / max(measured_ranks - 1, 1) + n_bytes * per_byte * share / measured_share
    return compute, exchange


def draw_timeline(events, width=60):
    """Lines of text, one for each event."""
    begin = min(event.begin for event in events)
    end = max(event.end for event in events)
    scale = width / max(end - begin, 1e-9)
    for event in events:
        first, last = int((event.begin - begin) * scale), max(int((event.end - begin) * scale), 1)
        bar = " " * first + "#" * max(last - first, 1)
        print(f"{event.what:>10} |{bar:<{width}}| {1e3 * (event.end - event.begin):7.2f} ms {event.bytes:>10,} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--bucket-bytes", type=int, nargs="+", default=[1 << 16, 1 << 18, 1 << 20, 1 << 30])
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64], help="of the forecast")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", help="also write all numbers to this file")
    arguments = parser.parse_args()
    with World(arguments.shards) as world:

        def say(text=""):
            if world.is_main:
                print(text, flush=True)

        say(f"{world.size} processes, {arguments.shards} shards, {fastnn.num_threads()} threads each, {fastnn.isa()}")
        exchanges = measure_exchanges(world, arguments.rounds) if world.size > 1 else []
        latency, per_byte = fit_line(exchanges) if exchanges else (0.0, 0.0)
        message = measure_message(world, arguments.rounds) if world.size > 1 else 0.0
        if exchanges:
            say("\n| bytes | ms | MB/s |\n|---:|---:|---:|")
            for n_bytes, seconds in exchanges:
                say(f"| {n_bytes:,} | {1e3 * seconds:.3f} | {n_bytes / seconds / 1e6:,.0f} |")
            say(f"\nfit: {1e6 * latency:.0f} us + bytes / ({1e-6 / max(per_byte, 1e-15):,.0f} MB/s)")
            say(f"the message of a step: {1e6 * message:.0f} us")
        say(f"\n{arguments.model}, batch {arguments.batch_size}; milliseconds of rank 0")
        say("\n| bucket bytes | buckets | step | forward and backward | wait | update | of the exchange hidden |")
        say("|---:|---:|---:|---:|---:|---:|---:|")
        rows = []
        for bucket_bytes in arguments.bucket_bytes:
            row, events = measure_steps(world, arguments.model, arguments.batch_size, bucket_bytes, arguments.rounds)
            rows.append({"bucket_bytes": bucket_bytes, **row})
            times = " | ".join(f"{1e3 * row[name]:.2f}" for name in ("step", "compute", "wait", "update"))
            hidden = abs(row["hidden"] / row["under way"]) if row["under way"] else 0.0
            say(f"| {bucket_bytes:,} | {row['buckets']} | {times} | {hidden:.0%} |")
            if world.is_main and bucket_bytes == arguments.bucket_bytes[len(arguments.bucket_bytes) // 2]:
                timeline = events
        if world.is_main:
            print("\none step of rank 0, from its last backward on:\n")
            draw_timeline(timeline)
        best = min(rows, key=lambda row: row["step"])
        shard = best["compute"] / len(world.own)
        n_bytes = best["bytes"]
        say(f"\nforecast for {arguments.shards} shards: {1e3 * shard:.2f} ms a shard, {n_bytes:,} bytes of gradients")
        say(
            "assumed: every process has as many CPUs as here and is as fast as the others, exchanges are as fitted, "
            "and none of them is hidden"
        )
        say("\n| processes | compute ms | exchange ms | step ms | speed-up |\n|---:|---:|---:|---:|---:|")
        forecasts = []
        for ranks in arguments.ranks:
            if ranks > arguments.shards:
                say(f"| {ranks} | more processes than shards: --shards {ranks} | | | |")
                continue
            compute, exchange = forecast(
                ranks, arguments.shards, shard, best["update"], n_bytes, message + latency, per_byte, max(world.size, 2)
            )
            first = forecasts[0]["step"] if forecasts else compute + exchange
            forecasts.append({"ranks": ranks, "compute": compute, "exchange": exchange, "step": compute + exchange})
            times = " | ".join(f"{1e3 * seconds:.2f}" for seconds in (compute, exchange, compute + exchange))
            say(f"| {ranks} | {times} | {first / (compute + exchange):.2f} |")
        if arguments.json and world.is_main:
            with open(arguments.json, "w", encoding="utf-8") as file:
                json.dump(
                    {"exchanges": exchanges, "message": message, "steps": rows, "forecast": forecasts}, file, indent=1
                )


if __name__ == "__main__":
    main()
