"""Our own part of an archive: the entry point's files, and the package without what no function imports."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from infra.package.artefact import Artefact

PACKAGE = "packer_publisher"


def copy_sources(root: Path, artefact: Artefact, folder: Path) -> None:
    """Copy the entry point and the modules of a checkout into the folder of an archive."""
    for name in artefact.entry:
        shutil.copyfile(root / "functions" / artefact.cloud / name, folder / name)
    for module in kept_modules(root, artefact.left_out):
        target = folder / PACKAGE / module
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / "shared" / PACKAGE / module, target)


def kept_modules(root: Path, left_out: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files of the package's modules, in order, but for those that are left out.

    A new module is therefore in every archive until somebody leaves it out.
    """
    package = root / "shared" / PACKAGE
    for file in sorted(package.rglob("*.py")):
        path = file.relative_to(package)
        if not is_left_out(".".join(path.with_suffix("").parts), left_out):
            yield path


def is_left_out(module: str, left_out: tuple[str, ...]) -> bool:
    """Return whether a module (its name within the package) is one of those left out, or lies below one."""
    parts = module.split(".")
    return any(
        fnmatchcase(".".join(parts[:length]), pattern) for length in range(1, len(parts) + 1) for pattern in left_out
    )
