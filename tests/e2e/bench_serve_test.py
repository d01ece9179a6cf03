#!/usr/bin/env python3
"""`millrace bench serve` against a scripted server whose delays, refusals and usage are known: bench_serve_test.py MILLRACE."""
import http.server
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree

FIRST_S, GAP_S = 0.06, 0.02


class Scripted(http.server.BaseHTTPRequestHandler):
    """A model whose words are tokens, four letters of each being one more: 10 tokens for 8 words."""
    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    log, open_now, most_open, refuse_every = [], 0, 0, 0

    def log_message(self, *_):
        pass

    def reply(self, status, body, headers=()):
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(data))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.reply(200, {"object": "list", "data": [{"id": "scripted", "max_model_len": 4096}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            return self.reply(200, {"tokens": list(range(len(body["prompt"].split()) * 10 // 8))})
        with self.lock:
            self.log.append((time.monotonic(), self.path, body))
            number = len(self.log)
            type(self).open_now += 1
            type(self).most_open = max(self.most_open, self.open_now)
        try:
            if self.refuse_every and number % self.refuse_every == 0:
                return self.reply(429, {"error": {"message": "busy"}}, [("Retry-After", "1")])
            return self.stream(body)
        finally:
            with self.lock:
                type(self).open_now -= 1

    def stream(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        chat = self.path.endswith("/chat/completions")
        for number in range(body["max_tokens"]):
            time.sleep(FIRST_S if number == 0 else GAP_S)
            self.event({"choices": [{"index": 0, "delta": {"content": " a"}} if chat else {"index": 0, "text": " a"}]})
        prompt = body["messages"][0]["content"] if chat else body["prompt"]
        self.event({"choices": [], "usage": {"prompt_tokens": len(prompt.split()) * 10 // 8, "completion_tokens": body["max_tokens"]}})
        self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")

    def event(self, event):
        self.chunk(b"data: " + json.dumps(event).encode() + b"\n\n")

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()


def reset(refuse_every=0):
    Scripted.log, Scripted.most_open, Scripted.refuse_every = [], 0, refuse_every


class Bench:
    def __init__(self, binary, url, folder):
        self.binary, self.url, self.folder = binary, url, pathlib.Path(folder)

    def __call__(self, *options, code=0):
        path = self.folder / "result.json"
        done = subprocess.run([self.binary, "bench", "serve", "--url", self.url, "--json", str(path), *options], capture_output=True, text=True, timeout=120)
        assert done.returncode == code, done
        return json.loads(path.read_text()) if code == 0 else done.stderr


def prompts():
    return [body["prompt"] for _, _, body in sorted(Scripted.log, key=lambda entry: entry[2]["prompt"])]


def check_closed_loop(bench):
    reset(refuse_every=5)
    svg = bench.folder / "plots.svg"
    result = bench("--concurrency", "4", "-n", "20", "--input-len", "40", "--output-len", "6", "--slo", "ttft=10000,tpot=1", "--svg", str(svg))
    assert Scripted.most_open <= 4
    assert (result["completed"], result["refused"], result["refused_with_retry_after"], result["failed"]) == (16, 4, 4, 0), result
    assert result["total_output_tokens"] == 16 * 6
    assert abs(result["total_input_tokens"] - 16 * 40) <= 16 * 2, result
    assert FIRST_S * 1e3 <= result["median_ttft_ms"] < 1000, result
    assert GAP_S * 1e3 * 0.9 <= result["median_tpot_ms"] < 500, result
    assert result["median_ttft_ms"] <= result["p90_ttft_ms"] <= result["p99_ttft_ms"] <= result["max_ttft_ms"]
    assert result["median_e2el_ms"] >= (FIRST_S + 5 * GAP_S) * 1e3
    assert result["good"] == 0 and result["slo_ms"] == {"ttft": 10000, "tpot": 1, "e2e": None}
    root = xml.etree.ElementTree.parse(svg).getroot()
    assert len(root.findall(".//{*}path[@stroke-width]")) >= 5


def check_open_loop(bench):
    reset()
    options = ("--rate", "40", "-n", "30", "--output-len", "2", "--input-len", "16", "--seed", "3", "--slo", "e2e=20000")
    result = bench(*options)
    assert result["good"] == 30 and Scripted.most_open > 1, result
    times = sorted(when for when, _, _ in Scripted.log)
    assert 0.2 < times[-1] - times[0] < 5, times[-1] - times[0]
    first = prompts()
    reset()
    bench(*options)
    assert prompts() == first and len(set(first)) == 30, "the same seed makes the same prompts"


def check_chat_and_prefix(bench):
    reset()
    bench("--endpoint", "chat", "--concurrency", "2", "-n", "2", "--output-len", "2")
    assert {path for _, path, _ in Scripted.log} == {"/v1/chat/completions"}
    reset()
    bench("--prompts", "shared-prefix", "--prefix-len", "100", "--input-len", "20", "--output-len", "1", "-n", "3")
    heads = {" ".join(prompt.split()[:78]) for prompt in prompts()}
    assert len(heads) == 1 and len(set(prompts())) == 3
    reset()
    bench("--prompts", "sharegpt-like", "-n", "10", "--length-scale", "0.1")
    assert len({body["max_tokens"] for _, _, body in Scripted.log}) > 3


def check_traces(bench):
    trace = bench.folder / "mooncake.jsonl"
    rows = [{"timestamp": 0, "input_length": 1024, "output_length": 8, "hash_ids": [7, 8]}, {"timestamp": 2000, "input_length": 1100, "output_length": 12, "hash_ids": [7, 9, 10]}]
    trace.write_text("\n".join(json.dumps(row) for row in rows))
    reset()
    bench("--trace", str(trace), "--time-scale", "0.25", "--length-scale", "0.25")
    (start, _, one), (end, _, two) = sorted(Scripted.log, key=lambda entry: entry[0])
    assert 0.4 < end - start < 3, end - start
    assert (one["max_tokens"], two["max_tokens"]) == (2, 3)
    words = [body["prompt"].split() for body in (one, two)]
    assert words[0][:100] == words[1][:100] and words[0][110:140] != words[1][110:140], "equal hash ids are equal text"
    trace = bench.folder / "azure.csv"
    trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,48,3\n2023-11-16 18:17:04.4799600,5000,2\n")
    reset()
    result = bench("--trace", str(trace))
    assert result["clipped"] == 1 and result["completed"] == 2
    assert len(Scripted.log[0][2]["prompt"].split()) in range(36, 41)
    trace.write_text("hello\n")
    assert "expected TIMESTAMP" in bench("--trace", str(trace), code=1)


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(sys.argv[1], f"http://127.0.0.1:{server.server_address[1]}", folder)
        for check in (check_closed_loop, check_open_loop, check_chat_and_prefix, check_traces):
            check(bench)
        assert "expected ttft=MS" in bench("--slo", "fast=1", code=1)
        bench.url = "http://127.0.0.1:1"
        assert "--url" in bench("-n", "1", code=1)
    server.shutdown()
    print("ok")


if __name__ == "__main__":
    main()
