#!/usr/bin/env python3
"""HTTPS, the admin port, the request log and deploy/ against a running server: operations_test.py MILLRACE."""
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

DEPLOY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../deploy")


def start(binary, folder, certificate, key):
    process = subprocess.Popen(
        [binary, "serve", "synth:tiny-llama:Q4_0", "--port", "0", "--admin-port", "0", "--kv-cache-bytes", "16M", "-t", "1", "--served-model-name",
         "tiny", "--ssl-certfile", certificate, "--ssl-keyfile", key, "--log-format", "json"],
        stdout=open(folder + "/log", "w"), stderr=subprocess.PIPE, text=True)
    admin = None
    for line in process.stderr:
        admin = re.search(r"admin on (https://\S+)", line) or admin
        found = re.search(r"listening on (https://\S+)", line)
        if found:
            return process, found.group(1), admin.group(1)
    raise SystemExit("the server did not start")


def call(url, context, method="GET", body=None):
    request = urllib.request.Request(url, method=method, data=None if body is None else json.dumps(body).encode())
    with urllib.request.urlopen(request, context=context, timeout=60) as reply:
        return reply.read().decode()


def check_https(binary, folder, certificate, key, url, context):
    reply = json.loads(call(url + "/v1/completions", context, "POST", {"prompt": "a", "max_tokens": 4, "ignore_eos": True}))
    assert reply["usage"]["completion_tokens"] == 4, reply
    events = call(url + "/v1/completions", context, "POST", {"prompt": "a", "max_tokens": 4, "stream": True})
    assert events.endswith("data: [DONE]\n\n"), events
    prompt = "a" * 300_000  # larger than one TLS record, read in pieces
    try:
        call(url + "/v1/completions", context, "POST", {"prompt": prompt})
        raise AssertionError("expected a 400")
    except urllib.error.HTTPError as error:
        assert error.code == 400, error
    try:
        urllib.request.urlopen(url.replace("https", "http") + "/health", timeout=10)
        raise AssertionError("expected plain HTTP to fail")
    except (urllib.error.URLError, ConnectionError):
        pass
    wrong = subprocess.run([binary, "serve", "synth:tiny-llama:Q4_0", "--port", "0", "--ssl-certfile", certificate], capture_output=True, text=True, timeout=120)
    assert wrong.returncode == 1 and "--ssl-keyfile" in wrong.stderr, wrong
    broken = folder + "/broken.pem"
    with open(broken, "w") as file:
        file.write("nothing")
    wrong = subprocess.run([binary, "serve", "synth:tiny-llama:Q4_0", "--port", "0", "--ssl-certfile", broken, "--ssl-keyfile", key],
                           capture_output=True, text=True, timeout=120)
    assert wrong.returncode == 1 and "--ssl-certfile" in wrong.stderr, wrong


def check_farewell(url, context):
    """An encrypted connection ends with close_notify, after a reply that ends it and while it is idle; the last one is returned open."""
    def connect(head):
        port = int(url.rsplit(":", 1)[1])
        stream = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=20), server_hostname="localhost", suppress_ragged_eofs=False)
        stream.sendall(b"GET /version HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n")
        return stream

    with connect(b"Connection: close\r\n") as stream:
        reply = b""
        while data := stream.recv(4096):  # an end without close_notify raises SSLEOFError
            reply += data
        assert reply.startswith(b"HTTP/1.1 200"), reply
    idle = connect(b"")
    assert idle.recv(4096).startswith(b"HTTP/1.1 200")
    return idle


