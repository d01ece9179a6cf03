"""Starts `millrace serve` on a free port with a tiny model, for tests that drive it with a client."""
import contextlib
import json
import re
import signal
import subprocess
import threading
import urllib.request


@contextlib.contextmanager
def running(binary, *options, model="synth:tiny-llama:Q4_0", name="tiny", api_key="secret"):
    """The URL of a server, which SIGTERM ends cleanly afterwards. What it goes on to print is thrown away, so that it never waits for a reader."""
    process = subprocess.Popen([binary, "serve", model, "--port", "0", "--kv-cache-bytes", "16M", "--served-model-name", name, "--api-key", api_key,
                                "-t", "1", *options], stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            found = re.search(r"listening on (http\S+)", line)
            if found:
                break
        else:
            raise SystemExit("the server did not start")
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield found.group(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=40) == 0
    finally:
        process.kill()


def post(url, body):
    """The reply to a plain request; an error status raises."""
    headers = {"Authorization": "Bearer secret", "Content-Type": "application/json"}
    return urllib.request.urlopen(urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers), timeout=60)
