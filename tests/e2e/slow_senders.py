"""Senders that drip a header byte by byte: each is cut off after the header time, and nobody else notices.

What they cost others is told from what sending costs: the same drippers, in their own process, drip at a sink (a process that accepts,
reads nothing and closes each connection after the server's header time) while the ordinary clients ask the server, then at the server.
Between the two only the server's own work differs; the kernel's and the drippers' share of the cores is in both."""
import collections
import contextlib
import multiprocessing
import resource
import select
import socket
import time

from others import Others, percentile
from serving import http_request

HEADER_SECONDS = 10
TURNS = ("sink", "server", "server", "sink", "sink", "server")  # of a whole header time each
RAMP_SECONDS = 4  # until all connections stand
TICK_SECONDS = 0.01
REQUEST = http_request("/v1/chat/completions", headers="X-Filler: " + "a" * 100 + "\r\n")


class Drippers:
    """`count` connections that stay open: each sends a byte a second, and is made anew when the other side closes it.

    In step: all send within the same tick; else their ticks are spread over the second, as those of unrelated senders are."""

    def __init__(self, address, count, in_step):
        self.address, self.in_step = address, in_step
        self.poll = select.epoll()
        self.connections = [None] * count
        self.started, self.sent, self.by_descriptor = [0.0] * count, [0] * count, {}
        self.kept_seconds, self.num_bytes = [], 0

    def _open(self, number):
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex(self.address)
        self.connections[number], self.started[number], self.sent[number] = connection, time.monotonic(), 0
        self.by_descriptor[connection.fileno()] = number
        self.poll.register(connection, select.EPOLLRDHUP)

    def _close(self, number):
        connection, self.connections[number] = self.connections[number], None
        del self.by_descriptor[connection.fileno()]
        connection.close()
        self.kept_seconds.append(time.monotonic() - self.started[number])

    def _send(self, number):
        if self.connections[number] is None:
            return self._open(number)
        at = self.sent[number] = self.sent[number] + 1
        try:
            self.num_bytes += self.connections[number].send(REQUEST[at - 1:at])
        except BlockingIOError:
            pass
        except OSError:
            self._close(number)

    def run(self, stop):
        count = len(self.connections)
        ticks = round(1 / TICK_SECONDS)
        start, tick = time.monotonic(), 0
        while not stop.is_set():
            ahead = start + tick * TICK_SECONDS - time.monotonic()
            time.sleep(max(0.0, ahead))
            start += -ahead if ahead < -1 else 0  # the process was stopped: what it missed is not made up for
            for descriptor, _ in self.poll.poll(0, count):
                self._close(self.by_descriptor[descriptor])
            within, second = tick % ticks, tick // ticks
            if not self.in_step:
                turn = range(within, count, ticks)
            else:
                turn = range(count) if within == 0 else ()
            for number in turn:
                if self.connections[number] is not None or number // ticks % RAMP_SECONDS <= second:
                    self._send(number)
            tick += 1


def raise_descriptors():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def drip(address, count, in_step, stop, pipe):
    raise_descriptors()
    drippers = Drippers(address, count, in_step)
    drippers.run(stop)
    pipe.send((drippers.kept_seconds, drippers.num_bytes))


def sink(listener):
    """Accepts, reads nothing, closes after the header time."""
    raise_descriptors()
    listener.setblocking(False)
    held = collections.deque()
    while True:
        select.select([listener], [], [], 0.05)
        with contextlib.suppress(BlockingIOError):
            while True:
                held.append((time.monotonic() + HEADER_SECONDS, listener.accept()[0]))
        while held and held[0][0] <= time.monotonic():
            held.popleft()[1].close()


@contextlib.contextmanager
def dripping(address, count, in_step, found):
    stop, (pipe, child) = multiprocessing.Event(), multiprocessing.Pipe()
    process = multiprocessing.Process(target=drip, args=(address, count, in_step, stop, child), daemon=True)
    process.start()
    try:
        yield
        stop.set()
        assert pipe.poll(60), "the drippers hang"
        kept_seconds, num_bytes = pipe.recv()
        found["kept"] += kept_seconds
        found["bytes"] += num_bytes
        process.join(20)
    finally:
        process.kill()


def measure(server, sink_address, count, in_step, turns, expected):
    """Others' latencies beside drippers at the sink and at the server: (target, seconds) after another, once all connections stand."""
    latency, found = {}, {}
    health = []
    for target, seconds in turns:
        address = sink_address if target == "sink" else (server.host, server.port)
        with dripping(address, count, in_step, found.setdefault(target, {"kept": [], "bytes": 0})):
            time.sleep(RAMP_SECONDS)
            with Others(server, expected, 0.002) as others:
                time.sleep(seconds)
        latency[target] = latency.get(target, []) + others.latency_ms
        health += others.health_ms if target == "server" else []
    kept = found["server"]["kept"]
    assert kept and max(kept) < HEADER_SECONDS + 6, f"a slow sender was kept for {max(kept, default=0):.1f} s"
    result = {"clients": count, "cut_off_after_s": round(percentile(kept, 50), 1), "cuts": len(kept),
              "bytes": {target: values["bytes"] for target, values in found.items()}, "health_p99_ms": round(percentile(health, 99), 2)}
    for target, values in latency.items():
        result[target] = {"requests": len(values), "p50_ms": round(percentile(values, 50), 2), "p99_ms": round(percentile(values, 99), 2)}
    return result


def own_cpu(server, count, in_step):
    """The part of a core that the server spends on the drippers alone."""
    with dripping((server.host, server.port), count, in_step, {"kept": [], "bytes": 0}):
        time.sleep(RAMP_SECONDS)
        before, start = server.cpu_seconds(), time.monotonic()
        time.sleep(3)
        return (server.cpu_seconds() - before) / (time.monotonic() - start)


def run(server, count, full, in_step=False):
    with Others(server, None, 0.002) as calm:
        time.sleep(3 if full else 1)
    if not full:
        return measure(server, None, count, in_step, (("server", HEADER_SECONDS),), calm.answers)
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    sinking = multiprocessing.Process(target=sink, args=(listener,), daemon=True)
    sinking.start()
    try:
        result = measure(server, listener.getsockname(), count, in_step, [(target, HEADER_SECONDS) for target in TURNS], calm.answers)
    finally:
        sinking.kill()
        listener.close()
    result["p99_ratio"] = round(result["server"]["p99_ms"] / result["sink"]["p99_ms"], 3)
    result["server_cpu_share"] = round(own_cpu(server, count, in_step), 4)
    assert result["p99_ratio"] <= 1.1, result
    return {**result, "calm": calm.figures()}


def run_in_step(server, count, full):
    return run(server, count, full, in_step=True)