def num_wakes(pid):
    """How often the threads of a process have waited for something."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as file:
            total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(), re.M)[1])
    return total


def check_slow_senders(url, context, pid):
    """Encrypted headers and bodies that come byte by byte wake nobody for each byte, and are read all the same."""
    text = b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nX-Filler: " + b"a" * 4000 + b"\r\nContent-Length: 5000\r\n\r\n" + b" " * 4984 + b'{"prompt": "ab"}'
    begun = [20, text.index(b"\r\n\r\n") + 10] * 15  # half of them in the header, half in the body
    address = ("127.0.0.1", int(url.rsplit(":", 1)[1]))
    streams = [context.wrap_socket(socket.create_connection(address, timeout=20), server_hostname="localhost") for _ in begun]
    for stream, at in zip(streams, begun):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.sendall(text[:at])
    time.sleep(2.5)  # until they are known to be slow
    before, num_sent, start = num_wakes(pid), 0, time.monotonic()
    while time.monotonic() < start + 2:
        for i, stream in enumerate(streams):
            stream.sendall(text[begun[i]:begun[i] + 1])
            begun[i], num_sent = begun[i] + 1, num_sent + 1
            time.sleep(0.0005)
    wakes = num_wakes(pid) - before
    assert wakes < num_sent / 3, f"{wakes} wakes for {num_sent} bytes"
    for stream, at in zip(streams, begun):
        stream.sendall(text[at:])
    for stream in streams:
        assert stream.recv(4096).startswith(b"HTTP/1.1 200"), "a slow sender's request was not answered"
        start = time.monotonic()
        stream.sendall(b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert stream.recv(4096).startswith(b"HTTP/1.1 200")
        assert time.monotonic() < start + 0.7, "the connection remained slow"
        stream.close()


def check_deploy(metrics):
    """Every metric that the dashboard and the rules name is one that the server has."""
    known = set(re.findall(r"^# TYPE (\S+)", metrics, re.M))
    known |= {name + suffix for name in known for suffix in ("_bucket", "_sum", "_count")}
    with open(DEPLOY + "/grafana_dashboard.json") as file:
        dashboard = json.load(file)
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(expressions) > 20
    with open(DEPLOY + "/prometheus_rules.yml") as file:
        rules = file.read()
    recorded = set(re.findall(r"record: (\S+)", rules))
    expressions += re.findall(r"expr: (.*)", rules)
    for expression in expressions:
        for name in re.findall(r"\b(?:vllm|millrace):[a-z0-9_:]+", expression):
            assert name in known | recorded, f"{name} of {expression!r} is not a metric"
    if shutil.which("promtool"):
        subprocess.run(["promtool", "check", "config", "prometheus.yml"], cwd=DEPLOY, check=True, timeout=60)
        subprocess.run(["promtool", "test", "rules", "prometheus_rules_test.yml"], cwd=DEPLOY, check=True, timeout=60)
    else:
        print("promtool is not installed: the rules were not run")


def check_image(binary):
    """The image gets the package of every library that the program loads."""
    if not shutil.which("dpkg"):
        print("there is no dpkg: the packages of the image were not looked up")
        return
    packages = set(subprocess.run([DEPLOY + "/runtime_packages.sh", binary], check=True, capture_output=True, text=True, timeout=60).stdout.split())
    assert {"libc6", "libstdc++6", "libssl3", "libfmt9"} <= packages, packages


def main():
    binary = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = folder + "/cert.pem", folder + "/key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True, timeout=60)
        context = ssl.create_default_context(cafile=certificate)
        process, url, admin = start(binary, folder, certificate, key)
        try:
            check_https(binary, folder, certificate, key, url, context)
            assert json.loads(call(admin + "/log-level", context))["level"] == "requests"
            idle = check_farewell(url, context)
            check_slow_senders(url, context, process.pid)
            check_image(binary)
            check_deploy(call(admin + "/metrics", context))
            assert json.loads(call(admin + "/drain", context, "POST"))["draining"]
            process.send_signal(signal.SIGTERM)
            assert idle.recv(4096) == b""
            idle.close()
            assert process.wait(timeout=40) == 0
        finally:
            process.kill()
        with open(folder + "/log") as file:
            lines = [json.loads(line) for line in file]
        assert [line["status"] for line in lines[:5]] == [200, 200, 400, 200, 200], lines
        assert lines[0]["completion_tokens"] == 4 and lines[0]["finish_reason"] == "length", lines[0]
    print("operations: all passed")


if __name__ == "__main__":
    main()
