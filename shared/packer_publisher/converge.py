"""Converging one version: the thin generator around the plan.

It yields calls and is sent their replies, so one logic serves the driver (HTTP, clouds, time), the dry run (which
predicts the replies) and the tests, which own every interleaving. What it knows is a frozen :class:`Progress`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from packer_publisher.ancestry import lookup
from packer_publisher.channels import without
from packer_publisher.errors import OutcomeUnknown, RegistryRefused, RegistryTrouble, Rejected
from packer_publisher.expectation import Quirks
from packer_publisher.image import Image
from packer_publisher.placement import Item
from packer_publisher.plan import fold, next_call
from packer_publisher.snapshot import Bucket, Build, BuildStatus, Channel, Parent, Version
from packer_publisher.steps import (
    AssignChannel,
    Call,
    CreateBucket,
    CreateBuild,
    CreateChannel,
    CreateVersion,
    FillBuild,
    FindParent,
    Gather,
    Read,
    ReadBucket,
    ReadChannel,
    ReadVersion,
    SetLabels,
    SetStatus,
    Write,
)
from packer_publisher.verdict import Verdict, judge

Reply = Version | Channel | Bucket | Build | Image | Parent | RegistryRefused | OutcomeUnknown
"""A call's answer; the two errors are answers too: after them the version is read again, never written blindly."""

ALREADY_EXISTS = 6
INVALID_ARGUMENT = 3
NOT_FOUND = 5
PERMISSION_DENIED = 7
FAILED_PRECONDITION = 9
ABORTED = 10

DOUBTS = 2
"""After so many refusals something is taken for their reason: the first may be a read that lagged behind a rival."""

