"""What the person sees on the terminal while something goes on."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(text: str) -> None:
    """Print to the terminal, beside what Copier prints."""
    print(text, file=sys.stderr, flush=True)


class Activity:
    """Something that goes on: its title on one line, the seconds passed, and the latest detail.

    On a terminal the line is redrawn; elsewhere (CI, a pipe) the title is printed once and the result once, so that
    logs stay readable.
    """

    def __init__(self, title: str) -> None:
        """Remember the title and start the clock."""
        self.title = title
        self.started = time.monotonic()
        self._detail = ""
        self._live = sys.stderr.isatty()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.started

    def detail(self, text: str) -> None:
        """Show `text` behind the title (terminal only)."""
        self._detail = " ".join(text.split())[:60]

    def _draw(self) -> None:
        while not self._stop.wait(0.5):
            line = f"  · {self.title} … {self.seconds:.0f}s {self._detail}"
            width = shutil.get_terminal_size().columns - 1  # a line that wraps cannot be drawn over
            sys.stderr.write(f"\r\033[K{line[:width]}")
            sys.stderr.flush()

    def begin(self) -> None:
        """Print the title (and start redrawing it on a terminal)."""
        if self._live:
            self._thread = threading.Thread(target=self._draw, daemon=True)
            self._thread.start()
        else:
            sys.stderr.write(f"  · {self.title} …\n")
            sys.stderr.flush()

    def end(self, mark: str, note: str) -> None:
        """Stop redrawing and print the result line."""
        self._stop.set()
        if self._thread:
            self._thread.join()
            sys.stderr.write("\r\033[K")
        sys.stderr.write(f"  {mark} {self.title} ({self.seconds:.1f}s){': ' + note if note else ''}\n")
        sys.stderr.flush()


@contextmanager
def activity(title: str) -> Iterator[Activity]:
    """Show `title` while the body runs, then whether it went well and how many seconds it took."""
    running = Activity(title)
    running.begin()
    try:
        yield running
    except BaseException:
        running.end("✗", "")
        raise
    running.end("✓", "")
