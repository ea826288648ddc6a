"""AWS on this machine: moto on loopback, in which images appear as Packer makes them, for the demo and the tests.

moto keeps its accounts in this process, so only one :class:`LocalAWS` runs at a time. What moto leaves out is set on
its own records, after the real call was made: the source image of a copy, tags and architecture of a registered image,
creation times, the states that take time in AWS.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from packer_publisher.local.aws_events import Event, state_change, tag_change

if TYPE_CHECKING:
    from boto3 import Session
    from moto.server import ThreadedMotoServer
    from mypy_boto3_ec2 import EC2Client

REGIONS = ("eu-west-1", "us-east-1", "us-west-2")
NOT_ENABLED = ("me-south-1",)

_running = Lock()
_sources: dict[str, dict[str, str]] = {}  # image -> its source image and that one's region


@dataclass(frozen=True, slots=True)
class LocalBuild:
    """What one Packer run made: an image per region, and the events of all of them in the order they happened."""

    images: Mapping[str, str]
    events: tuple[Event, ...]


class LocalAWS:
    """moto's server on a free port of 127.0.0.1, as a context manager; leaving it forgets all accounts.

    ``regions`` are enabled, ``not_enabled`` exist and are not; moto itself would list those of other partitions, too.
    """

    def __init__(self, regions: Sequence[str] = REGIONS, not_enabled: Sequence[str] = NOT_ENABLED) -> None:
        self._regions = tuple(regions)
        self._not_enabled = tuple(not_enabled)
        self._server: ThreadedMotoServer | None = None
        self.endpoint = ""

    def __enter__(self) -> Self:
        if not _running.acquire(blocking=False):
            raise RuntimeError("only one local AWS can run in a process: moto keeps its accounts there")
        # Some 600 public images per region, made on first use, would cost a second each and are never looked at.
        os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
        from moto.server import ThreadedMotoServer

        self._list_regions()
        _teach_ancestry()
        _teach_filters()
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from moto.core.base_backend import BackendDict

        if self._server is not None:
            self._server.stop()
            self._server = None
        BackendDict.reset()
        _sources.clear()
        _running.release()

    def account(self, account_id: str, home: str = "us-east-1") -> LocalAccount:
        """Return an account with its own credentials; ``home`` is the region of its function."""
        sts = _session({"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}, home).client(
            "sts", endpoint_url=self.endpoint
        )
        given = sts.assume_role(RoleArn=f"arn:aws:iam::{account_id}:role/packer", RoleSessionName="packer")[
            "Credentials"
        ]
        return LocalAccount(
            account_id,
            home,
            self.endpoint,
            {
                "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
                "AWS_SESSION_TOKEN": given["SessionToken"],
            },
        )

    def _list_regions(self) -> None:
        from moto.ec2.models.availability_zones_and_regions import Region, RegionsAndZonesBackend

        RegionsAndZonesBackend.regions = [
            *(Region(name, f"ec2.{name}.amazonaws.com", "opt-in-not-required") for name in self._regions),
            *(Region(name, f"ec2.{name}.amazonaws.com", "not-opted-in") for name in self._not_enabled),
        ]


class LocalAccount:
    """One account of the local AWS: its images, and what Packer does with them."""

    def __init__(self, account_id: str, home: str, endpoint: str, credentials: Mapping[str, str]) -> None:
        self.account_id = account_id
        self.home = home
        self.endpoint = endpoint
        self._credentials = dict(credentials)
        self._session = _session(credentials, home)
        self._clients: dict[str, EC2Client] = {}
        self._versions: dict[str, int] = {}  # image -> how often its tags changed

    @property
    def environment(self) -> dict[str, str]:
        """Return what Lambda sets for a function of this account, and the address of the local AWS."""
        return {
            **self._credentials,
            "AWS_REGION": self.home,
            "AWS_DEFAULT_REGION": self.home,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def session(self) -> Session:
        """Return the boto3 session with this account's credentials; the endpoint stays AWS_ENDPOINT_URL's matter."""
        return self._session

    def ec2(self, region: str) -> EC2Client:
        """Return a client for a region of this account."""
        if region not in self._clients:
            self._clients[region] = self._session.client("ec2", region_name=region, endpoint_url=self.endpoint)
        return self._clients[region]

    def build(
        self,
        name: str,
        tags: Mapping[str, str],
        *,
        region: str = "",
        copies: Sequence[str] = (),
        run_tags: Mapping[str, str] | None = None,
        architecture: str = "x86_64",
        created: datetime | None = None,
        tag_order: Sequence[str] | None = None,
    ) -> LocalBuild:
        """Make images as an amazon-ebs build does, and return them with the events that AWS would send.

        CreateImage in ``region`` (default: home) with ``run_tags``; a CopyImage into each of ``copies``; when all are
        available one CreateTags per region with ``tags``, in ``tag_order`` (Packer's is random, and a shorter one is
        a run that failed on the way).
        """
        first = region or self.home
        inherited = dict(run_tags or {})
        images = {first: self.create(name, inherited, region=first, architecture=architecture, created=created)}
        for target in copies:
            images[target] = self.copy(images[first], first, target, name, inherited, created=created)
        events = [state_change(self.account_id, where, image, "available") for where, image in images.items()]
        order = tuple(images) if tag_order is None else tag_order
        events.extend(self.tag(where, images[where], tags) for where in order)
        return LocalBuild(images, tuple(events))

    def create(
        self,
        name: str,
        tags: Mapping[str, str],
        *,
        region: str = "",
        architecture: str = "x86_64",
        created: datetime | None = None,
    ) -> str:
        """Launch an instance of a source image and make an image of it (CreateImage); return the image's id."""
        where = region or self.home
        ec2 = self.ec2(where)
        source = ec2.register_image(Name=f"source of {name}", RootDeviceName="/dev/xvda")["ImageId"]
        self.record(where, source).architecture = architecture
        instance = ec2.run_instances(ImageId=source, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
        image = ec2.create_image(InstanceId=instance, Name=name)["ImageId"]
        self.record(where, image).architecture = architecture
        self._descend(where, image, where, source)
        self._finish(where, image, tags, created)
        ec2.terminate_instances(InstanceIds=[instance])
        return image

    def register(
        self, name: str, *, region: str = "", architecture: str = "x86_64", created: datetime | None = None
    ) -> str:
        """Make an image from snapshots (RegisterImage: no source image, no tags); return its id."""
        where = region or self.home
        image = self.ec2(where).register_image(Name=name, RootDeviceName="/dev/xvda")["ImageId"]
        self.record(where, image).architecture = architecture
        self._finish(where, image, {}, created)
        return image

    def copy(
        self,
        image: str,
        source_region: str,
        region: str,
        name: str,
        tags: Mapping[str, str],
        *,
        created: datetime | None = None,
    ) -> str:
        """Copy an image (CopyImage with CopyImageTags, which moto does not know: ``tags`` are set); return its id."""
        copied = self.ec2(region).copy_image(Name=name, SourceImageId=image, SourceRegion=source_region)["ImageId"]
        self._descend(region, copied, source_region, image)
        self._finish(region, copied, tags, created)
        return copied

    def tag(self, region: str, image: str, tags: Mapping[str, str]) -> Event:
        """Set tags on an image (one CreateTags); return the event, with the complete set after the change."""
        if tags:
            pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
            self.ec2(region).create_tags(Resources=[image], Tags=pairs)  # type: ignore[arg-type]  # its TypedDict
        return self.tag_event(region, image, tuple(tags))

    def tag_event(self, region: str, image: str, changed: Sequence[str]) -> Event:
        """Return the event of a tag change that left the image with the tags that it has now."""
        described = self.ec2(region).describe_images(ImageIds=[image])["Images"][0]
        now = {tag["Key"]: tag["Value"] for tag in described.get("Tags", ())}
        self._versions[image] = self._versions.get(image, 0) + 1
        return tag_change(self.account_id, region, image, changed, now, self._versions[image])

    def deregister(self, region: str, image: str) -> Event:
        """Remove an image; return the event."""
        self.ec2(region).deregister_image(ImageId=image)
        return state_change(self.account_id, region, image, "deregistered")

    def set_state(self, region: str, image: str, state: str) -> None:
        """Put an image into a state that takes time in AWS (``pending``) or is made by other calls."""
        self.record(region, image).state = state

    def record(self, region: str, image: str) -> Any:
        """Return moto's own record of an image."""
        from moto.ec2.models import ec2_backends

        return ec2_backends[self.account_id][region].amis[image]

    def _descend(self, region: str, image: str, source_region: str, source: str) -> None:
        record = self.record(region, image)
        record.source_image_id, record.source_image_region = source, source_region
        _sources[image] = {"SourceImageId": source, "SourceImageRegion": source_region}

    def _finish(self, region: str, image: str, tags: Mapping[str, str], created: datetime | None) -> None:
        self.record(region, image).creation_date = created or datetime.now(UTC)
        if tags:
            self.tag(region, image, tags)


def _teach_ancestry() -> None:
    """Teach moto GetImageAncestry; in AWS, too, deregistered ancestors stay in the chain."""
    from moto.core.responses import ActionResult
    from moto.ec2.responses import EC2Response

    def get_image_ancestry(self: EC2Response) -> ActionResult:
        image = self._get_param("ImageId")
        chain: list[dict[str, str]] = []
        while image:
            chain.append({"ImageId": image, **_sources.get(image, {})})
            image = chain[-1].get("SourceImageId")
        return ActionResult({"ImageAncestryEntries": chain})

    EC2Response.get_image_ancestry = get_image_ancestry  # type: ignore[attr-defined]  # what moto lacks


@cache
def _teach_filters() -> None:
    """Teach moto, once, about DescribeImages: Owners beside ImageIds, the filters source-image-id, creation-date."""
    from moto.ec2.models.amis import Ami, AmiBackend

    describe_images, get_filter_value = AmiBackend.describe_images, Ami.get_filter_value

    def describe_owned(
        self: AmiBackend,
        ami_ids: list[str] | None = None,
        filters: dict[str, Any] | None = None,
        exec_users: list[str] | None = None,
        owners: list[str] | None = None,
    ) -> list[Any]:
        found = describe_images(self, ami_ids, filters, exec_users, owners)
        if not (ami_ids and owners):
            return list(found)
        own = self.account_id  # type: ignore[attr-defined]  # of the backend that moto mixes this into
        wanted = {own if owner == "self" else owner for owner in owners}
        return [ami for ami in found if ami.owner_id in wanted]

    def filtered_value(self: Ami, filter_name: str, method_name: str | None = None) -> Any:
        if filter_name == "source-image-id":
            return _sources.get(self.id, {}).get("SourceImageId")
        if filter_name == "creation-date":
            return f"{self.creation_date:%Y-%m-%dT%H:%M:%S.000Z}"
        return get_filter_value(self, filter_name, method_name)

    AmiBackend.describe_images = describe_owned  # type: ignore[method-assign]  # what moto lacks
    Ami.get_filter_value = filtered_value  # type: ignore[method-assign]  # likewise


def _session(credentials: Mapping[str, str], region: str) -> Session:
    import boto3

    return boto3.Session(
        aws_access_key_id=credentials["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=credentials.get("AWS_SESSION_TOKEN"),
        region_name=region,
    )
