"""How an image fared, in words: what the plan's end means for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from packer_publisher.expectation import declared, is_quiet, is_superseded, missing, quiet_since, told_too_late
from packer_publisher.image import DEFAULT_COMPONENT_TYPE, Platform
from packer_publisher.labels import IMAGE_ID, OWNER, gone_from, is_whole
from packer_publisher.listing import lists
from packer_publisher.placement import Item
from packer_publisher.plan import abandoned, template_differs
from packer_publisher.report import Outcome
from packer_publisher.snapshot import Build, BuildStatus, Version
from packer_publisher.standing import ACTIVE, MOST_DECLARED, Standing, are_siblings, seniority, standings
from packer_publisher.wording import listed, shown

NEW_FINGERPRINT = "build it again with a new fingerprint"
TO_END, END = ("to do without", "to abandon it"), ("finish it as it is", "abandon it")
"""The words of :func:`ending`, in a sentence of its own and after an "or"."""
RESTORE = "restore it in HCP Packer, if its images are fit for use"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One image's outcome, the reason, what resolves it and what the version waits for."""

    outcome: Outcome
    reason: str = ""
    remedy: str = ""
    waits_for: tuple[str, ...] = ()


def judge(items: Sequence[Item], version: Version, *, wrote: bool) -> tuple[Verdict, ...]:
    """Return the verdict on each image, in the order of ``items``.

    ``wrote`` says whether this handler changed the version; ``version`` is its last read with its replies folded in.
    """
    stands = standings(items, version)
    # What an image in conflict declares counts as little here as in the plan.
    taking_part = [i for i, standing in zip(items, stands, strict=True) if standing in (*ACTIVE, Standing.LISTED)]
    verdicts = [
        _verdict(item, standing, taking_part if item in taking_part else items, version, wrote)
        for item, standing in zip(items, stands, strict=True)
    ]
    for index, standing in enumerate(stands):
        if standing is Standing.SIBLING:
            (senior,) = (n for n, item in enumerate(items) if stands[n] in ACTIVE and are_siblings(item, items[index]))
            verdicts[index] = verdicts[senior]
    return tuple(verdicts)


def _verdict(item: Item, standing: Standing, items: Sequence[Item], version: Version, wrote: bool) -> Verdict:
    if standing is Standing.GONE:
        return Verdict(Outcome.IGNORED, item.image.lacks or "the image is gone")
    if template_differs(version, item.placement) and not version.complete:
        return Verdict(
            Outcome.REJECTED,
            f"{_version(version)} was begun with template type {shown(version.template_type)}, "
            f"not {item.placement.policy.template_type}",
            f"set template_type: {shown(version.template_type)} for this bucket, or {NEW_FINGERPRINT}",
        )
    if note := abandoned(version):
        return Verdict(
            Outcome.REJECTED,
            f"{_version(version)} was abandoned: {shown(note)}",
            f"{NEW_FINGERPRINT}, or take it back: packer-publisher versions abandon "
            f"{shown(version.bucket)} {shown(version.fingerprint)} --undo",
        )
    if version.complete:
        return _sealed(item, standing, items, version, wrote)
    if standing is Standing.FLOODS:
        return Verdict(
            Outcome.REJECTED,
            f"with {item.image.at} the images of {_version(version)} would declare more than {MOST_DECLARED} parts",
            "declare the version's own parts only, or begin a new fingerprint",
        )
    if standing in (Standing.RIVAL, Standing.TAKEN):
        return Verdict(Outcome.CONFLICT, _conflict(item, standing, items, version), NEW_FINGERPRINT)
    if not version.exists:
        return Verdict(
            Outcome.REJECTED,
            f"bucket {shown(version.bucket)} does not exist in HCP Packer",
            "create it, or set create_buckets: true in the configuration",
        )
    if standing is Standing.FOREIGN:
        return _foreign(item, version)
    lacking = missing(items, version)
    if standing is not Standing.LISTED:
        return Verdict(
            Outcome.WAITING,
            f"{item.image.at} is not whole: {item.image.lacks or 'a region of its build is missing'}",
            f"its missing part's own event or the sweep goes on; {ending(version, lacking, *TO_END)}",
            lacking,
        )
    return _open(item, items, version, wrote)


