"""Starts `millrace serve` for the tests of this folder, and speaks to it over plain sockets: what is sent is what the test says."""
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "millrace-tiny.gguf"


class Server:
    """One process of `millrace serve` on a free port, or on `port`."""

    def __init__(self, binary, *options, model=MODEL, port=0):
        self.process = subprocess.Popen([binary, "serve", str(model), "--port", str(port), *options], stderr=subprocess.PIPE, text=True)
        self.lines = []
        for line in self.process.stderr:
            self.lines.append(line)
            found = re.search(r"listening on http://([^:]+):(\d+)", line)
            if found:
                self.host, self.port = found.group(1), int(found.group(2))
                self.url = f"http://{self.host}:{self.port}"
                return
        raise SystemExit("the server did not start: " + "".join(self.lines))

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=60) as reply:
            return json.load(reply)

    def metric(self, name):
        with urllib.request.urlopen(self.url + "/metrics", timeout=60) as reply:
            return next(float(line.split()[-1]) for line in reply.read().decode().splitlines() if line.startswith(name + "{"))

    def post(self, path, body, timeout=120):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            return json.load(reply)

    def connect(self, timeout=60):
        connection = socket.create_connection((self.host, self.port), timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def rss_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(list(pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def stop(self, how=signal.SIGTERM, timeout=60):
        self.process.send_signal(how)
        code = self.process.wait(timeout)
        self.process.stderr.close()
        return code


@contextlib.contextmanager
def serving(binary, *options, **named):
    server = Server(binary, *options, **named)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()
            server.process.stderr.close()


def http_request(path, body=None, method=None, headers=""):
    """The bytes of a request."""
    payload = b"" if body is None else json.dumps(body).encode()
    head = f"{method or ('GET' if body is None else 'POST')} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {len(payload)}\r\n\r\n"
    return head.encode() + payload
