"""Where images without contract tags belong: the rules of a mapping, tried in order, the first that fits takes it.

A mapping says bucket, fingerprint, component type and labels, and nothing else: everything that a tag could say goes
through :func:`packer_publisher.placement.place`, so a mapping can do no more than a tag. Which buckets are allowed,
what a version consists of and which channels it gets is the configuration's business.

Placing is a function of the one image, the mapping, the policy and the time: no image changes where another belongs,
so the order in which they are found cannot matter. The time counts only where a rule asks for an age.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from packer_publisher.errors import Rejected
from packer_publisher.image import Image
from packer_publisher.mapping_conditions import Condition, Groups
from packer_publisher.mapping_fields import addresses, value_of
from packer_publisher.mapping_templates import Absent, Template, literal
from packer_publisher.mapping_versions import (
    BY_NAME,
    Grouping,
    Window,
    fingerprint_of_text,
    fingerprint_of_window,
)
from packer_publisher.placement import Override, Placement, is_ours, place
from packer_publisher.policy import Policy
from packer_publisher.wording import shown

_NOTHING = literal("")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a rule puts an image. Without a ``fingerprint`` it is derived from the bucket and ``group``."""

    bucket: Template
    fingerprint: Template | None = None
    component_type: Template | None = None
    labels: tuple[tuple[str, Template], ...] = ()
    group: Grouping = BY_NAME


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, or one row of a list. Without a ``target`` it takes its images out: they belong nowhere.

    ``number`` counts from 1; 0 is a row of a list, which is told by its line alone.
    """

    source: str
    number: int
    line: int | None
    conditions: tuple[Condition, ...]
    target: Target | None
    name: str = ""

    @property
    def title(self) -> str:
        """Return the rule as a person would name it: ``rule 2 (gallery images)``, ``line 7``."""
        if not self.number:
            return f"line {self.line}"
        return f"rule {self.number}" + (f" ({shown(self.name)})" if self.name else "")

    @property
    def at(self) -> str:
        """Return the rule with its file and line: ``mapping.yaml, line 12, rule 2 (gallery images)``."""
        line = f"line {self.line}" if self.line is not None and self.number else ""
        return ", ".join(filter(None, (self.source, line, self.title)))


@dataclass(frozen=True, slots=True)
class ImageMapping:
    """A mapping in which nothing is wrong: rules in order, or a list of images by their addresses.

    ``digest`` is twelve hex digits, the same for the same text: a run that goes on compares them.
    """

    source: str
    rules: tuple[Rule, ...] = ()
    listed: Mapping[str, Rule] = field(default_factory=dict)
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Mapped:
    """An image's place, the rule that gave it and the groups that it matched.

    ``derived_from`` says what the fingerprint was derived from besides the bucket, "" where the rule gives it.
    """

    placement: Placement
    rule: Rule
    groups: Groups
    derived_from: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an image fared with one rule: ``reasons`` why it was not taken, none where it was."""

    rule: Rule
    groups: Groups = field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    @property
    def took(self) -> bool:
        """Return whether the rule took the image."""
        return not self.reasons


def place_by_mapping(image: Image, mapping: ImageMapping, policy: Policy, now: datetime) -> Mapped | None:
    """Return where a mapping puts an image, None where it belongs nowhere.

    None is an image that carries contract tags (its tags alone place it, in full or not at all), one that no rule
    takes, and one that is taken by a rule with ``ignore``. Raises Rejected, with the rule, its file and line, where
    the image is taken and its rule's bucket, fingerprint, component type or labels break a rule of the contract.
    """
    if is_ours(image.tags, policy):
        return None
    for rule in _candidates(image, mapping):
        groups = _groups(rule, image, now)
        if groups is not None:
            return _mapped(image, rule, groups, policy)
    return None


