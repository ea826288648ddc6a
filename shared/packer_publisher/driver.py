"""The real driver of a convergence: HTTP, the image's cloud, retries and time.

The logic is :func:`packer_publisher.converge.converge`, which asks; :class:`Performer` carries out, call by call.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence

from packer_publisher.ancestry import MOST_HITS, Ancestors
from packer_publisher.converge import PERMISSION_DENIED, Reply, Settled
from packer_publisher.deadline import Deadline
from packer_publisher.dry_run import Prediction
from packer_publisher.errors import CredentialsTrouble, Forbidden, OutcomeUnknown, RegistryRefused
from packer_publisher.image import Platform
from packer_publisher.placement import Item
from packer_publisher.protocols import Cloud, Registry
from packer_publisher.snapshot import Channel, FoundArtifact
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
    ReadBucket,
    ReadChannel,
    ReadVersion,
    SetLabels,
    SetStatus,
)


class Performer:
    """Carries out calls one by one and counts those that go to the registry."""

    def __init__(
        self,
        registry: Registry,
        cloud: Callable[[Platform], Cloud],
        items: Sequence[Item],
        deadline: Deadline,
        ancestors: Ancestors,
        *,
        dry_run: bool,
    ) -> None:
        self._registry = registry
        self._cloud = cloud
        self._items = {item.image.ref.identifier: item for item in items}
        self._deadline = deadline
        self._ancestors = ancestors
        self._project = items[0].placement.policy.project
        self._prediction = Prediction() if dry_run else None
        self.calls = 0

    def perform(self, call: Call) -> Reply:
        """Return the reply to one call; refusals and lost replies are replies, other trouble is raised."""
        if isinstance(call, Gather):
            item = self._items[call.identifier]
            return self._cloud(item.image.platform).gather(item.image, item.placement, self._deadline)
        try:
            return self._ask(call) if self._prediction is None else self._prediction.reply(call, self._ask)
        except (RegistryRefused, OutcomeUnknown) as answer:
            return answer
        except CredentialsTrouble as denied:
            restricted = isinstance(call, ReadChannel | CreateChannel | AssignChannel)
            # A parent in a bucket that the credentials may not see: whether HCP minds is not documented.
            unseen = isinstance(call, FillBuild) and call.parent_version_id != "" and isinstance(denied, Forbidden)
            if restricted or unseen:
                return RegistryRefused(str(denied), code=PERMISSION_DENIED, status=403, remedy=denied.remedy)
            raise

    def _ask(self, call: Call) -> Reply:
        registry, deadline, project = self._registry, self._deadline, self._project
        if isinstance(call, FindParent):
            return self._ancestors.find(call, project, deadline.clock(), self._search, self._channels)
        self.calls += 1
        match call:
            case ReadVersion():
                return registry.get_version(call.bucket, call.fingerprint, deadline, project)
            case ReadBucket():
                return registry.get_bucket(call.bucket, deadline, project)
            case CreateBucket():
                return registry.create_bucket(call.bucket, call.description, call.labels, deadline, project)
            case CreateVersion():
                return registry.create_version(call.bucket, call.fingerprint, call.template_type, deadline, project)
            case CreateBuild():
                return registry.create_build(call, deadline, project)
            case ReadChannel():
                found = registry.get_channel(call.bucket, call.channel, deadline, project)
                return found or Channel(call.channel, exists=False)
            case CreateChannel():
                return registry.create_channel(
                    call.bucket, call.channel, deadline, project, version_fingerprint=call.fingerprint
                )
            case AssignChannel():
                return registry.update_channel(
                    call.bucket, call.channel, deadline, project, version_fingerprint=call.fingerprint
                )
            case FillBuild() | SetStatus() | SetLabels():
                return registry.update_build(call, deadline, project)
            case Gather():
                raise TypeError("a gather is asked of the cloud")

    def _search(self, asked: FindParent) -> Sequence[FoundArtifact]:
        self.calls += 1
        return self._registry.search_artifact(
            asked.identifier, asked.platform, self._deadline, self._project, limit=MOST_HITS
        )

    def _channels(self, bucket: str) -> Sequence[Channel]:
        self.calls += 1
        return self._registry.list_channels(bucket, self._deadline, self._project)


def drive(flow: Generator[Call, Reply, Settled], performer: Performer, deadline: Deadline) -> Settled:
    """Run a convergence to its end; after each setback a short pause with jitter lets rivals finish their writes."""
    setbacks = 0
    try:
        call = next(flow)
    except StopIteration as end:  # what was known before leaves nothing to do
        nothing: Settled = end.value
        return nothing
    while True:
        reply = performer.perform(call)
        if isinstance(reply, RegistryRefused | OutcomeUnknown):
            setbacks += 1
            rest_after(reply, setbacks, deadline)
        try:
            call = flow.send(reply)
        except StopIteration as end:
            settled: Settled = end.value
            return settled


def rest_after(setback: RegistryRefused | OutcomeUnknown, setbacks: int, deadline: Deadline) -> None:
    """Pause after the second setback and each further one, longer each time; OutcomeUnknown where no time is left."""
    if setbacks > 1 and not deadline.pause(random.uniform(0, 0.05 * 2 ** min(setbacks, 6))):  # noqa: S311  # jitter
        raise OutcomeUnknown(f"no time is left to settle it: {setback}")
