"""Bytecode that is valid where it is unpacked, whatever the clocks say.

Python compares a usual .pyc with the time of its source. Tools write all times of an archive as 1980, so that no .pyc
ever matches; the folder is read-only, and each cold start compiles everything anew. One with an unchecked hash is
taken as it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from infra.package.artefact import PYTHON
from infra.package.refusal import Refused


def compile_all(folder: Path, deployed: str) -> None:
    """Compile every module below a folder; tracebacks will name it as it lies in ``deployed``.

    Raises Refused where this is not the functions' Python, or a module cannot be compiled.
    """
    if sys.version_info[:2] != PYTHON:
        here, wanted = sys.version.split()[0], ".".join(map(str, PYTHON))
        raise Refused(f"the functions run on Python {wanted}, and bytecode of Python {here} would not be valid there")
    command = [sys.executable, "-m", "compileall", "-q", "-f", "-j", "1", "--invalidation-mode", "unchecked-hash"]
    done = subprocess.run(
        [*command, "-s", str(folder), "-p", deployed, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        # The order of a set's members, and so of a constant's bytes, must not be left to chance.
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    if done.returncode:
        raise Refused(f"not everything in {folder} could be compiled:\n{done.stdout}{done.stderr}")
