"""``make package``: build/aws.zip, build/azure.zip, build/gcp.zip, AWS's templates, and build/manifest.json."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from infra.package.artefact import ARTEFACTS, MEGABYTE
from infra.package.build import build, clear
from infra.package.configured import as_json
from infra.package.refusal import Refused

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Build what the arguments ask for; return 2 where it is refused, after a sentence that says why."""
    parser = argparse.ArgumentParser(prog="make package", description=__doc__)
    parser.add_argument("clouds", nargs="*", help="the archives to build (default: all)")
    parser.add_argument("--config", default="", help="the configuration document to put beside the functions")
    parser.add_argument("--target", type=Path, default=ROOT / "build", help="the folder of the archives")
    asked = parser.parse_args()
    clouds = asked.clouds or list(ARTEFACTS)
    try:
        clear(asked.target, clouds)
        configuration = as_json(Path(asked.config)) if asked.config else None
        for archive in build(ROOT, asked.target, clouds, configuration):
            sys.stdout.write(f"{archive.name:10} {archive.stat().st_size / MEGABYTE:5.1f} MB\n")
    except Refused as problem:
        sys.stderr.write(f"make package: {problem}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
