"""``explain IMAGE``: where an image belongs and why, what the plan says and what is missing; nothing is written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from packer_publisher.cli.invocation import Invocation, image_options
from packer_publisher.cli.program import Failure
from packer_publisher.cli.result import (
    as_json,
    build_lines,
    complaint,
    headline,
    place_and_id,
    report_lines,
    sentence,
    status_of,
)
from packer_publisher.cli.tables import facts, safe
from packer_publisher.durations import format_duration
from packer_publisher.policy import LABEL_PREFIX, Policy
from packer_publisher.provenance import read_metadata

if TYPE_CHECKING:
    from packer_publisher.cli.mapping import Consultation
    from packer_publisher.image import Image
    from packer_publisher.placement import Placement
    from packer_publisher.publish import Publication


@click.command()
@image_options
@click.option(
    "--mapping", metavar="FILE", type=click.Path(path_type=Path), help="Mapping that places images without tags."
)
def explain(mapping: Path | None, **options: Any) -> None:
    """Say where IMAGE belongs and why, what would be written and what is missing.

    Nothing is written, neither to HCP Packer nor to a cloud. IMAGE and the options are those of publish. With
    --mapping it says, too, which rule takes the image, or of each rule why it does not.
    """
    invocation = Invocation(**options)
    consultation = _consultation(mapping, invocation)
    publication, policy = invocation.run(
        dry_run=True, untagged=consultation.place if consultation is not None else None
    )
    status = status_of(publication)
    if invocation.as_json:
        found = as_json(publication, dry_run=True)
        found["tags"] = _tags(publication.image, policy)
        found["rules"] = dict(_rules(publication.placement, policy))
        if consultation is not None and publication.image is not None:
            found["mapping"] = consultation.as_json(publication.image, policy)
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo("\n".join(_lines(publication, policy, consultation)))
    if status:
        raise Failure(*complaint(publication, policy), status)


def _consultation(mapping: Path | None, invocation: Invocation) -> Consultation | None:
    """Return the mapping to ask, None where none is given. Raises ConfigurationError for one that is broken."""
    if mapping is None:
        return None
    said = {"--bucket": invocation.bucket, "--fingerprint": invocation.fingerprint}
    said |= {"--component-type": invocation.component_type, "--expects": " ".join(invocation.expects)}
    for option, value in said.items():
        if value:
            raise click.UsageError(f"{option} and --mapping both say where the image belongs; leave out one of them")
    from packer_publisher.cli.mapping import Consultation
    from packer_publisher.mapping_file import read_mapping

    return Consultation(read_mapping(mapping), datetime.now(UTC))


def _lines(publication: Publication, policy: Policy, consultation: Consultation | None) -> Iterator[str]:
    yield headline(publication, predicted=True)
    image = publication.image
    if image is not None:
        yield from facts(_image(image))
        yield from ("", "Tags read")
        tags = _tags(image, policy)
        yield from facts((key, safe(value)) for key, value in tags.items()) or ["  (none of the contract)"]
        if consultation is not None:
            yield ""
            yield from consultation.lines(image, policy)
    if publication.placement is not None:
        yield from ("", "Rules applied")
        yield from facts((name, value) for name, value in _rules(publication.placement, policy))
    if publication.version is not None:
        yield from ("", "Plan")
        steps = [(f"{number}.", sentence(step)) for number, step in enumerate(publication.steps, 1)]
        yield from facts(steps) or ["  nothing to write"]
        yield from ("", "Builds after the plan" if steps else "Builds")
        yield from build_lines(publication.version)
    yield from ("", "Verdict")
    yield from report_lines(publication, predicted=True, steps=False, reason=not status_of(publication))


def _image(image: Image) -> list[tuple[str, str | list[str]]]:
    whole = {True: "yes", False: f"no: {image.lacks or 'a region is missing'}", None: "not looked at"}[image.whole]
    return [
        ("name", safe(image.name)),
        ("state", str(image.state)),
        ("created", f"{image.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"),
        ("architecture", image.architecture or "not known"),
        ("source", safe(image.source or "")),
        (
            "artifacts",
            [place_and_id(artifact) for artifact in image.artifacts],
        ),
        ("whole", whole),
    ]


def _tags(image: Image | None, policy: Policy) -> dict[str, str]:
    """Return the tags that the contract reads, in its order; Azure compares tag names without case, so this does."""
    tags: Mapping[str, str] = image.tags if image is not None else {}
    keys = [key.casefold() for names in policy.contract.keys.values() for key in names]
    read = {key: value for wanted in keys for key, value in tags.items() if key.casefold() == wanted}
    labels = {
        key: value
        for key, value in sorted(tags.items())
        if key.startswith(LABEL_PREFIX) or key in policy.contract.label_keys
    }
    return {**read, **labels}


def _rules(placement: Placement | None, policy: Policy) -> list[tuple[str, str]]:
    """Return what the configuration made of the tags, each rule in one line."""
    if placement is None:
        return []
    rules = placement.policy
    pattern = next(
        (r.pattern for r in policy.rules if fnmatchcase(placement.bucket.casefold(), r.pattern.casefold())), ""
    )
    quiet = format_duration(rules.quiet)
    expects = " ".join(placement.expects) or f"nothing declared: finished once nothing was added for {quiet}"
    return [
        ("bucket", f"{placement.bucket}, allowed by buckets.{pattern}"),
        ("HCP project", rules.project or "the default one"),
        ("fingerprint", f"{placement.fingerprint} (case: {policy.contract.fingerprint_case})"),
        ("component type", placement.component_type),
        ("expects", expects),
        ("regions", " ".join(placement.regions)),
        ("region", placement.region),
        ("source image", safe(placement.source_image)),
        ("channels", " ".join(placement.channels)),
        ("metadata", _metadata(placement)),
        ("build labels", " ".join(f"{key}={safe(value)}" for key, value in placement.labels)),
        ("missing bucket", "is created" if rules.create_bucket else "is not created (create_buckets)"),
        ("template type", rules.template_type),
    ]


def _metadata(placement: Placement) -> str:
    """Return what the build's metadata say, in words."""
    found = read_metadata(placement.labels)
    if found is None:
        return ""
    said = [
        f"git commit {found.commit}" if found.commit else "",
        f"{found.ci} ({', '.join(safe(value) for _, value in found.ci_details)})" if found.ci else "",
        f"Packer {found.packer_version}" if found.packer_version else "",
    ]
    return ", ".join(filter(None, said))
