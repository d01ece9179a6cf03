"""Ordinary clients beside a fault: they ask the same question all the while, and tell their latencies and whether every answer was the same."""
import multiprocessing
import time

import serving

PROBE = {"messages": [{"role": "user", "content": "What is the capital of France?"}], "max_tokens": 8, "temperature": 0, "ignore_eos": True,
         "return_token_ids": True}


def percentile(values, percent):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * percent / 100))] if values else float("nan")


def probe_loop(host, port, pause_seconds, stop, pipe):
    """Asks the same question over and over, as an ordinary client: latencies, and whether every answer was the same."""
    latencies, answers, failures, health = [], set(), [], []
    server = serving.Server.__new__(serving.Server)
    server.url = f"http://{host}:{port}"
    while not stop.is_set():
        try:
            start = time.perf_counter()
            reply = server.post("/v1/chat/completions", PROBE, timeout=30)
            latencies.append((time.perf_counter() - start) * 1e3)
            answers.add(tuple(reply["choices"][0]["token_ids"]))
            start = time.perf_counter()
            server.get("/health")
            health.append((time.perf_counter() - start) * 1e3)
        except OSError as error:
            failures.append(str(error))
        time.sleep(pause_seconds)
    pipe.send((latencies, answers, failures, health))


class Others:
    """Ordinary clients beside a fault: `with Others(server) as others: ...`, then others.latency_ms, others.health_ms."""

    def __init__(self, server, expected=None, pause_seconds=0.01):
        self.server, self.expected, self.pause_seconds = server, expected, pause_seconds

    def __enter__(self):
        self.stop = multiprocessing.Event()
        self.pipe, child = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=probe_loop, args=(self.server.host, self.server.port, self.pause_seconds, self.stop, child), daemon=True)
        self.process.start()
        return self

    def __exit__(self, kind, *_):
        self.stop.set()
        if kind is not None:
            self.process.terminate()
            return
        assert self.pipe.poll(60), "an ordinary client hangs"
        self.latency_ms, self.answers, failures, self.health_ms = self.pipe.recv()
        self.process.join(10)
        assert not failures, failures[:3]
        assert self.latency_ms, "no ordinary request was answered"
        assert len(self.answers) == 1, "ordinary clients saw different tokens"
        if self.expected:
            assert self.answers == self.expected, "ordinary clients saw other tokens than before the fault"

    def figures(self):
        return {"requests": len(self.latency_ms), "p50_ms": round(percentile(self.latency_ms, 50), 2), "p99_ms": round(percentile(self.latency_ms, 99), 2),
                "health_p50_ms": round(percentile(self.health_ms, 50), 2), "health_p99_ms": round(percentile(self.health_ms, 99), 2)}
