"""A terminal that the command line runs on, as a person has one."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CTRL_C, CTRL_D = "\x03", "\x04"
_ROWS, _COLUMNS = 30, 80


@dataclass
class Terminal:
    """A terminal that the command runs on; everything is typed and read as a person does."""

    process: subprocess.Popen[bytes]
    master: int
    seen: str = ""

    def until(self, text: str, seconds: float = 60) -> None:
        """Read until a text is shown."""
        ended = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < ended, self.seen
            self._read(0.1)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.master, keys.encode())

    def end(self, seconds: float = 60) -> int:
        """Read to the end; return the exit status."""
        ended = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < ended, self.seen
            self._read(0.05)
        while self._read(0.05):
            pass
        return self.process.returncode

    def _read(self, seconds: float) -> bool:
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # Linux says so once nobody has the other side open
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)


@contextmanager
def on_terminal(words: tuple[str, ...], environ: Mapping[str, str], folder: Path) -> Iterator[Terminal]:
    """Run the command on a terminal of its own, by which Ctrl-C reaches it as a signal."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "packer_publisher.cli", *words], env={**environ, "TERM": "xterm"}, cwd=folder,
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        process.kill()
        process.wait()
        os.close(master)
