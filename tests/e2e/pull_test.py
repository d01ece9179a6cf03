#!/usr/bin/env python3
"""`millrace pull` against a small hub on loopback: layout, types, resumption, digests, tokens. Usage: pull_test.py MILLRACE"""

import hashlib
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import unittest

MILLRACE = sys.argv.pop(1)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Hub(http.server.BaseHTTPRequestHandler):
    files = {}       # name -> bytes
    lies = {}        # name -> bytes sent instead
    cut_once = set()  # names whose first answer breaks off half way
    ranges = []      # Range headers seen
    token = None

    def log_message(self, *arguments):
        pass

    def answer(self, code, body=b"", length=None, content_range=None):
        self.send_response(code)
        if content_range:
            self.send_header("Content-Range", content_range)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.token and self.headers.get("Authorization") != f"Bearer {self.token}":
            return self.answer(401)
        path = self.path.split("?")[0]
        if path == "/api/models/acme/rocket/revision/main":
            siblings = [{"rfilename": n, "size": len(d), "blobId": hashlib.sha1(b"blob %d\0" % len(d) + d).hexdigest(),
                         **({"lfs": {"sha256": sha256(d), "size": len(d)}} if n.endswith((".gguf", ".safetensors")) else {})}
                        for n, d in self.files.items()]
            return self.answer(200, json.dumps({"sha": COMMIT, "siblings": siblings}).encode())
        if path == "/api/v1/models/acme/rocket/repo/files":
            files = [{"Path": n, "Size": len(d), "Sha256": sha256(d), "Type": "blob"} for n, d in self.files.items()]
            return self.answer(200, json.dumps({"Data": {"Files": files}}).encode())
        for prefix in (f"/acme/rocket/resolve/{COMMIT}/", "/models/acme/rocket/resolve/master/"):
            name = path.removeprefix(prefix)
            if path.startswith(prefix) and name in self.files:
                return self.send_file(name)
        self.answer(404)

    def send_file(self, name):
        data = self.lies.get(name, self.files[name])
        asked = self.headers.get("Range")
        if asked:
            Hub.ranges.append(asked)
            start, size = int(asked.removeprefix("bytes=").rstrip("-")), len(data)
            return self.answer(206, data[start:], content_range=f"bytes {start}-{size - 1}/{size}")
        if name in self.cut_once:
            Hub.cut_once.discard(name)
            self.answer(200, data[: len(data) // 3], length=len(data))
            return self.connection.close()
        self.answer(200, data)


class Pull(unittest.TestCase):
    def setUp(self):
        Hub.files = {"rocket-Q4_K_M.gguf": os.urandom(300_000), "rocket-Q8_0.gguf": os.urandom(500), "README.md": b"hello"}
        Hub.lies, Hub.cut_once, Hub.ranges, Hub.token = {}, set(), [], None
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.home = tempfile.TemporaryDirectory()
        url = f"http://127.0.0.1:{self.server.server_port}"
        self.environment = {"HOME": self.home.name, "HF_HOME": f"{self.home.name}/hf", "HF_ENDPOINT": url,
                            "MODELSCOPE_ENDPOINT": url, "PATH": os.environ["PATH"], "no_proxy": "127.0.0.1"}

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()
        self.home.cleanup()

    def run_cli(self, *arguments):
        return subprocess.run([MILLRACE, *arguments], capture_output=True, text=True, timeout=60, env=self.environment)

    def pulled(self, *arguments):
        result = self.run_cli("pull", *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return pathlib.Path(result.stdout.strip())

    def test_the_default_type_in_the_layout_of_huggingface_hub(self):
        path = self.pulled("acme/rocket")
        data = Hub.files["rocket-Q4_K_M.gguf"]
        root = pathlib.Path(self.environment["HF_HOME"], "hub", "models--acme--rocket")
        self.assertEqual(path, root / "snapshots" / COMMIT / "rocket-Q4_K_M.gguf")
        self.assertEqual(path.read_bytes(), data)
        self.assertEqual(path.resolve(), (root / "blobs" / sha256(data)).resolve())
        self.assertEqual((root / "refs" / "main").read_text(), COMMIT)
        self.assertFalse((root / "snapshots" / COMMIT / "rocket-Q8_0.gguf").exists())
        self.assertIn("acme/rocket", self.run_cli("ls").stdout)

    def test_a_type_after_the_colon(self):
        self.assertEqual(self.pulled("acme/rocket:q8_0").name, "rocket-Q8_0.gguf")
        result = self.run_cli("pull", "acme/rocket:Q2_K")
        self.assertEqual(result.returncode, 1)
        self.assertIn("rocket-Q8_0.gguf", result.stderr)

    def test_a_broken_transfer_is_continued(self):
        Hub.cut_once = {"rocket-Q4_K_M.gguf"}
        self.assertEqual(self.pulled("acme/rocket").read_bytes(), Hub.files["rocket-Q4_K_M.gguf"])
        self.assertTrue(any(r.startswith("bytes=") and r != "bytes=0-" for r in Hub.ranges), Hub.ranges)

    def test_wrong_bytes_are_refused(self):
        Hub.lies = {"rocket-Q8_0.gguf": os.urandom(500)}
        result = self.run_cli("pull", "acme/rocket:Q8_0")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"sha256 [0-9a-f]{64}")
        self.assertEqual(self.run_cli("inspect", "acme/rocket:Q8_0").returncode, 1)

    def test_a_token_is_sent_when_there_is_one(self):
        Hub.token = "secret"
        self.assertIn("HF_TOKEN", self.run_cli("pull", "acme/rocket").stderr)
        self.environment["HF_TOKEN"] = "secret"
        self.pulled("acme/rocket")

    def test_a_safetensors_repository_becomes_a_folder(self):
        Hub.files = {"model.safetensors": os.urandom(1000), "config.json": b"{}", "tokenizer.json": b"{}", "photo.png": b"x"}
        folder = self.pulled("acme/rocket")
        self.assertEqual(sorted(p.name for p in folder.iterdir()), ["config.json", "model.safetensors", "tokenizer.json"])

    def test_model_scope(self):
        self.assertEqual(self.pulled("ms://acme/rocket").read_bytes(), Hub.files["rocket-Q4_K_M.gguf"])

    def test_names_that_are_none(self):
        for name in ("nothing", "a/../b", "acme/none"):
            self.assertEqual(self.run_cli("pull", name).returncode, 1, name)
        self.assertIn("millrace pull acme/rocket", self.run_cli("run", "acme/rocket", "-p", "x").stderr)

    def test_a_listing_may_not_climb_out(self):
        Hub.files = {"../evil-Q4_K_M.gguf": b"x"}
        self.assertIn("..", self.run_cli("pull", "acme/rocket").stderr)


if __name__ == "__main__":
    unittest.main()
