"""Where an image belongs, read from its tags and the configuration: the tag contract, in full.

Three-valued: ``None`` is an image that is not ours, a :class:`Placement` is one that is, and
:class:`~packer_publisher.errors.Rejected` is one that is ours but breaks a rule. Nothing is ever guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from packer_publisher.errors import Rejected
from packer_publisher.image import DEFAULT_COMPONENT_TYPE, Image, Platform
from packer_publisher.labels import MAX_LABEL_VALUE, RESERVED_LABELS
from packer_publisher.policy import LABEL_PREFIX, BucketPolicy, Policy
from packer_publisher.provenance import commits, in_packers_words
from packer_publisher.snapshot import Parent
from packer_publisher.tag_values import (
    MAX_CHANNELS,
    MAX_EXPECTS,
    MAX_REGIONS,
    check_text,
    parse_bucket,
    parse_channel,
    parse_component_type,
    parse_expected,
    parse_fingerprint,
    parse_region,
    parse_source,
    platform_of,
    split_list,
)
from packer_publisher.wording import shown

MAX_TAGS = 128  # no cloud allows more than 64 on an image
MAX_LABELS = 32
_LABEL_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}")


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one image belongs and what its version waits for.

    ``expects`` holds platforms (``aws``, ``azure``, ``gce``) and component types, those of the tag and of the
    configuration together. ``regions`` is what the AWS tag names, () if it names none. ``channels`` are those
    that the tag asks for and the configuration allows; ``notes`` says what was left out and why. ``source_image`` is
    the parent that the tag names, ``source_number`` Google's numeric id of it, where the tag has one. ``labels`` are
    the build labels taken over from tags.
    """

    bucket: str
    fingerprint: str
    component_type: str
    policy: BucketPolicy
    expects: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    region: str = ""
    source_image: str = ""
    source_number: str = ""
    channels: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One image and where it belongs. All items of one plan belong to the same bucket and fingerprint.

    ``parent`` is what the registry tells of the image's source, None until it was asked.
    """

    image: Image
    placement: Placement
    parent: Parent | None = None


@dataclass(frozen=True, slots=True)
class Override:
    """What a person says in place of tags, on the command line or in a mapping; empty fields leave the tag in force.

    ``labels`` are build labels besides those of the tags, and win over them. ``origin`` is what errors name beside the
    image: the file, line and rule that says so.
    """

    bucket: str = ""
    fingerprint: str = ""
    component_type: str = ""
    expects: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    origin: str = ""


def is_ours(tags: object, policy: Policy) -> bool:
    """Return whether a tag set carries any contract key: the cheap test before any SDK is imported."""
    if not isinstance(tags, Mapping):
        return False
    keys = {key.casefold() for names in policy.contract.keys.values() for key in names}
    return any(isinstance(key, str) and key.casefold() in keys for key in tags)


def place(image: Image, policy: Policy, override: Override | None = None) -> Placement | None:
    """Return where the image belongs, or None when it carries no contract tag (not ours).

    Raises :class:`~packer_publisher.errors.Rejected` when it carries contract tags that break the rules: one of
    the two required ones missing, a bad name, an unreadable list, a bucket that is not allowed.
    """
    fields: dict[str, str] = {}
    try:
        fields = _contract_fields(image, policy) | _said(override)
        if not fields and not (override and override.expects):
            return None
        return _placed(image, fields, policy, override)
    except Rejected as problem:
        at = ": ".join(filter(None, (image.at, override.origin if override else "")))
        raise Rejected(f"{at}: {problem}", remedy=problem.remedy, bucket=fields.get("bucket", "")) from None


def policy_for(bucket: str, policy: Policy) -> BucketPolicy:
    """Return the configuration's rules for a bucket name, compared without case.

    Raises Rejected where no rule allows the bucket: there is no default.
    """
    wanted = bucket.casefold()
    for rule in policy.rules:
        if fnmatchcase(wanted, rule.pattern.casefold()):
            return rule.policy
    raise Rejected(
        f"bucket {shown(bucket)} is not allowed by this deployment's configuration",
        remedy=f"add {shown(bucket)} (or a pattern that matches it) under `buckets` in PUBLISHER_CONFIG",
    )


def _contract_fields(image: Image, policy: Policy) -> dict[str, str]:
    """Return the contract's fields that the tags carry; Rejected where two keys of one field disagree."""
    if not is_ours(image.tags, policy):
        return {}
    if len(image.tags) > MAX_TAGS:
        raise Rejected(f"carries {len(image.tags)} tags, more than {MAX_TAGS}")
    # Azure compares tag names without case and keeps the first spelling; AWS and Google compare them exactly.
    fold = str.casefold if image.platform is Platform.AZURE else str
    tags = {fold(key): value for key, value in image.tags.items()}
    fields: dict[str, str] = {}
    for name, keys in policy.contract.keys.items():
        present = {key: tags[fold(key)] for key in keys if fold(key) in tags}
        if len(set(present.values())) > 1:
            raise Rejected(
                f"tags {' and '.join(present)} disagree",
                remedy="remove one of them or make them equal",
            )
        for key, value in present.items():
            fields[name] = check_text(key, value)
    return fields


def _said(override: Override | None) -> dict[str, str]:
    """Return the fields that a person gives in place of tags."""
    if override is None:
        return {}
    said = {
        "bucket": override.bucket,
        "fingerprint": override.fingerprint,
        "component_type": override.component_type,
    }
    return {name: value for name, value in said.items() if value}


