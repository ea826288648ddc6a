"""What became of one image, as lines for a person and as one JSON object for a program."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from packer_publisher.cli.program import FAILED, exit_status
from packer_publisher.cli.tables import columns, facts, safe
from packer_publisher.labels import GONE, gone_from
from packer_publisher.placement import is_ours
from packer_publisher.report import Outcome
from packer_publisher.snapshot import BuildStatus
from packer_publisher.steps import (
    AssignChannel,
    CreateBucket,
    CreateBuild,
    CreateChannel,
    CreateVersion,
    FillBuild,
    SetLabels,
    SetStatus,
    Write,
)

if TYPE_CHECKING:
    from packer_publisher.image import Artifact, Image
    from packer_publisher.policy import Policy
    from packer_publisher.publish import Publication
    from packer_publisher.snapshot import Version

FAILURES = frozenset({Outcome.REJECTED, Outcome.CONFLICT, Outcome.LATE, Outcome.DEFERRED})
"""Outcomes after which the image is not in its version: exit status 1, where no error says another."""

COLOURS = {
    Outcome.REGISTERED: "green",
    Outcome.COMPLETED: "green",
    Outcome.UNCHANGED: "green",
    Outcome.WAITING: "yellow",
    Outcome.SUPERSEDED: "yellow",
    Outcome.REVOKED: "yellow",
    Outcome.IGNORED: "cyan",
} | dict.fromkeys(FAILURES, "red")


def status_of(publication: Publication) -> int:
    """Return the exit status: 0, or 1, 4 or 5 for an image that did not come into its version."""
    if publication.error is not None:
        return exit_status(publication.error)
    return FAILED if publication.report.outcome in FAILURES else 0


def complaint(publication: Publication, policy: Policy) -> tuple[str, str]:
    """Return what happened to an image that did not come into its version, and what to do about it.

    Where a report has no remedy because a function could do nothing, a person at a terminal still can.
    """
    report, image = publication.report, publication.image
    reason = report.reason or f"the outcome is {report.outcome}"
    what = reason if report.image in reason else f"{safe(report.image)}: {reason}"
    remedy = report.remedy
    if not remedy and image is None and publication.error is None:
        remedy = "look at its id, its region or project, and the account that your credentials belong to"
    if not remedy and image is not None and not is_ours(image.tags, policy):
        bucket, fingerprint = (policy.contract.keys[name][0] for name in ("bucket", "fingerprint"))
        remedy = f"give --bucket and --fingerprint, or set the tags {bucket} and {fingerprint} on the image"
    return what, remedy


def headline(publication: Publication, *, predicted: bool) -> str:
    """Return the first line: the outcome and the image as a person would name it."""
    report = publication.report
    where = publication.image.at if publication.image is not None else report.image
    outcome = click.style(str(report.outcome), fg=COLOURS[report.outcome], bold=True)
    return f"{'would be ' if predicted and publication.steps else ''}{outcome}  {safe(where)}"


def report_lines(publication: Publication, *, predicted: bool, steps: bool = True, reason: bool = True) -> list[str]:
    """Return where the image belongs, what was written, why, and what to do.

    Without ``steps`` the writes are left out (they stand elsewhere), without ``reason`` why and what to do.
    """
    report = publication.report
    return facts(
        [
            ("bucket", safe(report.bucket)),
            ("version", version_name(publication)),
            ("component type", safe(report.component_type)),
            ("parent", _parent(publication, predicted=predicted)),
            ("would write" if predicted else "wrote", [sentence(step) for step in publication.steps if steps]),
            ("waits for", " ".join(safe(name) for name in report.waits_for)),
            ("why", report.reason if reason else ""),
            ("what to do", report.remedy if reason else ""),
            ("note", list(report.notes)),
        ]
    )


def _parent(publication: Publication, *, predicted: bool) -> str:
    """Return the version that the image was built from; a prediction also says that the registry knows none.

    "" where that was not looked up, or a note tells why there is none.
    """
    found, image, placement = publication.parent, publication.image, publication.placement
    if not predicted or found is None or image is None or placement is None or found.note or found.version_id:
        return safe(publication.report.parent)
    return f"nothing in this HCP project lists {safe(placement.source_image or image.source or '')}"


def version_name(publication: Publication) -> str:
    """Return the version as ``fingerprint (v3, complete)``, "" where it is not known."""
    report, version = publication.report, publication.version
    if not report.fingerprint:
        return ""
    if version is None:
        return safe(report.fingerprint)
    if not version.exists:
        return f"{safe(report.fingerprint)} (does not exist)"
    return f"{safe(report.fingerprint)} ({safe(version.name)}, {'complete' if version.complete else 'open'})"


def sentence(step: Write) -> str:
    """Return a write in words."""
    match step:
        case CreateBucket():
            return f"create bucket {safe(step.bucket)}"
        case CreateVersion():
            return f"create version {safe(step.fingerprint)}, template type {step.template_type}"
        case CreateBuild():
            return f"create build {safe(step.component_type)}, still empty"
        case FillBuild():
            artifacts = ", ".join(map(place_and_id, step.artifacts))
            return f"fill build {safe(step.component_type)} ({word(step.status)}): {artifacts}"
        case SetStatus():
            return f"set build {safe(step.component_type)} to {word(step.status)}"
        case SetLabels() if GONE in dict(step.labels):
            return f"bring up to date which images of build {safe(step.component_type)} are gone"
        case SetLabels():
            return f"write into build {safe(step.component_type)} what its image declares now"
        case CreateChannel():
            return f"create channel {safe(step.channel)}, pointing to this version"
        case AssignChannel():
            return f"point channel {safe(step.channel)} to this version"


def place_and_id(artifact: Artifact) -> str:
    """Return an artifact as one word, so that no line break parts its region from its id: ``eu-west-1:ami-...``."""
    return ":".join(filter(None, (safe(artifact.region), safe(artifact.external_identifier))))


def word(status: BuildStatus) -> str:
    """Return a build's status as people call it: DONE, UNSET, ..."""
    return status.value.removeprefix("BUILD_")


