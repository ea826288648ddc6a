"""The labels by which our functions recognise each other's builds."""

from __future__ import annotations

from collections.abc import Iterable

from packer_publisher.snapshot import Build, BuildStatus, label_pairs

MARKER = "packer-publisher"
"""On every build that we create; the value is the version of this scheme."""
MARKER_VALUE = "1"
OWNER = "image-owner"
"""Whose image a build is: ``aws:<account>``, ``azure:<subscription>``, ``gce:<project>``."""
EXPECTS = "expects"
"""What a build's images say the version consists of, space-separated; continued in ``expects-2`` and so on."""
ABANDONED = "abandoned"
"""Set by a person on the open builds of a version that nobody should go on with; "" takes it back."""
GONE = "gone"
"""Images of an open build that its own account says are gone; continued in ``gone-2`` and so on, "" takes it back."""
IMAGE_ID = "image_id"
"""Google's numeric image id: a name can be given again to another image."""

MAX_LABEL_VALUE = 256
"""Values of labels are cut here: the length that HCP accepts is not documented."""

_CONTINUED = (EXPECTS, *(f"{EXPECTS}-{n}" for n in range(2, 21)))
_GONE = (GONE, *(f"{GONE}-{n}" for n in range(2, 21)))
RESERVED_LABELS = frozenset({MARKER, OWNER, IMAGE_ID, ABANDONED, *_CONTINUED, *_GONE})
"""Labels that no tag may set (compared in lower case): one that did could claim another account's build."""


def placeholder_labels() -> tuple[tuple[str, str], ...]:
    """Return the labels of a build created for an image that somebody else will bring: the marker alone."""
    return ((MARKER, MARKER_VALUE),)


def own_labels(
    owner: str, expects: tuple[str, ...], others: tuple[tuple[str, str], ...] = ()
) -> tuple[tuple[str, str], ...]:
    """Return the whole label set of a build that holds or will hold the owner's image, sorted."""
    labels = dict(others)
    labels |= {MARKER: MARKER_VALUE, OWNER: owner}
    labels |= dict(zip(_CONTINUED, _chunks(expects), strict=False))
    return label_pairs(labels)


def expects_of(build: Build) -> frozenset[str]:
    """Return the names that a build's images declared."""
    return frozenset(name for key, value in build.labels if key in _CONTINUED for name in value.split())


def is_our_build(build: Build) -> bool:
    """Return whether a build is ours to write.

    It carries our marker and no Packer run has taken it up. Packer writes its run's UUID with the very update that
    makes a build RUNNING and keeps sending heartbeats; a RUNNING build of ours is one that a function is about to
    set DONE, recognisable by its platform, which Packer sends with DONE only (hashicorp/packer,
    internal/hcp/registry/types.bucket.go).
    """
    return (
        build.label(MARKER) != ""
        and not build.packer_run_uuid
        and (build.status is not BuildStatus.RUNNING or build.platform != "")
    )


def is_whole(build: Build) -> bool:
    """Return whether a build holds all its images: ours when its platform is set, a stranger's when it is DONE."""
    if build.status is BuildStatus.DONE:
        return True
    return is_our_build(build) and build.platform != ""


def gone_from(build: Build) -> frozenset[str]:
    """Return which images of an open build of ours are noted to be gone, as :func:`noted` writes them.

    Of a build that is DONE the note counts no more: nothing can be changed about it.
    """
    if build.status is BuildStatus.DONE or not is_our_build(build):
        return frozenset()
    return frozenset(name for key, value in build.labels if key in _GONE for name in value.split())


def noted(identifier: str) -> str:
    """Return an image's identifier as labels note it: the end of one that is longer than a label may be."""
    return identifier[-MAX_LABEL_VALUE:]


def labels_with_gone(build: Build, identifiers: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return the build's whole label set with these images noted to be gone, and no others.

    What is taken back is emptied, because whether labels of an update replace or merge is not documented.
    """
    labels = dict(build.labels)
    chunks = _chunks(tuple(sorted({noted(identifier) for identifier in identifiers})))
    labels |= dict.fromkeys((key for key in _GONE if key in labels), "")
    labels |= dict(zip(_GONE, chunks, strict=False))
    return label_pairs(labels)


def _chunks(names: tuple[str, ...]) -> list[str]:
    chunks: list[str] = []
    for name in names:
        if chunks and len(chunks[-1]) + 1 + len(name) <= MAX_LABEL_VALUE:
            chunks[-1] += f" {name}"
        else:
            chunks.append(name)
    return chunks
