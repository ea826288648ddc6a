"""Where the archives are, and whether they are those of this checkout."""

from __future__ import annotations

import platform
import subprocess
import sys
import zipfile
from pathlib import Path

from infra.package.artefact import ARTEFACTS
from infra.package.sources import PACKAGE, kept_modules

CLOUDS = tuple(ARTEFACTS)


class MissingArchive(Exception):
    """There is no archive, or an old one; the message says what to do."""


def find_archive(root: Path, cloud: str) -> Path:
    """Return the archive of a cloud's function. Raises MissingArchive where `make package` has not built this one."""
    archive = root / "build" / f"{cloud}.zip"
    if not archive.is_file():
        raise MissingArchive(f"{archive} is not there: run `make package` first")
    if changed := changed_since(root, cloud, archive):
        raise MissingArchive(f"{archive} was built before {changed[0]} was changed: run `make package` again")
    return archive


def changed_since(root: Path, cloud: str, archive: Path) -> list[str]:
    """Return the names of our own files that an archive lacks, or holds otherwise than the checkout."""
    artefact = ARTEFACTS[cloud]
    wanted = {name: root / "functions" / cloud / name for name in artefact.entry}
    wanted |= {
        f"{PACKAGE}/{module.as_posix()}": root / "shared" / PACKAGE / module
        for module in kept_modules(root, artefact.left_out)
    }
    with zipfile.ZipFile(archive) as opened:
        there = set(opened.namelist())
        return [name for name, file in wanted.items() if name not in there or opened.read(name) != file.read_bytes()]


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive as a platform does.

    Where it holds compiled modules that are for another machine than this one, they are replaced: the same versions,
    held to the same hashes. On Linux with x86_64 nothing is; the Lambda's archive holds none at all.
    """
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    here = f"{sys.platform}-{platform.machine()}"
    if any(folder.rglob("*.so")) and here != "linux-x86_64":
        fit(folder, archive.stem)


def fit(folder: Path, cloud: str) -> None:
    """Install a function's dependencies for this machine over those of its archive."""
    libraries, requirements = folder / ARTEFACTS[cloud].libraries, folder / "requirements.txt"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--upgrade"]
    subprocess.run([*command, "--target", str(libraries), "-r", str(requirements)], check=True)


def main(root: Path) -> int:
    """Say on stderr which archive is missing or old; return 2 then: no worker of pytest's can end them all."""
    try:
        for cloud in CLOUDS:
            find_archive(root, cloud)
    except MissingArchive as problem:
        sys.stderr.write(f"make test-deploy: {problem}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
