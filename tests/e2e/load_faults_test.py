#!/usr/bin/env python3
"""Load and faults on loopback against `millrace serve` with the bundled model: load_faults_test.py MILLRACE [--full] [--only NAME ...] [--json FILE].

The short form (ctest) has small numbers and asks for correctness only: no crash, no leak, right answers for everybody else. --full has
the numbers of the goal (10,000 disconnects, 5,000 slow senders, 10,000 idle connections) and also asks for the latency limits."""
import argparse
import asyncio
import json
import random
import resource
import socket
import struct
import sys
import time

import hostile_http
import overload
import serving
import slow_senders
import stalled_readers
from others import PROBE, Others
from serving import http_request

STORY = {"messages": [{"role": "user", "content": "Tell me a short story."}], "stream": True, "ignore_eos": True}
FULL = {"disconnects": 10000, "slow_headers": 5000, "slow_headers_in_step": 5000, "idle": 10000, "streams": 200, "slow_readers": 64, "garbage": 2000, "exhaustion": 128, "sigterm": 64}
SHORT = {"disconnects": 300, "slow_headers": 200, "slow_headers_in_step": 50, "idle": 300, "streams": 20, "slow_readers": 4, "garbage": 200, "exhaustion": 24, "sigterm": 12}


def settle(server, seconds=20):
    """Until nothing is open and every block is back; how long that took."""
    start = time.monotonic()
    while True:
        load = server.get("/load")
        blocks = load["kv_blocks"]
        if load["server_load"] == 0 and blocks["in_use"] == 0:
            assert blocks["free"] + blocks["cached"] == blocks["total"], load
            return time.monotonic() - start
        assert time.monotonic() - start < seconds, f"not idle after {seconds} s: {load}"
        time.sleep(0.02)


def in_parallel(tasks, limit):
    async def run():
        gate = asyncio.Semaphore(limit)

        async def one(task):
            async with gate:
                return await task

        return await asyncio.gather(*(one(task) for task in tasks))

    return asyncio.run(run())


