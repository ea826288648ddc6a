"""Settings: the environment of a function or a person, read and checked as a whole before anything starts.

``PUBLISHER_CONFIG`` holds or names the configuration document; the other variables speak for all buckets of
one deployment. A bucket's own entry in the document wins over a variable, a variable over the rest of the
document. A variable that is set but empty counts as unset: deployment tools cannot leave one out.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from packer_publisher.configuration import (
    NOTHING_ALLOWED,
    Configuration,
    read_azure_artifact,
    read_azure_gallery_regions,
    read_configuration,
    read_on_delete,
    read_quiet,
    read_settle,
)
from packer_publisher.credential_settings import VARIABLES as CREDENTIALS
from packer_publisher.credential_settings import read_credential_settings
from packer_publisher.document import VARIABLE, ConfigurationProblems, Problem, find_document
from packer_publisher.durations import format_duration
from packer_publisher.errors import ConfigurationError
from packer_publisher.policy import Policy
from packer_publisher.values import (
    Reader,
    Unreadable,
    boolean,
    choice,
    duration,
    nearest,
    read_expects,
    read_regions,
)

PREFIX = "PUBLISHER_"
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

FOR_BUCKETS: Mapping[str, tuple[str, Reader[Any]]] = {
    "PUBLISHER_EXPECTS": ("expects", read_expects),
    "PUBLISHER_REGIONS": ("regions", read_regions),
    "PUBLISHER_SETTLE": ("settle", read_settle),
    "PUBLISHER_QUIET": ("quiet", read_quiet),
    "PUBLISHER_CREATE_BUCKETS": ("create_buckets", boolean),
    "PUBLISHER_ON_DELETE": ("on_delete", read_on_delete),
    "PUBLISHER_AZURE_ARTIFACT": ("azure_artifact", read_azure_artifact),
    "PUBLISHER_AZURE_GALLERY_REGIONS": ("azure_gallery_regions", read_azure_gallery_regions),
}
"""Variables that stand for a key of the document."""

FOR_PROCESS: Mapping[str, tuple[str, Reader[Any]]] = {
    "PUBLISHER_LOG_LEVEL": ("log_level", lambda value: choice(*LOG_LEVELS)(value.upper())),
    "PUBLISHER_SWEEP_WINDOW": ("sweep_window", duration(timedelta(hours=1), timedelta(days=14))),
    "PUBLISHER_SWEEP_RATE": ("sweep_rate", duration(timedelta(minutes=1), timedelta(days=1))),
}
"""Variables that have no key in the document: they are about the process, not about buckets."""

INTERNAL = (
    "PUBLISHER_ARM_ENDPOINT",
    "PUBLISHER_COMPUTE_ENDPOINT",
    "PUBLISHER_POISON_TOPIC",
    "PUBLISHER_PROJECTS",
    "PUBLISHER_QUEUE",
    "PUBLISHER_QUEUE_AWS",
    "PUBLISHER_QUEUE_AZURE",
    "PUBLISHER_QUEUE_GCP",
    "PUBLISHER_SECRET_MANAGER_ENDPOINT",
    "PUBLISHER_STORAGE",
    "PUBLISHER_VAULT_ENDPOINT",
)
"""Set by deployments and stand-ins, read elsewhere; Azure adds ``PUBLISHER_STORAGE__queueServiceUri`` and such."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a process is told, typed and checked.

    ``registry_off`` is HashiCorp's ``HCP_PACKER_REGISTRY`` (``off`` in any case, or ``0``): nothing is written.
    ``source`` is where the document came from, for people; it takes no part in equality or :attr:`digest`.
    """

    policy: Policy
    log_level: str = "INFO"
    sweep_window: timedelta = timedelta(hours=48)
    sweep_rate: timedelta = timedelta(minutes=15)
    registry_off: bool = False
    source: str = field(default="", compare=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], root: Path | None = None) -> Settings:
        """Return the settings of an environment; a relative path in it is tried against ``root``, too.

        Raises one ConfigurationError that tells everything that is wrong with variables and document.
        """
        given = {key: value.strip() for key, value in environ.items() if key.startswith(PREFIX) and value.strip()}
        problems = _unknown(given)
        for_buckets = _read(given, FOR_BUCKETS, problems)
        for_process = _read(given, FOR_PROCESS, problems)
        problems.extend(_credentials(environ))
        configuration = _configuration(given.get(VARIABLE), root, problems)
        settings = cls(
            configuration.policy(for_buckets),
            registry_off=environ.get("HCP_PACKER_REGISTRY", "").strip().lower() in ("off", "0"),
            source=configuration.source,
            **for_process,
        )
        if settings.sweep_window < settings.sweep_rate:
            window, rate = format_duration(settings.sweep_window), format_duration(settings.sweep_rate)
            right = "a sweep must look back further than to the sweep before it, or images are lost"
            problems.append(
                Problem(
                    "the environment",
                    f"PUBLISHER_SWEEP_WINDOW is {window}, less than the rate of {rate}; {right}",
                )
            )
        if problems:
            raise ConfigurationProblems(problems)
        return settings

    @property
    def digest(self) -> str:
        """Return twelve hex digits, the same for the same settings: deployments compare them in their logs."""
        known = {name: value for name, value in dataclasses.asdict(self).items() if name != "source"}
        values = json.dumps(known, default=_plain, sort_keys=True)
        return hashlib.sha256(values.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def configuration_digest(environ: Mapping[str, str], root: Path | None = None) -> str:
    """Return the digest of the configuration document alone, which functions of all clouds may share.

    Raises ConfigurationError where it is wrong, or there is none.
    """
    return Settings.from_environment({VARIABLE: environ.get(VARIABLE, "")}, root).digest


def _plain(value: object) -> str:
    if isinstance(value, timedelta):
        return format_duration(value)
    raise TypeError(f"{type(value).__name__} has no place in a digest")


def _unknown(given: Mapping[str, str]) -> list[Problem]:
    known = {VARIABLE, *FOR_BUCKETS, *FOR_PROCESS, *CREDENTIALS}
    return [
        Problem("the environment", f"{key} is not known; {nearest(key, known)}")
        for key in sorted(given)
        if key not in known and key.partition("__")[0] not in INTERNAL
    ]


def _credentials(environ: Mapping[str, str]) -> list[Problem]:
    """Return what is wrong with how credentials are come by; they themselves are no setting, and in no digest."""
    try:
        read_credential_settings(environ)
    except ConfigurationError as error:
        return [Problem("the environment", f"{error} {error.remedy}")]
    return []


def _read(
    given: Mapping[str, str], variables: Mapping[str, tuple[str, Reader[Any]]], problems: list[Problem]
) -> dict[str, Any]:
    found = {}
    for variable, (key, reader) in variables.items():
        if variable in given:
            try:
                found[key] = reader(given[variable])
            except Unreadable as error:
                problems.append(Problem("the environment", f"{variable}{error.at} {error}"))
    return found


def _configuration(value: str | None, root: Path | None, problems: list[Problem]) -> Configuration:
    if value is None:
        problems.append(Problem(VARIABLE, f"is not set, so {NOTHING_ALLOWED}", key=False))
        return Configuration("")
    try:
        return read_configuration(find_document(value, root))
    except ConfigurationProblems as error:
        problems.extend(error.problems)
        return Configuration("")