def _foreign(item: Item, version: Version) -> Verdict:
    """Judge an image whose component type Packer itself has registered."""
    build = version.build(item.placement.component_type)
    ended = {BuildStatus.FAILED: "has failed", BuildStatus.CANCELLED: "was cancelled"}
    state = ended.get(build.status, "is not finished") if build is not None else "is not finished"
    again = f"run Packer again with HCP_PACKER_BUILD_FINGERPRINT={shown(version.fingerprint)}"
    remedy = "let it finish" if state == "is not finished" else again
    return Verdict(
        Outcome.WAITING,
        f"component type {shown(item.placement.component_type)} of {_version(version)} belongs to a run of Packer "
        f"that {state}",
        f"{remedy}; if the image is another one, give it its own hcp-packer-component-type",
    )


def _open(item: Item, items: Sequence[Item], version: Version, wrote: bool) -> Verdict:
    """Judge an image that stands in a version which is not complete."""
    lacking = missing(items, version)
    if all(build.status is BuildStatus.DONE for build in version.builds) and not version.fresh:
        return Verdict(Outcome.COMPLETED)
    if gone := gone_from_version(version):
        return Verdict(Outcome.WAITING, *gone, lacking)
    if late := told_too_late(item, version):
        return Verdict(
            Outcome.LATE,
            f"{item.image.at} declares {listed(late)} for {_version(version)} too late: its build is written for good, "
            "so nobody else would know, and the version completes without",
            f"name the component types instead (as in {_as_component_types(late)}), or {NEW_FINGERPRINT}",
            lacking,
        )
    if declared(items, version):
        return Verdict(Outcome.REGISTERED if wrote else Outcome.UNCHANGED, waits_for=lacking)
    if is_superseded(version):
        newer = version.latest.name if version.latest else ""
        return Verdict(
            Outcome.SUPERSEDED,
            f"{_version(version)} is not finished, because {shown(newer) or 'a newer version'}, created later, is "
            "complete: finishing it would pull latest back",
            f"{NEW_FINGERPRINT}, or finish it all the same: {by_hand(version, ())}",
        )
    hint = expects_hint(version, item)
    if lacking:
        return Verdict(
            Outcome.WAITING,
            f"{_version(version)} declares nothing and has an empty build: {listed(lacking)}",
            f"{hint}; {ending(version, lacking, *TO_END)}",
            lacking,
        )
    since = quiet_since(version)
    quiet = item.placement.policy.quiet
    if since is None or not is_quiet(version, item.placement):
        when = f", which is {since + quiet:%Y-%m-%d %H:%M} UTC at the earliest" if since is not None else ""
        return Verdict(
            Outcome.WAITING,
            f"{_version(version)} does not say what it consists of, so it is finished once nothing was added for "
            f"{_duration(quiet.total_seconds())}{when}",
            f"{hint}; or finish it now: {by_hand(version, ())}",
        )
    return Verdict(Outcome.REGISTERED if wrote else Outcome.UNCHANGED, waits_for=lacking)


def _sealed(item: Item, standing: Standing, items: Sequence[Item], version: Version, wrote: bool) -> Verdict:
    if standing is Standing.LISTED and version.revoked:
        return Verdict(Outcome.UNCHANGED, f"{_version(version)} is revoked", RESTORE)
    if standing is Standing.LISTED:
        return Verdict(Outcome.COMPLETED if wrote else Outcome.UNCHANGED)
    if standing is Standing.TAKEN:
        reason = f"{_version(version)} is complete, and {_conflict(item, standing, items, version)}"
        return Verdict(Outcome.LATE, reason, NEW_FINGERPRINT)
    reason = f"{_version(version)} was complete before {item.image.at} came"
    return Verdict(Outcome.LATE, reason, f"{NEW_FINGERPRINT}; next time {expects_hint(version, item)}")


