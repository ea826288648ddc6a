"""The images of the EC2 stand-in: single ones, and as many as a test wants, made when they are looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape

_ID_DIGITS = 17


@dataclass(frozen=True, slots=True)
class AMI:
    """One image as EC2 keeps it. ``source`` and ``source_region`` are what CreateImage or CopyImage was given."""

    image_id: str
    name: str
    owner: str
    created: datetime
    tags: Mapping[str, str] = field(default_factory=dict)
    state: str = "available"
    architecture: str = "x86_64"
    deprecated: datetime | None = None
    source: str = ""
    source_region: str = ""
    source_instance: str = ""

    @property
    def creation_date(self) -> str:
        """Return the time of creation in EC2's text."""
        return f"{self.created.astimezone(UTC):%Y-%m-%dT%H:%M:%S.000Z}"

    def xml(self) -> str:
        """Return the image as DescribeImages writes it."""
        more = "".join(
            f"<{key}>{value}</{key}>"
            for key, value in (
                ("sourceInstanceId", self.source_instance),
                ("sourceImageId", self.source),
                ("sourceImageRegion", self.source_region),
                ("deprecationTime", f"{self.deprecated:%Y-%m-%dT%H:%M:00.000Z}" if self.deprecated else ""),
            )
            if value
        )
        tags = "".join(
            f"<item><key>{escape(key)}</key><value>{escape(value)}</value></item>" for key, value in self.tags.items()
        )
        name = escape(self.name)
        return (
            f"<item><imageId>{self.image_id}</imageId><imageLocation>{self.owner}/{name}</imageLocation>"
            f"<imageState>{self.state}</imageState><imageOwnerId>{self.owner}</imageOwnerId>"
            f"<creationDate>{self.creation_date}</creationDate><isPublic>false</isPublic>"
            f"<architecture>{self.architecture}</architecture><imageType>machine</imageType><name>{name}</name>"
            "<rootDeviceType>ebs</rootDeviceType><rootDeviceName>/dev/xvda</rootDeviceName><blockDeviceMapping><item>"
            f"<deviceName>/dev/xvda</deviceName><ebs><snapshotId>snap-{self.image_id[4:]}</snapshotId>"
            "<volumeSize>8</volumeSize><deleteOnTermination>true</deleteOnTermination><volumeType>gp3</volumeType>"
            "<encrypted>false</encrypted></ebs></item></blockDeviceMapping>"
            f"<virtualizationType>hvm</virtualizationType><tagSet>{tags}</tagSet><hypervisor>xen</hypervisor>"
            f"{more}</item>"
        )


@dataclass(frozen=True, slots=True)
class Shares:
    """How many of a thousand releases are not simply tagged and available; the first that applies counts."""

    untagged: int = 100
    half_tagged: int = 10  # the bucket alone
    disabled: int = 10
    pending: int = 2
    failed: int = 2
    deprecated: int = 100


@dataclass(frozen=True, slots=True)
class Fleet:
    """Releases of an account, each with an image in every region; nothing is kept, all follows from the seed.

    Release ``n`` goes to one of ``buckets`` buckets, has its own fingerprint and name, and was made ``n`` times
    ``every`` after ``first`` in the first region; the others hold copies of that image.
    """

    owner: str
    regions: Sequence[str]
    releases: int
    seed: int = 0
    buckets: int = 20
    shares: Shares = Shares()
    first: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    every: timedelta = timedelta(minutes=30)

    def image(self, region: str, release: int) -> AMI:
        """Return a release's image in a region."""
        at = self.regions.index(region)
        digest = self._digest(release)
        bucket = f"bucket-{digest[0] % self.buckets:02}"
        tags = {"Name": bucket, "hcp-packer-bucket": bucket, "hcp-packer-fingerprint": f"{digest[1:7].hex()}-{release}"}
        state, deprecated = "available", None
        match self._kind(digest):
            case "untagged":
                tags = {"Name": bucket}
            case "half_tagged":
                del tags["hcp-packer-fingerprint"]
            case "deprecated":
                deprecated = self.first + self.every * release + timedelta(days=90)
            case "":
                pass
            case other:
                state = other
        return AMI(
            image_id=self._id(at, release, digest),
            name=f"{bucket}-{release:07}",
            owner=self.owner,
            created=self.first + self.every * release + timedelta(minutes=at),
            tags=tags,
            state=state,
            architecture="arm64" if digest[9] % 4 == 0 else "x86_64",
            deprecated=deprecated,
            source=self._id(0, release, digest) if at else f"ami-{digest.hex()[:_ID_DIGITS]}",
            source_region=self.regions[0],
            source_instance="" if at else f"i-{digest.hex()[:_ID_DIGITS]}",
        )

    def find(self, region: str, image_id: str) -> AMI | None:
        """Return the image of that id, None where the region has none."""
        try:
            at, release = int(image_id[4:6], 16), int(image_id[6:13], 16)
        except ValueError:
            return None
        if at != self.regions.index(region) or release >= self.releases:
            return None
        found = self.image(region, release)
        return found if found.image_id == image_id else None

    def _digest(self, release: int) -> bytes:
        return hashlib.blake2b(f"{self.seed}:{release}".encode(), digest_size=16).digest()

    def _kind(self, digest: bytes) -> str:
        """Return what is special about a release: the name of a share, "" for nothing."""
        drawn = int.from_bytes(digest[7:9], "big") % 1000
        for kind in ("untagged", "half_tagged", "disabled", "pending", "failed", "deprecated"):
            drawn -= int(getattr(self.shares, kind))
            if drawn < 0:
                return kind
        return ""

    def _id(self, at: int, release: int, digest: bytes) -> str:
        return f"ami-{at:02x}{release:07x}{digest[10:14].hex()}"