def _placed(image: Image, fields: Mapping[str, str], policy: Policy, override: Override | None) -> Placement:
    keys = {name: names[0] for name, names in policy.contract.keys.items()}
    for name in ("bucket", "fingerprint"):
        if not fields.get(name):
            other = "fingerprint" if name == "bucket" else "bucket"
            state = "is empty" if name in fields else "is missing"
            raise Rejected(
                f"tag {keys[name]} {state}",
                remedy=f"set both {keys[name]} and {keys[other]} on the image, or neither",
            )
    google = image.platform is Platform.GCE
    said = {name: name.replace("_", " ") for name in _said(override)}
    keys |= said  # no tag is to blame for what a person says
    bucket = parse_bucket(keys["bucket"], fields["bucket"])
    rules = policy_for(bucket, policy)
    fingerprint = parse_fingerprint(
        keys["fingerprint"], fields["fingerprint"], fold=policy.contract.fingerprint_case != "keep"
    )
    expected = split_list(keys["expects"], fields.get("expects", ""), MAX_EXPECTS, google=google)
    expects = [parse_expected(keys["expects"], name, google=google) for name in expected]
    expects += [parse_expected("--expects", name) for name in (override.expects if override else ())]
    expects += [parse_expected("expects", name) for name in (rules.expects or policy.expects)]
    channels, notes = _channels(
        keys["channels"],
        split_list(keys["channels"], fields.get("channels", ""), MAX_CHANNELS, google=google),
        rules,
    )
    labels = _labels(image, policy, override.labels if override else ())
    source, number = parse_source(fields.get("source_image", ""), google=google)
    regions = split_list(keys["regions"], fields.get("regions", ""), MAX_REGIONS, google=google)
    return Placement(
        bucket=rules.name or bucket,
        fingerprint=fingerprint,
        component_type=_component_type(
            image,
            keys["component_type"],
            fields.get("component_type", ""),
            label=google and "component_type" not in said,
        ),
        policy=rules,
        expects=_distinct(expects, keys["expects"]),
        regions=tuple(dict.fromkeys(parse_region(keys["regions"], region) for region in regions)),
        region=fields.get("region", ""),
        source_image=source,
        source_number=number,
        channels=channels,
        labels=tuple(sorted(labels.items())),
        notes=(*notes, *_commit_notes(labels)),
    )


def _commit_notes(labels: Mapping[str, str]) -> tuple[str, ...]:
    different = commits(labels)
    if len(different) < 2:
        return ()
    return (f"the tags name different git commits, {shown(' and '.join(different))}: none is recorded as the build's",)


def _component_type(image: Image, key: str, value: str, *, label: bool) -> str:
    if value:
        name = parse_component_type(key, value, google=label)
        if platform_of(name) not in (None, image.platform):
            raise Rejected(
                f"{key} {shown(value)!r} is the name of a builder for {platform_of(name)}, and the image is on "
                f"{image.platform}"
            )
        return name
    default = DEFAULT_COMPONENT_TYPE[image.platform]
    return f"{default}.arm64" if image.architecture == "arm64" else default


def _distinct(names: list[str], key: str) -> tuple[str, ...]:
    """Return names sorted, each once (compared without case), the limit enforced on the union."""
    by_fold: dict[str, str] = {}
    for name in names:
        by_fold.setdefault(name.casefold(), name)
    if len(by_fold) > MAX_EXPECTS:
        raise Rejected(f"{key} and the configuration together name {len(by_fold)} parts, more than {MAX_EXPECTS}")
    return tuple(by_fold[fold] for fold in sorted(by_fold))


def _channels(key: str, names: list[str], rules: BucketPolicy) -> tuple[tuple[str, ...], tuple[str, ...]]:
    allowed = {channel.casefold(): channel for channel in rules.channels}
    wanted: dict[str, str] = {}
    notes: list[str] = []
    for name in names:
        channel = parse_channel(key, name)
        if channel.casefold() in allowed:
            wanted[channel.casefold()] = allowed[channel.casefold()]
        else:
            notes.append(f"channel {shown(channel)} is not allowed for this bucket by the configuration")
    return tuple(wanted[fold] for fold in sorted(wanted)), tuple(notes)


def _labels(image: Image, policy: Policy, said: tuple[tuple[str, str], ...]) -> dict[str, str]:
    allowed = set(policy.contract.label_keys)
    labels: dict[str, str] = {}
    for key, value in image.tags.items():
        prefixed = key.startswith(LABEL_PREFIX)
        if not prefixed and key not in allowed:
            continue
        name = key.removeprefix(LABEL_PREFIX) if prefixed else key
        _check_label(f"tag {shown(key)}", name)
        labels[name] = check_text(key, value)[:MAX_LABEL_VALUE]
    for name, value in said:
        _check_label(f"label {shown(name)}", name)
        labels[name] = check_text(name, value, kind="label")[:MAX_LABEL_VALUE]
    if len(labels) > MAX_LABELS:
        raise Rejected(f"{'tags and rule' if said else 'tags'} give {len(labels)} build labels, more than {MAX_LABELS}")
    return in_packers_words(labels)


def _check_label(what: str, name: str) -> None:
    if not _LABEL_KEY.fullmatch(name):
        raise Rejected(f"{what} does not give a label name of 1 to 63 letters, digits, . _ / -")
    if name.casefold() in RESERVED_LABELS:
        raise Rejected(f"{what} would set the label {name}, which this program keeps for itself")