def close_hard(writer):
    """With a reset instead of a goodbye."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def disconnects(server, count, full):
    """Clients that leave at random moments: while sending, before the first token, in the stream; politely or with a reset."""
    async def client(number):
        chance = random.Random(number)
        reader, writer = await asyncio.open_connection(server.host, server.port)
        request = http_request("/v1/chat/completions", {**STORY, "max_tokens": chance.randint(1, 400), "seed": number, "n": chance.choice((1, 1, 3))})
        if chance.random() < 0.2:
            request = request[:chance.randrange(len(request))]
        writer.write(request)
        try:
            for _ in range(chance.choice((0, 0, 1, 3, 10))):
                await asyncio.wait_for(reader.read(chance.choice((1, 100, 10000))), 0.5)
            await asyncio.sleep(chance.choice((0, 0, 0.001, 0.02, 0.1)))
        except (asyncio.TimeoutError, ConnectionError):
            pass
        (close_hard if chance.random() < 0.5 else lambda w: w.close())(writer)

    with Others(server) as others:
        start = time.monotonic()
        sizes = [server.rss_kib()]
        for quarter in range(4):
            in_parallel([client(i) for i in range(count * quarter // 4, count * (quarter + 1) // 4)], 32)
            sizes.append(server.rss_kib())
        seconds = time.monotonic() - start
    idle_again = settle(server)
    # The allocator takes memory in steps, once; a leak would show in every quarter.
    growth = [after - before for before, after in zip(sizes, sizes[1:])]
    assert not full or min(growth) < 256 and sum(growth) < 65536, f"{growth} KiB more after each quarter"
    return {"clients": count, "seconds": round(seconds, 1), "idle_again_s": round(idle_again, 3), "quarters_kib": growth, **others.figures()}


def idle_connections(server, count, full, streams=20):
    """Many connections that do nothing, and streams beside them; memory per connection; /health answers."""
    def connect_all():
        held = []
        for _ in range(count):
            held.append(server.connect(20))
        return held

    before = server.rss_kib()
    held = connect_all()
    deadline = time.monotonic() + 10
    while server.descriptors() < count and time.monotonic() < deadline:
        time.sleep(0.05)
    per_connection = (server.rss_kib() - before) / count

    async def stream(number):
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(http_request("/v1/chat/completions", {**STORY, "max_tokens": 200 if full else 50, "seed": number}, headers="Connection: close\r\n"))
        text = await reader.read()
        writer.close()
        return b"data: [DONE]" in text

    with Others(server) as others:
        assert all(in_parallel([stream(i) for i in range(streams)], streams)), "a stream was cut"
    for connection in held:
        connection.close()
    settle(server)
    assert not full or per_connection <= 16, f"{per_connection:.1f} KiB a connection"
    return {"idle": count, "streams": streams, "kib_per_connection": round(per_connection, 2), **others.figures()}


def malformed(server, count, full):
    with Others(server) as others:
        result = hostile_http.run(server, count)
    settle(server)
    return {**result, **others.figures()}


def json_bombs(server, count, full):
    with Others(server) as others:
        result = hostile_http.run_json_bombs(server)
    settle(server)
    return {**result, **others.figures()}


def kv_exhaustion(binary, count, full):
    """Far more tokens wanted than blocks exist: everybody is served, with the tokens of a lone run."""
    bodies = [{"prompt": f"Story number {i}:", "max_tokens": 200, "seed": i, "temperature": 1, "ignore_eos": True, "return_token_ids": True} for i in range(count)]
    with serving.serving(binary, "--kv-cache-bytes", "1M", "--max-model-len", "256", "--max-num-seqs", "16") as server:
        alone = [server.post("/v1/completions", body)["choices"][0]["token_ids"] for body in bodies[:8]]

        async def ask(body):
            return await asyncio.to_thread(server.post, "/v1/completions", body, 300)

        together = [reply["choices"][0]["token_ids"] for reply in in_parallel([ask(body) for body in bodies], 64)]
        assert together[:8] == alone, "tokens changed under memory pressure"
        assert all(len(tokens) == 200 for tokens in together)
        settle(server)
        load = server.get("/load")
        return {"requests": count, "kv_blocks": load["kv_blocks"]["total"], "preemptions": load["num_preemptions"]}


def kill_and_restart(binary, count, full):
    """kill -9 in the middle of streams, then a new process on the same port."""
    times = []
    for _ in range(5 if full else 2):
        with serving.serving(binary) as first:
            streams = []
            for number in range(8):
                streams.append(first.connect())
                streams[-1].sendall(http_request("/v1/chat/completions", {**STORY, "max_tokens": 1500, "seed": number}))
            streams[0].recv(1000)
            first.process.kill()
            first.process.wait()
            start = time.monotonic()
            with serving.serving(binary, port=first.port) as second:
                second.post("/v1/chat/completions", PROBE)
                times.append(time.monotonic() - start)
                assert second.stop() == 0
    return {"restarts": len(times), "answering_again_s": round(max(times), 2)}


def sigterm(binary, count, full):
    """SIGTERM under load: what was admitted is finished, new requests are refused, the exit status is 0."""
    # A busy machine may need longer than the default of 30 s, which the full form asks for.
    with serving.serving(binary, "--drain-seconds", "30" if full else "200") as server:
        async def stream(number):
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(http_request("/v1/chat/completions", {**STORY, "max_tokens": 300 if full else 60, "seed": number}, headers="Connection: close\r\n"))
            text = await reader.read()
            return b"data: [DONE]" in text

        async def run():
            streams = [asyncio.ensure_future(stream(i)) for i in range(count)]
            while server.get("/load")["server_load"] < count and not all(s.done() for s in streams):
                await asyncio.sleep(0.01)
            under_way = server.get("/load")["server_load"]
            start = time.monotonic()
            server.process.terminate()
            refused_after = None
            while refused_after is None and time.monotonic() - start < 5:
                reader, writer = await asyncio.open_connection(server.host, server.port)
                writer.write(http_request("/ready", headers="Connection: close\r\n"))
                if b" 503 " in (await reader.readline()):
                    refused_after = time.monotonic() - start
                writer.close()
            return await asyncio.gather(*streams), under_way, start, refused_after

        complete, under_way, start, refused_after = asyncio.run(run())
        assert server.process.wait(240) == 0
        assert all(complete), f"{complete.count(False)} of {count} streams were lost"
    # A second signal does not wait.
    with serving.serving(binary) as server:
        with server.connect() as connection:
            connection.sendall(http_request("/v1/chat/completions", {**STORY, "max_tokens": 1900}))
            connection.recv(1000)
            server.process.terminate()
            time.sleep(0.1)
            server.process.terminate()
            second = time.monotonic()
            assert server.process.wait(20) != 0
            second = time.monotonic() - second
        assert not full or second < 1
        return {"streams": count, "second_signal_s": round(second, 2), "under_way": under_way, "not_ready_after_ms": round((refused_after or 0) * 1e3, 1), "drained_s": round(time.monotonic() - start, 2)}


SHARED = {"disconnects": disconnects, "slow_headers": slow_senders.run, "slow_headers_in_step": slow_senders.run_in_step, "idle": idle_connections, "slow_readers": stalled_readers.run, "garbage": malformed,
          "json_bombs": json_bombs}
OWN = {"exhaustion": kv_exhaustion, "kill": kill_and_restart, "sigterm": sigterm, "overload": overload.run}


def run_shared(binary, names, counts, full, report):
    """One server meets every fault after another; in the end it has the descriptors and, nearly, the memory of the start."""
    sizes = ("256", "64M") if full else ("32", "16M")
    with serving.serving(binary, "--max-num-seqs", sizes[0], "--kv-cache-bytes", sizes[1]) as server:
        for _ in range(20):
            server.post("/v1/chat/completions", PROBE)
        descriptors = server.descriptors()
        for name in names:
            before = server.rss_kib()
            extra = {"streams": counts["streams"]} if name == "idle" else {}
            result = SHARED[name](server, counts.get(name, 0), full, **extra)
            deadline = time.monotonic() + 15
            while server.descriptors() > descriptors + 4 and time.monotonic() < deadline:
                time.sleep(0.1)
            assert server.descriptors() <= descriptors + 4, f"{name}: {server.descriptors()} descriptors, {descriptors} before"
            report(name, {**result, "rss_kib": [before, server.rss_kib()]})
            if full:
                assert result["health_p99_ms"] <= 50, f"{name}: /health took {result['health_p99_ms']} ms (p99)"
        assert server.stop() == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("millrace")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", nargs="+", choices=[*SHARED, *OWN])
    parser.add_argument("--json")
    arguments = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    counts = FULL if arguments.full else SHORT
    names = arguments.only or [*SHARED, *OWN]
    results = {}

    def report(name, result):
        results[name] = result
        print(name, json.dumps(result), flush=True)

    shared = [name for name in names if name in SHARED]
    if shared:
        run_shared(arguments.millrace, shared, counts, arguments.full, report)
    for name in (name for name in names if name in OWN):
        report(name, OWN[name](arguments.millrace, counts.get(name, 0), arguments.full))
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=2)
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
