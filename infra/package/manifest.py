"""build/manifest.json: what was built, how large it is, and its hashes."""

from __future__ import annotations

import hashlib
import json
import platform
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from infra.package.archive import digest, digest_of_contents

BIGGEST = 20


def write_manifest(archives: Iterable[Path], templates: Iterable[Path], target: Path, version: str) -> None:
    """Write the manifest of what is released; nothing in it differs between two builds of the same input."""
    document = {
        "version": version,
        "python": platform.python_version(),
        "archives": {file.name: describe(file) for file in archives},
        "templates": {file.name: {"bytes": file.stat().st_size, "sha256": digest(file)} for file in templates},
    }
    target.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


def describe(file: Path) -> dict[str, Any]:
    """Return sizes and hashes of one archive, and of its biggest members."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        biggest = sorted(members, key=lambda member: (-member.compress_size, member.filename))[:BIGGEST]
        return {
            "bytes": file.stat().st_size,
            "sha256": digest(file),
            "sha256_of_contents": digest_of_contents(file),
            "members": len(members),
            "unpacked_bytes": sum(member.file_size for member in members),
            "biggest": [
                {
                    "name": member.filename,
                    "bytes": member.file_size,
                    "compressed_bytes": member.compress_size,
                    "sha256": hashlib.sha256(archive.read(member)).hexdigest(),
                }
                for member in biggest
            ],
        }