def _conflict(item: Item, standing: Standing, items: Sequence[Item], version: Version) -> str:
    component_type = shown(item.placement.component_type)
    build = version.build(item.placement.component_type)
    if build is not None and standing is Standing.TAKEN:
        owner = build.label(OWNER)
        if owner and owner != item.image.owner:
            return (
                f"component type {component_type} of {_version(version)} belongs to {shown(owner)}, "
                f"and {item.image.at} belongs to {shown(item.image.owner)}"
            )
        others = [i.image for i in items if (i.image.owner, i.image.name) != (item.image.owner, item.image.name)]
        holder = next((image.at for image in others if lists(build, image)), "")
        if holder:  # two images that are looked at together, as in a plan; a region of one build is none
            return (
                f"{item.image.at} and {holder}, which has it, claim component type {component_type} of "
                f"{_version(version)}"
            )
        number = (
            f" number {shown(dict(item.image.identity)[IMAGE_ID])}" if IMAGE_ID in dict(item.image.identity) else ""
        )
        return (
            f"component type {component_type} of {_version(version)} is whole already with {_artifacts(build)}; "
            f"{item.image.at}{number} is not among them"
        )
    rival = item.image.rival or next(
        (
            other.image.at
            for other in sorted(items, key=seniority)
            if other is not item
            and other.placement.component_type.casefold() == item.placement.component_type.casefold()
        ),
        "another image",
    )
    return f"{item.image.at} and the older {shown(rival)} claim component type {component_type} of {_version(version)}"


def gone_from_version(version: Version) -> tuple[str, str] | None:
    """Return which images of an open version are gone, and what a person may do; None where none is."""
    gone = {build.component_type: gone_from(build) for build in version.builds if gone_from(build)}
    if not gone:
        return None
    names = sorted(name for found in gone.values() for name in found)
    what = f"its build {listed(sorted(gone))} lists what is gone: {', '.join(shown(name, 300) for name in names)}"
    remedy = f"{NEW_FINGERPRINT}, or {ending(version, missing((), version), *END)}"
    return f"{_version(version)} is not finished, because {what}", remedy


def expects_hint(version: Version, item: Item) -> str:
    """Return the ``expects`` line that would have made the version complete without waiting, and not too early.

    A platform is there with its first whole build; so where it has several, their component types are named.
    """
    types: dict[str, set[str]] = {str(item.image.platform): {item.placement.component_type}}
    for build in version.builds:
        if build.platform:
            types.setdefault(build.platform, set()).add(build.component_type)
    platforms = [
        name for platform, found in sorted(types.items()) for name in (sorted(found) if len(found) > 1 else [platform])
    ]
    return f'set hcp-packer-expects = "{" ".join(platforms)}" on the images (or expects for this bucket), naming all'


def _as_component_types(platforms: Sequence[str]) -> str:
    return " ".join(DEFAULT_COMPONENT_TYPE[Platform(name)] for name in platforms)


def by_hand(version: Version, names: Sequence[str]) -> str:
    """Return the command by which a person completes a version without the named parts."""
    flags = "".join(f" --without {shown(name)}" for name in names)
    return f"packer-publisher versions complete {shown(version.bucket)} {shown(version.fingerprint)}{flags}"


def ending(version: Version, names: Sequence[str], complete: str, abandon: str) -> str:
    """Return how a person ends the wait: completing the version without the named parts, after the words ``complete``.

    One that would hold no image then can only be abandoned, after the words ``abandon``.
    """
    if any(is_whole(build) and not gone_from(build) for build in version.builds):
        return f"{complete}: {by_hand(version, names)}"
    return f"{abandon}: packer-publisher versions abandon {shown(version.bucket)} {shown(version.fingerprint)}"


def _version(version: Version) -> str:
    return version.at


def _artifacts(build: Build) -> str:
    number = f" number {build.label(IMAGE_ID)}" if build.label(IMAGE_ID) else ""
    return listed([f"{a.external_identifier}{number} ({a.region})" for a in sorted(build.artifacts)][:4])


def _duration(seconds: float) -> str:
    minutes = int(seconds // 60)
    parts = [(minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "m")]
    return "".join(f"{number}{unit}" for number, unit in parts if number) or f"{int(seconds)}s"
