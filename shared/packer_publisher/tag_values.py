"""The values that contract tags may hold, one function per kind; each raises Rejected with the tag's key."""

from __future__ import annotations

import re

from packer_publisher.errors import Rejected
from packer_publisher.image import Platform
from packer_publisher.wording import shown

MAX_EXPECTS = 16
MAX_CHANNELS = 8
MAX_REGIONS = 32
MAX_VALUE = 2048  # the longest tag value of the three clouds is 512 characters; a list in configuration is longer
MAX_COMPONENT_TYPE = 128

BUILDERS = (
    "amazon-ebs",
    "amazon-ebssurrogate",
    "amazon-ebsvolume",
    "amazon-chroot",
    "amazon-instance",
    "amazon-import",
    "azure-arm",
    "azure-chroot",
    "azure-dtl",
    "googlecompute",
)
"""Names of Packer's builders for the three clouds; a component type in a Google label begins with one."""

_BUCKET = re.compile(r"[A-Za-z0-9-]{3,36}")  # hashicorp/packer, hcl2template: bucketNameRegexp
_CHANNEL = _BUCKET  # the same rule (HCP Packer's documentation of channels)
_FINGERPRINT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,38}[A-Za-z0-9])?")  # HCP's API description
_ULID = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}")
_COMPONENT_TYPE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?")
_REGION = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-[0-9]{1,2}")
_NUMBERED = re.compile(r"(?P<name>[a-z](?:[a-z0-9-]*[a-z0-9])?)_(?P<number>[0-9]+)")
_PLATFORMS = {
    "aws": Platform.AWS,
    "azure": Platform.AZURE,
    "gce": Platform.GCE,
    "gcp": Platform.GCE,
    "google": Platform.GCE,
}


def check_text(key: str, value: object, kind: str = "tag") -> str:
    """Return a tag's value stripped of surrounding blanks; control characters and huge values are refused."""
    if not isinstance(value, str):
        raise Rejected(f"{kind} {shown(key)} is not text")
    if len(value) > MAX_VALUE:
        raise Rejected(f"{kind} {shown(key)} is {len(value)} characters long, more than {MAX_VALUE}")
    text = value.strip(" ")
    if not text.isprintable():
        raise Rejected(f"{kind} {shown(key)} contains control characters: {shown(value)}")
    return text


def parse_bucket(key: str, value: str) -> str:
    """Return a bucket name as written."""
    if not _BUCKET.fullmatch(value):
        raise Rejected(f"{key} {shown(value)!r} is no bucket name", remedy="use 3 to 36 letters, digits and hyphens")
    return value


def parse_fingerprint(key: str, value: str, *, fold: bool = True) -> str:
    """Return the canonical form of a version fingerprint.

    With ``fold`` a ULID becomes upper case (its canonical form) and anything else lower case, because a Google label
    can hold no other; without it the value is taken as written.
    """
    if not _FINGERPRINT.fullmatch(value):
        raise Rejected(
            f"{key} {shown(value)!r} is no version fingerprint",
            remedy="use 1 to 40 letters, digits, '-', '.', '_', with a letter or digit at both ends",
        )
    if not fold:
        return value
    lower = value.lower()
    return lower.upper() if _ULID.fullmatch(lower) else lower


def parse_component_type(key: str, value: str, *, google: bool = False) -> str:
    """Return a component type; in a Google label ``__`` stands for the dot."""
    name = value.replace("__", ".") if google else value
    if len(name) > MAX_COMPONENT_TYPE or not _COMPONENT_TYPE.fullmatch(name):
        raise Rejected(
            f"{key} {shown(value)!r} is no component type",
            remedy=f"use at most {MAX_COMPONENT_TYPE} letters, digits, '.', '_', '/', '-', as in amazon-ebs.ubuntu",
        )
    if name.casefold() in _PLATFORMS:
        raise Rejected(f"{key} {shown(value)!r} is the name of a platform, not of a component type")
    return name


def parse_expected(key: str, value: str, *, google: bool = False) -> str:
    """Return one name of an expects list: a platform (``gcp`` and ``google`` become ``gce``) or a component type.

    In a Google label a component type must begin with a builder's name: there a list is split at ``_``, so a name
    that itself contains one would fall apart unnoticed.
    """
    platform = _PLATFORMS.get(value.casefold())
    if platform is not None:
        return str(platform)
    name = parse_component_type(key, value)
    if google and not any(name == builder or name.startswith(f"{builder}.") for builder in BUILDERS):
        raise Rejected(
            f"{key} names {shown(value)!r}, which is neither a platform nor a component type of a known builder",
            remedy="in Google labels write `_` between names and `__` for the dot of a component type; names with `_` "
            "in them belong into the configuration (`expects`)",
        )
    return name


def is_platform(name: str) -> bool:
    """Return whether an expected name is a platform rather than a component type."""
    return name in _PLATFORMS


def platform_of(component_type: str) -> Platform | None:
    """Return the platform of a component type that begins with a builder's name, None for any other."""
    name = component_type.casefold()
    found = next((builder for builder in BUILDERS if name == builder or name.startswith(f"{builder}.")), "")
    for prefix, platform in (("amazon-", Platform.AWS), ("azure-", Platform.AZURE), ("googlecompute", Platform.GCE)):
        if found.startswith(prefix):
            return platform
    return None


def parse_channel(key: str, value: str) -> str:
    """Return a channel name; the managed channel ``latest`` is refused."""
    if not _CHANNEL.fullmatch(value):
        raise Rejected(
            f"{key} names {shown(value)!r}, which is no channel name", remedy="use 3 to 36 letters, digits, -"
        )
    if value.casefold() == "latest":
        raise Rejected(f"{key} names the channel latest, which HCP Packer moves by itself", remedy="leave it out")
    return value


def parse_region(key: str, value: str) -> str:
    """Return an AWS region name in its usual form; whether it exists only AWS knows."""
    if not _REGION.fullmatch(value.lower()):
        raise Rejected(f"{key} names {shown(value)!r}, which is no AWS region", remedy="write it as in eu-west-1")
    return value.lower()


def parse_source(value: str, *, google: bool = False) -> tuple[str, str]:
    """Return the parent image that a tag names and, in a Google label, the numeric id that may follow the name.

    ``base-20261121_7718790431234567890``: names there hold no ``_``, and one can be given again to another image.
    """
    named = _NUMBERED.fullmatch(value) if google else None
    return (named["name"], named["number"]) if named else (value, "")


def split_list(key: str, value: str, limit: int, *, google: bool = False) -> list[str]:
    """Return the items of a list tag, at most ``limit``.

    Lists are split at spaces and commas; in a Google label, where neither is allowed, at a single ``_``, and ``__``
    stands for the dot of a component type.
    """
    if google:
        if re.search(r"_{3,}|^_|_$", value):
            raise Rejected(f"{key} {shown(value)!r} is no readable list: names are separated by one `_`")
        items = [item.replace("\0", ".") for item in value.replace("__", "\0").split("_")]
    else:
        items = re.split(r"[ ,]+", value)
    items = [item for item in items if item]
    if value and not items:
        raise Rejected(f"{key} {shown(value)!r} is no readable list")
    if len(items) > limit:
        raise Rejected(f"{key} has {len(items)} names, more than {limit}")
    return items