def placer(mapping: ImageMapping, policy: Policy, now: datetime) -> Callable[[Image], Placement | None]:
    """Return how a run places its images: by their contract tags where they carry any, else by the mapping.

    A run has one ``now``, also where it goes on later: with another one a rule might take an image by its age that
    another rule took before. What is returned raises Rejected, and may be called from several threads.
    """

    def where(image: Image) -> Placement | None:
        if is_ours(image.tags, policy):
            return place(image, policy)
        mapped = place_by_mapping(image, mapping, policy, now)
        return None if mapped is None else mapped.placement

    return where


def digest_of(text: str) -> str:
    """Return the digest of a mapping's text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def attempts(image: Image, mapping: ImageMapping, now: datetime) -> tuple[Attempt, ...]:
    """Return how an image fares with each rule, up to the one that takes it; whether it has tags counts for nothing."""
    found = []
    for rule in _candidates(image, mapping):
        groups = _groups(rule, image, now)
        if groups is not None:
            found.append(Attempt(rule, groups))
            break
        reasons = tuple(c.reason(image, now) for c in rule.conditions if c.groups(image, now) is None)
        found.append(Attempt(rule, reasons=reasons))
    return tuple(found)


def _candidates(image: Image, mapping: ImageMapping) -> Iterator[Rule]:
    for address in addresses(image):
        if address in mapping.listed:
            yield mapping.listed[address]
    yield from mapping.rules


def _groups(rule: Rule, image: Image, now: datetime) -> Groups | None:
    """Return the groups of all conditions where the image meets each of them, None where it does not."""
    groups: dict[str, str | None] = {}
    for condition in rule.conditions:
        found = condition.groups(image, now)
        if found is None:
            return None
        groups |= found
    return groups


def _mapped(image: Image, rule: Rule, groups: Groups, policy: Policy) -> Mapped | None:
    if rule.target is None:
        return None
    filling = _Filling(image, rule, groups)
    bucket = filling.required("bucket", rule.target.bucket)
    fingerprint, derived_from = filling.version(bucket, rule.target)
    said = Override(
        bucket=bucket,
        fingerprint=fingerprint,
        component_type=filling.required("component_type", rule.target.component_type or _NOTHING),
        labels=tuple(filling.labels(rule.target)),
        origin=rule.at,
    )
    placement = place(image, policy, said)
    return None if placement is None else Mapped(placement, rule, groups, derived_from)


@dataclass(frozen=True, slots=True)
class _Filling:
    """The templates of one rule, filled for one image."""

    image: Image
    rule: Rule
    groups: Groups

    def value(self, name: str) -> str | None:
        return self.groups[name] if name in self.groups else value_of(self.image, name)

    def required(self, what: str, template: Template) -> str:
        """Return the text. Raises Rejected where a blank has no value, or all of it is empty although it was given."""
        try:
            text = template.fill(self.value).strip()
        except Absent as absent:
            raise self.refused(f"{what} needs {shown(absent.name)}, and this image has none") from None
        if template.parts and not text:
            raise self.refused(f"{what} {shown(template.text)} is empty for this image")
        return text

    def version(self, bucket: str, target: Target) -> tuple[str, str]:
        """Return the fingerprint, and what it was derived from, "" where the rule gives it."""
        if target.fingerprint is not None:
            return self.required("fingerprint", target.fingerprint), ""
        if isinstance(target.group, Window):
            start = target.group.start(self.image.created_at)
            window = f"the {target.group.length} that began {start:%Y-%m-%d %H:%M} UTC"
            return fingerprint_of_window(bucket, target.group, self.image.created_at), window
        text = self.required("group", target.group)
        return fingerprint_of_text(bucket, text), shown(text)

    def labels(self, target: Target) -> Iterator[tuple[str, str]]:
        """Yield the labels; one that needs what the image has not is left out."""
        for key, template in target.labels:
            try:
                yield key, template.fill(self.value)
            except Absent:
                continue

    def refused(self, what: str) -> Rejected:
        remedy = "mend the rule, or let one before it take such images"
        return Rejected(f"{self.image.at}: {self.rule.at}: {what}", remedy=remedy)
