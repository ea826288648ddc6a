"""What each archive is made of: entry point, platform of its wheels, place of its dependencies, what is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PYTHON = (3, 13)
"""The version of Python that all three functions run on; bytecode is valid for no other."""

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Artefact:
    """One function's archive.

    ``platforms`` are the wheel tags of the runtime, best first; none where the platform installs the dependencies
    itself. ``libraries`` is the folder for dependencies, ``deployed`` the folder that the platform unpacks to.
    ``entry`` are files of ``functions/<cloud>``, ``left_out`` module names of ours, with all that lies below them.
    ``templates`` are files of ``infra/<cloud>`` that are released with the archive: with it they are enough to deploy.
    """

    cloud: str
    entry: tuple[str, ...]
    deployed: str
    platforms: tuple[str, ...] = ()
    libraries: str = ""
    left_out: tuple[str, ...] = ()
    most_bytes: int | None = None
    templates: tuple[str, ...] = ()


FOR_PEOPLE = (
    "backfill", "cli", "doctor", "drift", "examiners", "finding", "linear_expressions", "local", "mapping", "mapping_*",
    "clouds.*_desk", "clouds.*_examined_*", "clouds.*_examiner", "clouds.*_handover", "clouds.aws_policies",
    "clouds.aws_probe",
)  # fmt: skip
"""What only commands use. `yaml_document` stays: without it nobody would say that a function reads no YAML."""


def _others(cloud: str) -> tuple[str, ...]:
    return tuple(
        name for other in ("aws", "azure", "gcp") if other != cloud for name in (f"clouds.{other}", f"clouds.{other}_*")
    )


ARTEFACTS: Mapping[str, Artefact] = {
    artefact.cloud: artefact
    for artefact in (
        Artefact(
            "aws",
            entry=("handler.py",),
            deployed="/var/task",
            # python3.13 on Lambda is Amazon Linux 2023, whose glibc is 2.34.
            platforms=("manylinux_2_34_aarch64", "manylinux_2_28_aarch64", "manylinux2014_aarch64"),
            left_out=(*FOR_PEOPLE, *_others("aws")),
            most_bytes=8 * MEGABYTE,
            templates=("template.json", "forwarder.yml", "forwarders.json"),
        ),
        Artefact(
            "azure",
            entry=("function_app.py", "host.json", "requirements.txt"),
            deployed="/home/site/wwwroot",
            # Flex Consumption has no arm64; its images are Debian 12 (glibc 2.36) or newer.
            platforms=("manylinux_2_34_x86_64", "manylinux_2_28_x86_64", "manylinux2014_x86_64"),
            libraries=".python_packages/lib/site-packages",
            left_out=(*FOR_PEOPLE, *_others("azure")),
        ),
        Artefact(
            "gcp",
            entry=("main.py", "requirements.txt"),
            deployed="/workspace",
            left_out=(*FOR_PEOPLE, *_others("gcp")),
        ),
    )
}