PATIENCE = 6
"""How often one and the same write may be refused, or a reply be lost, before the event is left to a retry."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The end of one convergence: the verdicts in the order of the items, what was last known and was written.

    ``reduced`` are the writes that list an image in fewer regions than it has (see :class:`Quirks`), ``orphaned`` those
    that left out a parent which HCP refused.
    """

    verdicts: tuple[Verdict, ...]
    items: tuple[Item, ...]
    version: Version
    written: tuple[Write, ...]
    quirks: Quirks
    reduced: tuple[Write, ...] = ()
    orphaned: tuple[Write, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one convergence is: all that a handler knows. Frozen, so that a test can branch from any point.

    ``version`` is the last read with the replies since folded in, None when it is not to be trusted. ``written`` are
    the writes sent (a lost one among them may not have happened), ``refused`` the refused ones with their gRPC codes,
    ``lost`` counts replies that never came, ``unanswered`` the writes among them. ``learned`` is what refusals suggest
    beyond ``quirks``.
    """

    items: tuple[Item, ...]
    quirks: Quirks = field(default_factory=Quirks)
    version: Version | None = None
    written: tuple[Write, ...] = ()
    refused: tuple[tuple[Write, int], ...] = ()
    lost: int = 0
    learned: Quirks = field(default_factory=Quirks)
    unanswered: tuple[Write, ...] = ()

    def answered(self, call: Write) -> bool:
        """Return whether this very write was made and answered."""
        return self.written.count(call) > self.unanswered.count(call)

    def codes(self, call: Write) -> tuple[int, ...]:
        """Return the codes with which this very write was refused, with its parents or without them."""
        return tuple(code for refused, code in self.refused if _orphan(refused) == _orphan(call))

    def times_refused(self, call: Write) -> int:
        """Return how often this very write was refused, just as it is."""
        return sum(refused == call for refused, _ in self.refused)

    @property
    def assumed(self) -> Quirks:
        """Return what is taken for true of the registry."""
        return Quirks(
            self.quirks.running_first or self.learned.running_first,
            self.quirks.single_region or self.learned.single_region,
        )


def converge(items: Sequence[Item], quirks: Quirks, known: Version | None = None) -> Generator[Call, Reply, Settled]:
    """Yield the calls that converge the version of these images, be sent the replies, return how it ended.

    ``known`` is what was read of the version before; without it the first call is a read. Raises as :func:`received`.
    """
    progress = Progress(tuple(items), quirks, known)
    while True:
        progress, call = next_request(progress)
        if call is None:
            return settle(progress)
        progress = received(progress, call, (yield call))


def next_request(progress: Progress) -> tuple[Progress, Call | None]:
    """Return the next call, None at the end, and the progress with what refusals have taught."""
    while True:
        call = next_call(progress.items, progress.version, progress.assumed)
        if isinstance(call, SetLabels | AssignChannel) and progress.answered(call):
            progress = replace(progress, version=_not_shown(call, progress.version))
            continue
        if not isinstance(call, FillBuild | SetStatus):
            return progress, call
        orphan = _orphan(call)
        if orphan != call and progress.times_refused(call) >= DOUBTS and not progress.times_refused(orphan):
            return progress, orphan
        if orphan == call or progress.times_refused(orphan):
            learned = _learn(call, progress.codes(call), progress.assumed)
            if learned != progress.assumed:
                progress = replace(progress, learned=learned)
                continue
        return progress, call


def received(progress: Progress, call: Call, reply: Reply) -> Progress:
    """Return the progress after the reply to a call.

    Raises Rejected where the registry calls the content of a write invalid, and RegistryTrouble where the same write
    is refused again and again although fresh reads still ask for it, where replies keep getting lost (OutcomeUnknown),
    or where a read is refused.
    """
    reads = isinstance(call, Read)
    if isinstance(reply, OutcomeUnknown):
        if progress.lost >= PATIENCE:
            raise reply
        progress = replace(progress, version=None, lost=progress.lost + 1)
        if reads:
            return progress
        # The write may have happened; what the next read shows decides.
        write = cast("Write", call)
        return replace(progress, written=(*progress.written, write), unanswered=(*progress.unanswered, write))
    if isinstance(reply, RegistryRefused):
        if isinstance(call, ReadChannel):
            return replace(progress, version=_after_channel_refusal(call, reply, progress.version, 0))
        if isinstance(call, ReadVersion | ReadBucket | FindParent | Gather):
            raise RegistryTrouble(f"HCP Packer refused to be read: {reply}", remedy=reply.remedy) from reply
        times = len(progress.codes(call)) + 1
        after = _after_channel_refusal if isinstance(call, CreateChannel | AssignChannel) else _after_refusal
        version = after(call, reply, progress.version, times)
        return replace(progress, version=version, refused=(*progress.refused, (call, reply.code)))
    items, version = _after_reply(call, reply, progress.items, progress.version)
    written = progress.written if reads else (*progress.written, cast("Write", call))
    return replace(progress, items=items, version=version, written=written)


def settle(progress: Progress) -> Settled:
    """Return the end of a convergence that has nothing left to do."""
    if progress.version is None:
        raise TypeError("a convergence ends on a read")
    changed = any(not isinstance(call, CreateChannel | AssignChannel) for call in progress.written)
    verdicts = judge(progress.items, progress.version, wrote=changed)
    reduced = _reduced(progress.written, progress.items)
    # What refusals suggested counts for the process only where the write that was made instead has succeeded.
    ran = any(isinstance(call, SetStatus) and call.status is BuildStatus.RUNNING for call in progress.written)
    proven = Quirks(
        progress.quirks.running_first or (progress.learned.running_first and ran),
        progress.quirks.single_region or (progress.learned.single_region and bool(reduced)),
    )
    orphaned = _orphaned(progress.written, progress.refused)
    return Settled(verdicts, progress.items, progress.version, progress.written, proven, reduced, orphaned)


def _not_shown(call: SetLabels | AssignChannel, version: Version | None) -> Version | None:
    """Return the last read with a write taken as made that was answered, though a read since does not show it.

    Reads may lag behind writes; neither of these two is worth a second write in one handler.
    """
    if version is None:
        return None
    if isinstance(call, AssignChannel):
        late = Channel(call.channel, problem="it was set, and a read since does not show it; the sweep looks again")
        return replace(version, channels=(*without(version, call.channel), late))
    build = next(build for build in version.builds if build.id == call.build_id)
    others = tuple(other for other in version.builds if other.id != build.id)
    return replace(version, builds=(*others, replace(build, labels=call.labels)))


def _after_reply(
    call: Call,
    reply: Version | Channel | Bucket | Build | Image | Parent,
    items: tuple[Item, ...],
    version: Version | None,
) -> tuple[tuple[Item, ...], Version | None]:
    """Return the items and the last read with one reply folded in."""
    match call, reply:
        case ReadVersion(), Version():
            return items, reply
        case Gather(identifier=identifier), Image():
            return tuple(
                replace(item, image=reply) if item.image.ref.identifier == identifier else item for item in items
            ), version
        case FindParent(), Parent():
            return tuple(replace(item, parent=reply) if lookup(item) == call else item for item in items), version
        case CreateVersion(), Version():
            return items, replace(reply, fresh=False)
        case CreateBucket(), Bucket() if version is not None:
            return items, replace(version, bucket_missing=False)
        case ReadBucket(), Bucket() if version is not None:
            return items, replace(version, latest=reply.latest)
        case CreateBuild() | FillBuild() | SetStatus() | SetLabels(), Build() if version is not None:
            return items, fold(version, call, reply)
        case ReadChannel(channel=name), Channel() if version is not None:
            known = replace(reply, name=name) if not reply.exists else reply
            return items, replace(version, channels=(*without(version, name), known))
        case CreateChannel(channel=name) | AssignChannel(channel=name), Channel() if version is not None:
            return items, replace(version, channels=without(version, name))  # read again until it holds
        case _:
            raise TypeError(f"{type(call).__name__} was answered with {type(reply).__name__}")


def _after_channel_refusal(call: Call, error: RegistryRefused, version: Version | None, times: int) -> Version | None:
    """Return the last read with a channel marked as refused: the image is registered, and no channel undoes that."""
    if version is None or not isinstance(call, ReadChannel | CreateChannel | AssignChannel):
        return None
    if isinstance(call, CreateChannel) and error.code == ALREADY_EXISTS and times < 2:
        return replace(version, channels=without(version, call.channel))
    refused = Channel(call.channel, problem=str(error))
    return replace(version, channels=(*without(version, call.channel), refused))


def _after_refusal(call: Write, error: RegistryRefused, version: Version | None, times: int) -> Version | None:
    """Return the last read after a definite refusal: mostly none, so that the version is read again.

    A refusal is how the registry tells that somebody else was first (ALREADY_EXISTS), that the version is sealed
    (FAILED_PRECONDITION) or unknown (ABORTED, NOT_FOUND): what the next read shows decides.
    """
    if times > PATIENCE:
        raise RegistryTrouble(f"HCP Packer keeps refusing {_what(call)}: {error}") from error
    if isinstance(call, CreateVersion) and error.code == NOT_FOUND and version is not None:
        return replace(version, bucket_missing=True)
    if isinstance(call, CreateBucket) and error.code == ALREADY_EXISTS and version is not None:
        return replace(version, bucket_missing=False)
    finishing = isinstance(call, FillBuild | SetStatus) and call.status is BuildStatus.DONE
    with_parent = _orphan(call) != call
    if error.code == PERMISSION_DENIED and with_parent:
        return None
    if error.code == INVALID_ARGUMENT and not finishing and not with_parent:
        raise Rejected(f"HCP Packer refused {_what(call)}: {error}", remedy=error.remedy)
    if error.code not in (ALREADY_EXISTS, FAILED_PRECONDITION, ABORTED, NOT_FOUND, INVALID_ARGUMENT):
        # HCP's own fault, or (without a code) the answer of something in front of it: no fault of the image.
        raise RegistryTrouble(f"HCP Packer cannot be asked {_what(call)}: {error}", remedy=error.remedy) from error
    return None


def _learn(call: FillBuild | SetStatus, codes: tuple[int, ...], quirks: Quirks) -> Quirks:
    """Return what a write that fresh reads still ask for, though it was refused, teaches about this registry.

    Only the second refusal teaches: the first may be a read that lagged behind a rival's write. A duplicate
    (ALREADY_EXISTS) while no platform is set is the identifier that stands twice; a failed precondition of DONE is that
    the build was not RUNNING.
    """
    if len(codes) < DOUBTS:
        return quirks
    identifiers = [artifact.external_identifier for artifact in getattr(call, "artifacts", ())]
    if codes.count(ALREADY_EXISTS) > 1 and len(set(identifiers)) < len(identifiers):
        return replace(quirks, single_region=True)
    if call.status is BuildStatus.DONE and ALREADY_EXISTS not in codes[-2:]:
        return replace(quirks, running_first=True)
    return quirks


def _orphan(call: Write) -> Write:
    """Return a write without its parents: what is tried where it may be the parents that HCP refuses.

    They may be deleted, or belong to a bucket that the credentials may not see; neither is a fault of the image.
    """
    return replace(call, parent_version_id="", parent_channel_id="") if isinstance(call, FillBuild) else call


def _orphaned(written: Sequence[Write], refused: Sequence[tuple[Write, int]]) -> tuple[Write, ...]:
    with_parents = [call for call, _ in refused if _orphan(call) != call]
    return tuple(call for call in written if call in map(_orphan, with_parents))


def _reduced(written: Sequence[Write], items: Sequence[Item]) -> tuple[Write, ...]:
    regions = {
        artifact.external_identifier: len(item.image.artifacts) for item in items for artifact in item.image.artifacts
    }
    return tuple(
        call
        for call in written
        if isinstance(call, FillBuild)
        and any(len(call.artifacts) < regions.get(artifact.external_identifier, 0) for artifact in call.artifacts)
    )


def _what(call: Write) -> str:
    match call:
        case CreateBucket(bucket=bucket):
            return f"to create bucket {bucket}"
        case CreateVersion(bucket=bucket, fingerprint=fingerprint):
            return f"to create version {fingerprint} in bucket {bucket}"
        case CreateChannel(channel=channel) | AssignChannel(channel=channel):
            return f"to set channel {channel} of bucket {call.bucket}"
        case CreateBuild() | FillBuild() | SetStatus() | SetLabels():
            verb = "to create" if isinstance(call, CreateBuild) else "to update"
            return f"{verb} build {call.component_type} of version {call.fingerprint} in bucket {call.bucket}"
