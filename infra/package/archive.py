"""Zip files that depend on nothing but what is in them: no times, no owners, no order of a file system."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

THEN = (1980, 1, 1, 0, 0, 0)  # the first day that a zip file can name
UNIX = 3
MODE = 0o100644 << 16


def write_archive(folder: Path, target: Path) -> None:
    """Write all files below a folder into a zip file, in the order of their names."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, file in sorted((file.relative_to(folder).as_posix(), file) for file in folder.rglob("*")):
            if file.is_file():
                member = zipfile.ZipInfo(name, THEN)
                member.create_system = UNIX
                member.external_attr = MODE
                member.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(member, file.read_bytes(), compresslevel=9)


def digest(file: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def digest_of_contents(file: Path) -> str:
    """Return a SHA-256 over names and contents: the same where only the compression differs, as between zlibs."""
    found = hashlib.sha256()
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            found.update(f"{member.filename}\0{hashlib.sha256(archive.read(member)).hexdigest()}\n".encode())
    return found.hexdigest()