def build_lines(version: Version) -> list[str]:
    """Return the builds of a version, one line per artifact; identifiers stand last, so that none is cut."""
    rows = [("COMPONENT TYPE", "PLATFORM", "STATUS", "REGION", "ARTIFACT")]
    for build in sorted(version.builds, key=lambda build: (build.platform, build.component_type)):
        name, status = safe(build.component_type), word(build.status)
        status += ", gone" if gone_from(build) else ""
        rows.extend(
            (name, safe(build.platform), status, safe(artifact.region), safe(artifact.external_identifier))
            for artifact in sorted(build.artifacts)
        )
        if not build.artifacts:
            rows.append((name, safe(build.platform) or "-", status, "-", "(empty)"))
    return columns(rows) if len(rows) > 1 else ["  (no build)"]


def as_json(publication: Publication, *, dry_run: bool) -> dict[str, Any]:
    """Return everything as plain values. The keys are stable; a value that does not apply is null, "" or []."""
    report, image, version = publication.report, publication.image, publication.version
    return {
        "outcome": str(report.outcome),
        "image": _image_json(image) if image is not None else {"id": report.image, "platform": report.platform},
        "bucket": report.bucket,
        "fingerprint": report.fingerprint,
        "component_type": report.component_type,
        "version": None if version is None else _version_json(version),
        "parent": _parent_json(publication),
        "dry_run": dry_run,
        "steps": [_step_json(step) for step in publication.steps],
        "waits_for": list(report.waits_for),
        "reason": report.reason,
        "remedy": report.remedy,
        "notes": list(report.notes),
        "calls": report.calls,
    }


def _image_json(image: Image) -> dict[str, Any]:
    return {
        "id": image.ref.identifier,
        "platform": str(image.platform),
        "owner": image.owner,
        "name": image.name,
        "state": str(image.state),
        "created_at": image.created_at.isoformat(),
        "artifacts": [{"region": a.region, "external_identifier": a.external_identifier} for a in image.artifacts],
        "architecture": image.architecture,
        "whole": image.whole,
        "lacks": image.lacks,
    }


def _parent_json(publication: Publication) -> dict[str, Any] | None:
    found = publication.parent
    if found is None or not publication.report.parent:
        return None
    return {
        "bucket": found.bucket,
        "fingerprint": found.fingerprint,
        "version": found.version_name,
        "version_id": found.version_id,
        "channel": found.channel,
        "channel_id": found.channel_id,
    }


def _version_json(version: Version) -> dict[str, Any]:
    return {
        "exists": version.exists,
        "name": version.name,
        "complete": version.complete,
        "builds": [
            {
                "component_type": build.component_type,
                "platform": build.platform,
                "status": word(build.status),
                "artifacts": [
                    {"region": a.region, "external_identifier": a.external_identifier} for a in sorted(build.artifacts)
                ],
            }
            for build in sorted(version.builds, key=lambda build: (build.platform, build.component_type))
        ],
    }


def _step_json(step: Write) -> dict[str, Any]:
    kind = re.sub(r"(?<!^)(?=[A-Z])", "_", type(step).__name__).lower()
    found: dict[str, Any] = {"step": kind, "text": sentence(step), "bucket": step.bucket}
    if isinstance(step, CreateVersion):
        found |= {"fingerprint": step.fingerprint, "template_type": step.template_type}
    if isinstance(step, CreateBuild | FillBuild | SetStatus):
        found |= {"fingerprint": step.fingerprint, "component_type": step.component_type}
    if isinstance(step, FillBuild | SetStatus):
        found["status"] = word(step.status)
    if isinstance(step, FillBuild):
        found["platform"] = step.platform
        found["source_external_identifier"] = step.source_external_identifier
        found["metadata"] = None if step.metadata is None else step.metadata.document
        found["artifacts"] = [
            {"region": a.region, "external_identifier": a.external_identifier} for a in step.artifacts
        ]
    return found
