"""What a mapping can see of an image: its fields by name, each a text, and the addresses a list knows it by."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC

from packer_publisher.image import Image, Platform
from packer_publisher.labels import IMAGE_ID

TAGS, LABELS = "tags.", "labels."
"""Before a tag's or label's key: ``tags.release``. Labels are those that Packer's own plugin would write."""

ADDRESSES = (
    "write an AMI id, also as eu-west-1:ami-0123456789abcdef0; the ARM id of a managed image or of a gallery image "
    "version; a Google image as projects/PROJECT/global/images/NAME"
)

_AMI = re.compile(r"(?:[a-z0-9-]+[:/])?(ami-[0-9a-f]{8,32})")
_ARM = re.compile(
    r"/subscriptions/[^/\s]+/resourcegroups/[^/\s]+/providers/microsoft\.compute/"
    r"(?:images/[^/\s]+|galleries/[^/\s]+/images/[^/\s]+/versions/[^/\s]+)"
)
_GOOGLE = re.compile(r"(?:https?://[^/\s]+/)?(?:compute/[a-z0-9]+/)?(projects/[^/\s]+/global/images/[^/\s]+)")


def _label(key: str) -> Callable[[Image], str | None]:
    return lambda image: dict(image.labels).get(key)


def _created(form: str) -> Callable[[Image], str]:
    return lambda image: image.created_at.astimezone(UTC).strftime(form)


FIELDS: Mapping[str, Callable[[Image], str | None]] = {
    "platform": lambda image: str(image.platform),
    "owner": lambda image: image.ref.owner_id,
    "region": lambda image: image.ref.region or next((artifact.region for artifact in image.artifacts), None),
    "name": lambda image: image.name,
    "identifier": lambda image: image.ref.identifier,
    "description": lambda image: image.description,
    "family": lambda image: image.family,
    "gallery": _label("sig_name"),
    "image_definition": _label("sig_image_name"),
    "image_version": _label("sig_image_version"),
    "architecture": lambda image: image.architecture,
    "created_at": _created("%Y-%m-%dT%H:%M:%SZ"),
    "created_at.date": _created("%Y-%m-%d"),
    "created_at.year": _created("%Y"),
    "created_at.month": _created("%m"),
    "created_at.day": _created("%d"),
    "created_at.hour": _created("%H"),
    "created_at.minute": _created("%M"),
}
"""The fields besides tags and labels. The three of a gallery are known of gallery image versions only."""

ONLY_ON: Mapping[str, frozenset[Platform]] = {
    "description": frozenset({Platform.AWS, Platform.GCE}),
    "family": frozenset({Platform.GCE}),
    "gallery": frozenset({Platform.AZURE}),
    "image_definition": frozenset({Platform.AZURE}),
    "image_version": frozenset({Platform.AZURE}),
}
"""The clouds that have a field, where not all of them do."""

_WITHOUT_CASE = frozenset({"owner", "region", "name", "identifier", "gallery", "image_definition"})


def value_of(image: Image, field: str) -> str | None:
    """Return a field of an image, None where the image has none; a tag's or label's value may be "".

    Azure compares the keys of tags without case, so they are looked up so.
    """
    if field.startswith(LABELS):
        return dict(image.labels).get(field.removeprefix(LABELS))
    if field.startswith(TAGS):
        wanted = field.removeprefix(TAGS)
        if image.platform is Platform.AZURE:
            found = {key.casefold(): value for key, value in image.tags.items()}
            return found.get(wanted.casefold())
        return image.tags.get(wanted)
    return FIELDS[field](image) or None


def is_field(name: str) -> bool:
    """Return whether a name is that of a field, a tag or a label."""
    return name in FIELDS or any(name.startswith(prefix) and name != prefix for prefix in (TAGS, LABELS))


def without_case(image: Image, field: str) -> bool:
    """Return whether a field's values are compared without case: Azure returns its names in changing case."""
    return image.platform is Platform.AZURE and field in _WITHOUT_CASE


def address_of(text: str) -> str | None:
    """Return an image's address in the one form that :func:`addresses` gives, None for a text that is none."""
    if found := _AMI.fullmatch(text.casefold()):
        return found[1]
    if _ARM.fullmatch(text.casefold().rstrip("/")):
        return text.casefold().rstrip("/")
    found = _GOOGLE.fullmatch(text)
    return found[1] if found else None


def addresses(image: Image) -> tuple[str, ...]:
    """Return the addresses that an image is known by; Google's are its name and its numeric id."""
    match image.platform:
        case Platform.AWS:
            return (image.ref.identifier.casefold(),)
        case Platform.AZURE:
            return (image.ref.identifier.casefold().rstrip("/"),)
        case Platform.GCE:
            names = filter(None, (image.name, dict(image.identity).get(IMAGE_ID)))
            return tuple(f"projects/{image.ref.owner_id}/global/images/{name}" for name in names)
