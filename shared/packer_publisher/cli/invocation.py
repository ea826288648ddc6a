"""What ``publish`` and ``explain`` share: their options, and the call of the publisher."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from packer_publisher.cli.addresses import read_address
from packer_publisher.deadline import Deadline
from packer_publisher.document import VARIABLE
from packer_publisher.durations import EXAMPLES, parse_duration
from packer_publisher.errors import ConfigurationError, Rejected
from packer_publisher.tag_values import parse_bucket, parse_component_type, parse_expected, parse_fingerprint

if TYPE_CHECKING:
    from packer_publisher.image import Image
    from packer_publisher.placement import Override, Placement
    from packer_publisher.policy import Policy
    from packer_publisher.publish import Publication

F = TypeVar("F", bound=Callable[..., Any])


class DurationType(click.ParamType[float]):
    """A duration option such as ``2m``; the value is in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds of a duration that a person typed."""
        found = parse_duration(value)
        if found is None or not found:
            self.fail(f"{value!r} is no duration {EXAMPLES}", param, ctx)
        return found.total_seconds()


def refuse_while_off(environ: Mapping[str, str]) -> None:
    """Refuse a command that is about nothing but writing while HCP_PACKER_REGISTRY says that nothing is written.

    Raises ConfigurationError, also as Settings does.
    """
    from packer_publisher.settings import Settings

    if Settings.from_environment(environ).registry_off:
        raise ConfigurationError(
            "HCP_PACKER_REGISTRY is off: nothing would be written", remedy="unset it, or add --dry-run"
        )


OPTIONS = (
    click.argument("image"),
    click.option("--region", metavar="REGION", help="AWS: the region of the AMI."),
    click.option("--project", metavar="PROJECT", help="Google Cloud: the project of an image given by name."),
    click.option("--bucket", metavar="NAME", default="", help="Bucket, in place of the tag."),
    click.option("--fingerprint", metavar="TEXT", default="", help="Version fingerprint, in place of the tag."),
    click.option("--component-type", metavar="TYPE", default="", help="Component type, in place of the tag."),
    click.option(
        "--expects", metavar="NAMES", multiple=True,
        help="What the version consists of, besides what the tag says: aws azure gce, or component types.",
    ),
    click.option(
        "--config", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
        help=f"Configuration document, in place of {VARIABLE}.",
    ),
    click.option("--timeout", type=DurationType(), default="5m", show_default=True, help="Give up after this time."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout."),
)  # fmt: skip


def image_options(command: F) -> F:
    """Add the argument IMAGE and the options that name an image and stand in for its tags."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Invocation:
    """What a person asked for, as typed."""

    image: str
    region: str | None
    project: str | None
    bucket: str
    fingerprint: str
    component_type: str
    expects: tuple[str, ...]
    config: str | None
    timeout: float
    as_json: bool

    def run(
        self, *, dry_run: bool, untagged: Callable[[Image, Policy], Placement | None] | None = None
    ) -> tuple[Publication, Policy]:
        """Return what became of the image, and the policy it was judged by.

        ``untagged`` says where an image without contract tags belongs. Raises ConfigurationError for a bad address or
        configuration; other errors are in the publication.
        """
        from packer_publisher.runtime import open_publisher

        ref = read_address(self.image, region=self.region, project=self.project, environ=os.environ)
        override = self.override()
        publisher = open_publisher(ref.platform, self.environment(os.environ))
        policy = publisher.policy
        publication = publisher.publish(
            ref,
            Deadline.after(self.timeout),
            override=override,
            untagged=None if untagged is None else lambda image: untagged(image, policy),
            dry_run=dry_run,
        )
        return publication, policy

    def override(self) -> Override | None:
        """Return what the options say in place of tags, None where they say nothing."""
        from packer_publisher.placement import Override

        expects = tuple(name for text in self.expects for name in text.replace(",", " ").split())
        try:
            override = Override(
                bucket=parse_bucket("--bucket", self.bucket) if self.bucket else "",
                fingerprint=parse_fingerprint("--fingerprint", self.fingerprint, fold=False)
                if self.fingerprint
                else "",
                component_type=parse_component_type("--component-type", self.component_type)
                if self.component_type
                else "",
                expects=tuple(parse_expected("--expects", name) for name in expects),
            )
        except Rejected as error:
            raise ConfigurationError(str(error), remedy=error.remedy) from error
        return override if override != Override() else None

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment with the configuration that the options give.

        Without any configuration a bucket named on the command line is allowed, and that bucket alone: a person
        has written it out. Raises ConfigurationError where nothing says which buckets are allowed.
        """
        adapted = dict(environ)
        if self.config is not None:
            adapted[VARIABLE] = os.path.abspath(self.config)
        elif not adapted.get(VARIABLE, "").strip():
            if not self.bucket:
                remedy = f"name the bucket with --bucket, or give the configuration with --config or {VARIABLE}"
                raise ConfigurationError("nothing says which buckets are allowed", remedy=remedy)
            adapted[VARIABLE] = json.dumps({"buckets": {self.bucket: None}})
        return adapted
