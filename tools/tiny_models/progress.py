"""A progress bar on one terminal line, or a line a step where there is no terminal."""

import sys
import time


class Progress:
    def __init__(self, title: str, total: int, done: int = 0):
        self._title, self._total, self._done = title, total, done
        self._start, self._start_done = time.monotonic(), done

    def advance(self, note: str = "", steps: int = 1) -> None:
        self._done += steps
        elapsed = time.monotonic() - self._start
        rate = (self._done - self._start_done) / max(elapsed, 1e-9)
        left = (self._total - self._done) / max(rate, 1e-9)
        filled = int(30 * self._done / max(self._total, 1))
        bar = "#" * filled + "." * (30 - filled)
        line = f"{self._title} [{bar}] {self._done}/{self._total} {left / 60:.1f} min left {note}"
        end = "" if sys.stdout.isatty() and self._done < self._total else "\n"
        print(("\r" if sys.stdout.isatty() else "") + line, end=end, flush=True)
