"""Building the archives: one folder each, filled, compiled and zipped."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from infra.package.archive import write_archive
from infra.package.artefact import ARTEFACTS, MEGABYTE, Artefact
from infra.package.botocore_data import trim
from infra.package.bytecode import compile_all
from infra.package.configured import NAME
from infra.package.dependencies import install
from infra.package.manifest import write_manifest
from infra.package.refusal import Refused
from infra.package.sources import copy_sources

from packer_publisher import __version__


def build(root: Path, target: Path, clouds: Iterable[str], configuration: str | None = None) -> list[Path]:
    """Build the archives of some clouds from a checkout into a folder, with a manifest; return the archives' paths.

    Templates that are released with an archive are copied beside it, and are in the manifest, too.

    The same input makes the same bytes, wherever and whenever: the checkout, the configuration document (as JSON) and
    the release of Python. Raises Refused.
    """
    target.mkdir(parents=True, exist_ok=True)
    archives: list[Path] = []
    templates: list[Path] = []
    for cloud in clouds:
        artefact = ARTEFACTS[cloud]
        archives.append(target / f"{cloud}.zip")
        with tempfile.TemporaryDirectory(prefix=f"{cloud}-") as folder:
            fill(root, artefact, Path(folder), configuration)
            write_archive(Path(folder), archives[-1])
        check_size(artefact, archives[-1])
        templates += [Path(shutil.copy(root / "infra" / cloud / name, target)) for name in artefact.templates]
    write_manifest(archives, templates, target / "manifest.json", __version__)
    return archives


def fill(root: Path, artefact: Artefact, folder: Path, configuration: str | None = None) -> None:
    """Put everything that an archive holds into its folder."""
    if artefact.platforms:
        libraries = folder / artefact.libraries
        libraries.mkdir(parents=True, exist_ok=True)
        install(root / "functions" / artefact.cloud / "requirements.txt", libraries, artefact.platforms)
        if artefact.cloud == "aws":
            trim(libraries)
    copy_sources(root, artefact, folder)
    if configuration is not None:
        (folder / NAME).write_text(configuration, "utf-8")
    compile_all(folder, artefact.deployed)


def check_size(artefact: Artefact, archive: Path) -> None:
    """Raise Refused, and leave no archive, where it is larger than it may be."""
    size = archive.stat().st_size
    if artefact.most_bytes is not None and size > artefact.most_bytes:
        archive.unlink()
        allowed = artefact.most_bytes / MEGABYTE
        raise Refused(f"{archive.name} would be {size / MEGABYTE:.1f} MB, and {allowed:.0f} MB are the most")


def clear(target: Path, clouds: Iterable[str]) -> None:
    """Remove what an earlier build left, so that a build that fails leaves nothing that looks like its work."""
    templates = (name for cloud in clouds for name in ARTEFACTS[cloud].templates)
    for name in (*(f"{cloud}.zip" for cloud in clouds), *templates, "manifest.json"):
        (target / name).unlink(missing_ok=True)
