"""``mapping``: what a mapping says, checked before it is used; and how an image fares with it, for ``explain``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from packer_publisher.cli.tables import columns, facts, safe
from packer_publisher.errors import Rejected
from packer_publisher.mapping import Attempt, ImageMapping, Mapped, Rule, attempts, place_by_mapping
from packer_publisher.mapping_file import read_mapping
from packer_publisher.mapping_file import schema as schema_text
from packer_publisher.mapping_versions import Window
from packer_publisher.placement import is_ours

if TYPE_CHECKING:
    from packer_publisher.image import Image
    from packer_publisher.placement import Placement
    from packer_publisher.policy import Policy

FILE = click.argument("file", type=click.Path(path_type=Path))
NOT_ASKED = "not asked: the image carries contract tags, and these alone place it"


@click.group()
def mapping() -> None:
    """Check a mapping: rules that place images without tags."""


@mapping.command()
@FILE
def validate(file: Path) -> None:
    """Check FILE (YAML, JSON or CSV) and show its rules.

    Exit status 2 and every problem with its line and what would be right, where something is wrong. What the rules
    make of an image, explain IMAGE --mapping FILE says.
    """
    found = read_mapping(file)
    if found.listed:
        buckets = {rule.target.bucket.text for rule in found.listed.values() if rule.target is not None}
        images = _counted(len(found.listed), "image")
        click.echo(f"{found.source} is fine: {images} in {_counted(len(buckets), 'bucket')}.")
        return
    click.echo(f"{found.source} is fine: {_counted(len(found.rules), 'rule')}.")
    rows = [("RULE", "LINE", "BUCKET", "FINGERPRINT", "NAME")]
    click.echo("\n".join(columns([*rows, *map(_row, found.rules)])))


@mapping.command()
def schema() -> None:
    """Print the JSON Schema of the rules, for editors and other checkers."""
    click.echo(schema_text(), nl=False)


@dataclass(frozen=True, slots=True)
class Consultation:
    """A mapping that a person asks about images, at one moment."""

    mapping: ImageMapping
    now: datetime

    def place(self, image: Image, policy: Policy) -> Placement | None:
        """Return where the mapping puts an image; raises Rejected as it does."""
        mapped = place_by_mapping(image, self.mapping, policy, self.now)
        return None if mapped is None else mapped.placement

    def lines(self, image: Image, policy: Policy) -> Iterator[str]:
        """Yield which rule took an image and what it matched, or for each rule why not."""
        yield f"Mapping {safe(self.mapping.source)}"
        if is_ours(image.tags, policy):
            yield f"  {NOT_ASKED}"
            return
        tried = attempts(image, self.mapping, self.now)
        if not tried:
            yield f"  lists {_counted(len(self.mapping.listed), 'image')}, and not this one"
            return
        groups = [f"{name}={safe(value)}" for name, value in tried[-1].groups.items() if value is not None]
        mapped = self._mapped(image, policy)
        derived = ""
        if mapped is not None and mapped.derived_from:
            derived = f"bucket {mapped.placement.bucket} and {safe(mapped.derived_from)}"
        told = [(attempt.rule.title, _fate(attempt)) for attempt in tried]
        yield from facts(
            [
                *told,
                ("groups", [" ".join(groups)] if groups else []),
                ("fingerprint from", [derived] if derived else []),
            ]
        )

    def as_json(self, image: Image, policy: Policy) -> dict[str, Any]:
        """Return the same as plain values: ``rule`` is null where none took the image."""
        tried = () if is_ours(image.tags, policy) else attempts(image, self.mapping, self.now)
        mapped = self._mapped(image, policy)
        took = next((attempt for attempt in tried if attempt.took), None)
        return {
            "file": self.mapping.source,
            "rule": None if took is None else _rule_json(took.rule),
            "groups": {} if took is None else dict(took.groups),
            "fingerprint_from": mapped.derived_from if mapped is not None else "",
            "not_taken": [_rule_json(a.rule) | {"reasons": list(a.reasons)} for a in tried if not a.took],
        }

    def _mapped(self, image: Image, policy: Policy) -> Mapped | None:
        try:
            return place_by_mapping(image, self.mapping, policy, self.now)
        except Rejected:
            return None  # the verdict tells it


def _fate(attempt: Attempt) -> list[str]:
    if not attempt.took:
        return list(attempt.reasons)
    return ["takes it" if attempt.rule.target is not None else "takes it and leaves it out (ignore)"]


def _rule_json(rule: Rule) -> dict[str, Any]:
    return {"number": rule.number or None, "name": rule.name, "line": rule.line, "ignore": rule.target is None}


def _row(rule: Rule) -> tuple[str, str, str, str, str]:
    line = str(rule.line or "-")
    if rule.target is None:
        return (str(rule.number), line, "(ignore)", "-", safe(rule.name) or "-")
    target = rule.target
    by = str(target.group) if isinstance(target.group, Window) else target.group.text
    fingerprint = target.fingerprint.text if target.fingerprint is not None else f"by {by}"
    return (str(rule.number), line, safe(target.bucket.text), safe(fingerprint), safe(rule.name) or "-")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
