"""What the registry must hold, derived from the clouds and the reports alone; nothing of the plan is used here.

Each function returns the violations in words, so that a failing run names all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from packer_publisher.image import Image, ImageRef, Platform
from packer_publisher.placement import Placement
from packer_publisher.report import Outcome, Report
from packer_publisher.snapshot import Build, BuildStatus, Version

MARKER, OWNER = "packer-publisher", "image-owner"
PLATFORMS = frozenset(Platform)
IN = (Outcome.REGISTERED, Outcome.COMPLETED, Outcome.UNCHANGED)


@dataclass(frozen=True)
class Made:
    """One build as its cloud shows it: the images of one name in all regions, and where they belong."""

    images: tuple[Image, ...]
    placement: Placement

    @property
    def listed_as(self) -> frozenset[tuple[str, str]]:
        """Return region and identifier of everything that the build should list."""
        return frozenset((a.region, a.external_identifier) for image in self.images for a in image.artifacts)

    @property
    def component_type(self) -> str:
        return self.placement.component_type.casefold()


def holds(build: Build) -> frozenset[tuple[str, str]]:
    """Return region and identifier of what a build lists."""
    return frozenset((a.region, a.external_identifier) for a in build.artifacts)


def is_packers(build: Build) -> bool:
    """Return whether a run of Packer has it, by the one thing that only Packer writes."""
    return build.packer_run_uuid != ""


def is_filled(build: Build) -> bool:
    """Return whether it holds images for good: a platform is written once, with them."""
    return bool(build.platform) and (not is_packers(build) or build.status is BuildStatus.DONE)


def is_noted(build: Build) -> bool:
    """Return whether an open build of ours says that an image of it is gone."""
    ours = bool(build.label(MARKER)) and not is_packers(build) and build.status is not BuildStatus.DONE
    return ours and any(value for key, value in build.labels if key == "gone" or key.startswith("gone-"))


def names_in(build: Build) -> frozenset[str]:
    """Return what a build's labels say that the version consists of."""
    return frozenset(
        name for key, value in build.labels if key == "expects" or key.startswith("expects-") for name in value.split()
    )


def declared_in(version: Version) -> frozenset[str]:
    """Return what the builds of ours say, together."""
    ours = [build for build in version.builds if build.label(MARKER) and not is_packers(build)]
    return frozenset().union(*(names_in(build) for build in ours))


def abandoned_in(version: Version) -> bool:
    """Return whether a person has abandoned the open version: a build of ours says so."""
    ours = [build for build in version.builds if build.label(MARKER) and not is_packers(build)]
    return not version.complete and any(build.label("abandoned") for build in ours)


def lacking(names: Iterable[str], version: Version) -> list[str]:
    """Return those of the names that no filled build answers whose images are there."""
    filled = [build for build in version.builds if is_filled(build) and not is_noted(build)]
    platforms = {build.platform for build in filled}
    types = {build.component_type.casefold() for build in filled}
    return sorted(
        name for name in names if (name not in platforms if name in PLATFORMS else name.casefold() not in types)
    )


def misplaced(made: Sequence[Made], version: Version, reports: Mapping[ImageRef, Report]) -> list[str]:
    """Return where registry and clouds differ although no report says why, or a report says what is not so."""
    found: list[str] = []
    for build in made:
        told = [(image, reports[image.ref]) for image in build.images if image.ref in reports]
        where = f"{build.images[0].name} ({build.images[0].owner}) of {version.fingerprint}"
        if not told:
            found.append(f"{where}: nobody reported on it")
            continue
        found += [f"{where}: {p}" for image, report in told for p in _belied(build, image, report, made, version)]
        if all(report.outcome in IN for _, report in told):
            held = frozenset(item for other in version.builds for item in holds(other))
            absent = [
                image.ref
                for image in build.images
                if not {(a.region, a.external_identifier) for a in image.artifacts} <= held
            ]
            found += [f"{where}: {ref.region} is lost" for ref in absent]
    return found


def _belied(build: Made, image: Image, report: Report, made: Sequence[Made], version: Version) -> list[str]:
    """Return what of a report is not so."""
    here = [other for other in version.builds if other.component_type.casefold() == build.component_type]
    held = frozenset(item for other in version.builds for item in holds(other))
    own = {(a.region, a.external_identifier) for a in image.artifacts}
    shares = bool(own & held)
    rivals = [other for other in made if other is not build and other.component_type == build.component_type]
    taken = any(is_filled(other) and not holds(other) & own for other in here)
    owned = any(o.label(OWNER) not in ("", build.images[0].owner) for o in here)
    empty = any(not is_filled(other) or is_noted(other) for other in version.builds)
    match report.outcome:
        case outcome if outcome in IN:
            so = shares and (version.complete or bool(report.waits_for) or empty)
        case Outcome.LATE:
            # After completion, or a platform that no build could carry any more.
            unheard = set(build.placement.expects) & set(PLATFORMS) - declared_in(version)
            so = not shares if version.complete else shares and bool(unheard)
        case Outcome.CONFLICT:
            so = not shares and (bool(rivals) or taken or owned)
        case Outcome.WAITING:
            so = not version.complete and empty
        case Outcome.REJECTED:
            so = abandoned_in(version)
        case Outcome.SUPERSEDED:
            so = not version.complete and shares
        case _:
            so = False
    return [] if so else [f"{report.outcome} is not so: {report.reason} {report.waits_for}"]


def stuck(made: Sequence[Made], version: Version, others: Iterable[Version]) -> list[str]:
    """Return why a version that lacks nothing should be complete, after quiet and a sweep."""
    if not version.exists or version.complete or not version.builds or abandoned_in(version):
        return []
    registered = [build for build in made if any(build.listed_as & holds(other) for other in version.builds)]
    declared = declared_in(version).union(*(build.placement.expects for build in registered))
    waits = lacking(declared, version) or [b.component_type for b in version.builds if not is_filled(b) or is_noted(b)]
    newer = [other for other in others if other.complete and _created(other) > _created(version)]
    if not registered or waits or (newer and not declared):
        return []  # nobody's image is left to finish it, something is waited for, or finishing would pull latest back
    types = ", ".join(build.component_type for build in version.builds)
    return [f"version {version.fingerprint} lacks nothing and is not complete: {types}"]


def misdirected(
    made: Sequence[Made],
    versions: Sequence[Version],
    asked: Collection[str],
    points: str,
) -> list[str]:
    """Return why the channel does not point to the newest complete version that asks for it.

    ``asked`` are the fingerprints for which any image ever asked for it; ``points`` is where it points to.
    """
    complete = {version.fingerprint: version for version in versions if version.complete}
    asking = {
        build.placement.fingerprint
        for build in made
        if build.placement.channels and build.placement.fingerprint in complete
        if any(build.listed_as & holds(other) for other in complete[build.placement.fingerprint].builds)
    }
    newest = max(asking, key=lambda fingerprint: int(complete[fingerprint].name[1:]), default="")
    if points and points not in asked:
        return [f"channel production points to {points}, which nobody asked for"]
    behind = newest and (not points or int(complete[points].name[1:]) < int(complete[newest].name[1:]))
    return [f"channel production points to {points or 'nothing'}, and {newest} asks for it"] if behind else []


def _created(version: Version) -> float:
    assert version.created_at is not None
    return version.created_at.timestamp()
