#!/usr/bin/env python3
"""Peak memory from start to the first tokens: the packed weights replace the mapped file as they are made, so that the process never
holds much more than one copy of them.

Usage: peak_memory_test.py MILLRACE"""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

MILLRACE = sys.argv.pop(1)
EXTRA_BYTES = 256 << 20  # KV cache, workspace, tokenizer, the program itself


class PeakMemory(unittest.TestCase):
    def test_of_a_0_6b_model_is_the_file_and_a_quarter_of_a_gigabyte(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.gguf"
            subprocess.run([MILLRACE, "synth", "qwen3-0.6b", "Q4_0", str(path)], check=True, capture_output=True)
            limit = path.stat().st_size * 1.1 + EXTRA_BYTES
            process = subprocess.Popen([MILLRACE, "run", str(path), "--prompt", "one two three", "--max-tokens", "4"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            with process.stderr:
                error = process.stderr.read().decode()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(process.returncode, 0, error[-400:])
            peak = usage.ru_maxrss * 1024
            self.assertGreater(peak, path.stat().st_size * 0.5, "the weights were not read")
            self.assertLessEqual(peak, limit, f"{peak / 2**20:.0f} MiB for a file of {path.stat().st_size / 2**20:.0f} MiB")


if __name__ == "__main__":
    unittest.main()
