"""What a backfill would do with one version: the same plan as the events', predicted from what was read. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from packer_publisher.channels import channel_notes
from packer_publisher.converge import Reply, Settled, converge
from packer_publisher.dry_run import Prediction
from packer_publisher.errors import RegistryRefused
from packer_publisher.expectation import Quirks
from packer_publisher.image import ImageRef
from packer_publisher.labels import OWNER, is_our_build, is_whole
from packer_publisher.listing import lists
from packer_publisher.placement import Item
from packer_publisher.report import TELLING, Outcome
from packer_publisher.snapshot import Bucket, Build, BuildStatus, Latest, Parent, Version
from packer_publisher.steps import (
    Call,
    CreateBucket,
    CreateVersion,
    FillBuild,
    FindParent,
    ReadBucket,
    ReadChannel,
    ReadVersion,
)
from packer_publisher.verdict import Verdict, judge
from packer_publisher.wording import counted, listed

LEFT = "left"
"""The word for a version that a backfill leaves to the events; everything else has an outcome's word."""

ReadChannels = Callable[[ReadChannel], Reply]


@dataclass(frozen=True, slots=True)
class Prospect:
    """What would become of one version.

    ``action`` is ``create`` (the version), ``add`` (to it), ``unchanged``, ``cannot`` or ``left``. ``builds`` names the
    component types that would be filled, ``artifacts`` counts what they would list, ``calls`` the requests to the
    registry. ``completes`` says that the version would be complete afterwards, and was not. ``problems`` are reasons
    with what resolves them, ``notes`` what else to know. ``waits_for`` is what the version is short of afterwards.
    """

    action: str
    outcome: str
    name: str = ""
    builds: tuple[str, ...] = ()
    artifacts: int = 0
    calls: int = 0
    completes: bool = False
    creates_bucket: bool = False
    channels: tuple[str, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()
    seen_whole: bool = False
    waits_for: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def details(self) -> dict[str, object]:
        """Return it as the journal keeps it."""
        return {
            "action": self.action,
            "builds": list(self.builds),
            "artifacts": self.artifacts,
            "calls": self.calls,
            "completes": self.completes,
            "creates_bucket": self.creates_bucket,
            "channels": list(self.channels),
            "problems": [list(problem) for problem in self.problems],
            "seen_whole": self.seen_whole,
            "waits_for": list(self.waits_for),
            "notes": list(self.notes),
        }


def prospect(
    items: Sequence[Item], version: Version, bucket: Bucket, now: datetime, read_channel: ReadChannels
) -> Prospect:
    """Return what a backfill would do with the version of these items.

    ``bucket`` and ``version`` are what the registry said; ``read_channel`` asks it for a channel (only where one is
    asked for). Nothing is written.
    """
    reason = left_to_events(items, version, now)
    if reason:
        return Prospect(LEFT, LEFT, version.name, problems=((reason, "its events and the sweep go on with it"),))
    settled, calls = predict(items, version, bucket, read_channel)
    filled = [step for step in settled.written if isinstance(step, FillBuild)]
    verdicts = (*settled.verdicts, *unlisted(settled.items, settled.version))
    problems = tuple(dict.fromkeys((verdict.reason, verdict.remedy) for verdict in verdicts if verdict.reason))
    placements = [item.placement for item in settled.items]
    if not settled.written:
        action = "cannot" if problems else "unchanged"
    else:
        created = any(isinstance(step, CreateVersion) for step in settled.written)
        action = "create" if created else "add"
    return Prospect(
        action,
        worst(verdicts),
        version.name,
        tuple(sorted(step.component_type for step in filled)),
        sum(len(step.artifacts) for step in filled),
        calls,
        not version.complete and any(verdict.outcome is Outcome.COMPLETED for verdict in settled.verdicts),
        any(isinstance(step, CreateBucket) for step in settled.written),
        tuple(step.channel for step in settled.written if hasattr(step, "channel")),
        problems,
        seen_whole(items, version),
        tuple(dict.fromkeys(name for verdict in settled.verdicts for name in verdict.waits_for)),
        tuple(
            dict.fromkeys(
                [*(note for told in placements for note in told.notes), *channel_notes(placements, settled.version)]
            )
        ),
    )


def unlisted(items: Iterable[Item], version: Version) -> tuple[Verdict, ...]:
    """Return a verdict on each region of a build that is in the version without it, as the region's own event gets it.

    The build was written while that region was closed to whoever looked, or the image was copied there since.
    """
    there = {artifact.external_identifier for build in version.builds for artifact in build.artifacts}
    found: list[Verdict] = []
    for item in items:
        image = item.image
        if not any(lists(build, image) for build in version.builds):
            continue  # its own verdict tells
        for artifact in image.artifacts:
            if artifact.external_identifier not in there and not image.stands_behind:
                ref = ImageRef(image.platform, image.ref.owner_id, artifact.region, artifact.external_identifier)
                alone = replace(item, image=replace(image, ref=ref, artifacts=(artifact,)))
                found += judge((alone,), version, wrote=False)
    return tuple(found)


def seen_whole(items: Sequence[Item], version: Version) -> bool:
    """Return whether the survey found every image that a complete version holds: then it knows how old it is."""
    listed_here = {artifact for build in version.builds for artifact in build.artifacts}
    return version.complete and listed_here <= {artifact for item in items for artifact in item.image.artifacts}


def left_to_events(items: Sequence[Item], version: Version, now: datetime) -> str:
    """Return why a version is none of a backfill's business (yet), "" where it is.

    Its newest image may be one of several to come, or it holds an open build of somebody who is at work on it.
    """
    newest = max(items, key=lambda item: item.image.created_at)
    quiet = newest.placement.policy.quiet
    if now - newest.image.created_at < quiet:
        return f"{newest.image.at} is younger than the quiet time: more may come"
    if version.complete:
        return ""
    owners = {item.image.owner for item in items}
    types = {item.placement.component_type.casefold() for item in items}
    others = [build for build in version.builds if _is_anothers(build, owners, types)]
    if not others:
        return ""
    told = [f"{build.component_type} ({build.label(OWNER) or 'nobody yet'})" for build in others]
    return f"open builds belong to others: {listed(told)}"


def predict(items: Sequence[Item], version: Version, bucket: Bucket, read_channel: ReadChannels) -> tuple[Settled, int]:
    """Return how converging would end, and how many calls to the registry it would take at most after the first look.

    Parents are looked up when the builds are written, a search and a list of channels each: no other step depends on
    them.
    """
    prediction = Prediction()
    flow = converge(items, Quirks())
    calls = -1 if not version.exists else 0  # what is known to be missing is not read again

    def ask(call: Call) -> Reply:
        match call:
            case ReadVersion():
                return version
            case ReadBucket():
                return bucket
            case ReadChannel():
                return read_channel(call)
            case FindParent():
                return Parent()
            case _:
                raise TypeError(f"{type(call).__name__} is no read")

    call = next(flow)
    while True:
        calls += 2 if isinstance(call, FindParent) else 1
        try:
            reply: Reply = prediction.reply(call, ask)
        except RegistryRefused as refused:
            reply = refused
        try:
            call = flow.send(reply)
        except StopIteration as end:
            settled: Settled = end.value
            return settled, calls


def worst(verdicts: Sequence[Verdict]) -> str:
    """Return the outcome of a version: the one of its images that somebody should know first."""
    return str(min((verdict.outcome for verdict in verdicts), key=TELLING.index))


def latest_would_move_back(
    completing: Iterable[tuple[str, datetime]], latest: Latest, newest_image: datetime | None
) -> str:
    """Return why completing these versions would point ``latest`` to an older image than now, "" where it would not.

    ``completing`` are fingerprints with the creation of their newest image. ``newest_image`` is that of the version
    behind ``latest``, None where the survey did not find all of its images: then its own creation in HCP counts.
    """
    since = newest_image or latest.created_at
    if not latest.fingerprint or since is None:
        return ""
    older, last = 0, ("", since)
    for fingerprint, newest in completing:
        if newest < since:
            older += 1
            last = (fingerprint, newest) if not last[0] or newest > last[1] else last
    if not older:
        return ""
    now = f"latest points to {latest.name} ({latest.fingerprint}, {since:%Y-%m-%d})"
    return (
        f"{now}, and {counted(older, 'older version')} would be completed after it, the newest of them "
        f"{last[0]} ({last[1]:%Y-%m-%d})"
    )


def _is_anothers(build: Build, owners: set[str], types: set[str]) -> bool:
    if build.status is BuildStatus.DONE:
        return False
    if not is_our_build(build):
        return True
    if build.label(OWNER):
        return build.label(OWNER) not in owners
    return not is_whole(build) and build.component_type.casefold() not in types
