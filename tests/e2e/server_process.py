"""Starts `millrace serve` on a free port with a tiny model, for tests that drive it with a client."""
import json
import re
import subprocess
import threading
import urllib.request


def start(binary, *options):
    """The process and its URL. What it goes on to print is thrown away, so that it never waits for a reader."""
    process = subprocess.Popen(
        [binary, "serve", "synth:tiny-llama:Q4_0", "--port", "0", "--kv-cache-bytes", "16M", "--served-model-name", "tiny",
         "--api-key", "secret", "-t", "1", *options], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        found = re.search(r"listening on (http\S+)", line)
        if found:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, found.group(1)
    raise SystemExit("the server did not start")


def post(url, body):
    """The reply to a plain request; an error status raises."""
    headers = {"Authorization": "Bearer secret", "Content-Type": "application/json"}
    return urllib.request.urlopen(urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers), timeout=60)
