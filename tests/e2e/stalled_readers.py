"""Clients that ask for a long stream and read nothing: the server keeps little of it, pauses what generates it and gives them up in the end;
a reader that goes on loses nothing, and others do not notice."""
import asyncio
import socket
import time

from others import Others, percentile
from serving import http_request

STREAM = {"messages": [{"role": "user", "content": "Tell me a short story."}], "stream": True, "ignore_eos": True}
LONG = {**STREAM, "max_tokens": 1900, "logprobs": True, "top_logprobs": 20}  # some 5 MB
GAPS = 1500  # of each stream that is measured
KEPT_KIB = 256  # of an answer, for one connection


def stall(server, number):
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(60)
    connection.connect((server.host, server.port))
    connection.sendall(http_request("/v1/chat/completions", {**LONG, "seed": number}, headers="Connection: close\r\n"))
    return connection


def read_to_the_end(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    text = b""
    while data := connection.recv(1 << 16):
        text += data
    return text


def gaps_ms(server, streams, tokens):
    """Between the events of clients that read."""

    async def one(number):
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(http_request("/v1/chat/completions", {**STREAM, "max_tokens": tokens, "seed": number}, headers="Connection: close\r\n"))
        times = []
        while line := await reader.readline():
            if line.startswith(b"data: {"):
                times.append(time.perf_counter())
        writer.close()
        return [(b - a) * 1e3 for a, b in zip(times, times[1:])]

    async def run():
        return await asyncio.gather(*(one(i) for i in range(streams)))

    return [gap for gaps in asyncio.run(run()) for gap in gaps]


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def run(server, count, full):
    rounds = 5 if full else 1
    given_up_before = int(server.metric("millrace:slow_readers_total"))
    growth, alone, beside = [], [], []
    with Others(server) as others:
        for round_number in range(rounds):
            alone += gaps_ms(server, 4, GAPS if full else 200)
            before = server.rss_kib()
            held = [stall(server, i) for i in range(count)]
            assert wait_until(lambda: server.get("/load")["num_paused"] == count, 60), f"{server.get('/load')['num_paused']} of {count} readers are paused"
            growth.append((server.rss_kib() - before) / count)
            if round_number == 0:  # at once, since on a busy machine the gaps may take longer than a reader may read nothing
                text = read_to_the_end(held.pop())
                assert text.endswith(b"0\r\n\r\n") and text.count(b'"top_logprobs"') >= LONG["max_tokens"], "a paused stream lost something"
            beside += gaps_ms(server, 4, GAPS if full else 200)
            if full and round_number == rounds - 1:
                left = len(held)
                assert wait_until(lambda: int(server.metric("millrace:slow_readers_total")) - given_up_before >= left, 60), "slow readers are not given up"
                assert wait_until(lambda: server.get("/load")["num_paused"] == 0, 5)
            for connection in held:
                connection.close()
            assert wait_until(lambda: server.get("/load")["num_paused"] == 0, 10), "a paused request outlives its client"
    gaps = {name: [round(percentile(values, p), 3) for p in (50, 99)] for name, values in (("alone", alone), ("beside", beside))}
    if full:
        assert growth[0] <= KEPT_KIB, f"{growth[0]:.0f} KiB for each slow reader"
        assert gaps["beside"][1] <= 1.05 * gaps["alone"][1], f"others' streams beside slow readers, p50 and p99 of the gaps in ms: {gaps}"
    return {"clients": count, "kib_per_reader": [round(g) for g in growth], "gaps_p50_p99_ms": gaps, **others.figures()}
