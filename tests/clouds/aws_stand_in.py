"""What the AWS tests share: a policy, accounts of the local AWS, and an EC2 endpoint that says what a test scripts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.parse import parse_qs

import boto3
import pytest

from packer_publisher.clouds.aws import AWS
from packer_publisher.deadline import Deadline
from packer_publisher.image import Image, ImageRef, Platform
from packer_publisher.local.aws import LocalAccount
from packer_publisher.placement import Placement, place
from packer_publisher.policy import BucketPolicy, BucketRule, Policy

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
FINGERPRINT = "01JCXYZ0000000000000000000"
TAGS = {"hcp-packer-bucket": "base", "hcp-packer-fingerprint": FINGERPRINT}

_accounts = count(100000000001)


@cache
def session() -> boto3.Session:
    """Return one session with made-up credentials for all tests: each new one reads the whole EC2 model again."""
    return boto3.Session(aws_access_key_id="AKIAFAKE", aws_secret_access_key="fake-secret")


def forget_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away whatever credentials and regions this machine has, and name a home region."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE", "DEFAULT_REGION"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_REGION", "us-east-1")


def policy(*regions: str) -> Policy:
    """Return a policy that allows every bucket and gathers in these regions (none: the enabled ones)."""
    return Policy(rules=(BucketRule("*", BucketPolicy()),), regions=regions)


def fresh_account_id() -> str:
    """Return an account that no other test uses."""
    return str(next(_accounts))


def aws(account: LocalAccount, *regions: str, now: datetime = NOW) -> AWS:
    """Return the cloud as a function of the account would have it, at a time of the test's choice."""
    return AWS(policy(*regions), session_factory=account.session, now=lambda: now)


def soon() -> Deadline:
    """Return a deadline that leaves time enough."""
    return Deadline.after(30.0)


def minutes(number: float) -> datetime:
    """Return a time that many minutes before now."""
    return NOW - timedelta(minutes=number)


def describe(cloud: AWS, account: LocalAccount, region: str, identifier: str) -> Image:
    """Return an image that must exist."""
    image = cloud.describe(ImageRef(Platform.AWS, account.account_id, region, identifier), soon())
    assert image is not None
    return image


def placed(cloud: AWS, image: Image) -> Placement:
    """Return where an image that must be ours belongs."""
    placement = place(image, cloud.policy)
    assert placement is not None
    return placement


def gather(cloud: AWS, account: LocalAccount, region: str, identifier: str) -> Image:
    """Return an image with all regions of its build."""
    image = describe(cloud, account, region, identifier)
    return cloud.gather(image, placed(cloud, image), soon())


@dataclass(frozen=True, slots=True)
class Request:
    """One call that the scripted endpoint received: the region that it was signed for, and its parameters."""

    region: str
    parameters: dict[str, str]

    @property
    def action(self) -> str:
        """Return the name of the operation."""
        return self.parameters["Action"]


Answer = tuple[int, str]


@dataclass(slots=True)
class ScriptedEC2:
    """An EC2 endpoint over HTTP that answers every call with what the test's function returns."""

    answer: Callable[[Request], Answer]
    url: str = ""
    requests: list[Request] = field(default_factory=list)


@contextmanager
def scripted_ec2(answer: Callable[[Request], Answer]) -> Iterator[ScriptedEC2]:
    """Serve an endpoint on loopback for as long as the context lasts."""
    script = ScriptedEC2(answer)

    class Face(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            # Credential=<key>/<date>/<region>/ec2/aws4_request
            region = self.headers["Authorization"].split("Credential=")[1].split("/")[2]
            request = Request(region, {key: values[0] for key, values in parse_qs(body).items()})
            script.requests.append(request)
            status, text = script.answer(request)
            payload = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/xml;charset=UTF-8")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that the base class gives
            """Keep the test output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Face)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def error(code: str, status: int = 400) -> Answer:
    """Return EC2's answer for an error."""
    return status, (
        f"<Response><Errors><Error><Code>{code}</Code><Message>scripted</Message></Error></Errors>"
        "<RequestID>0</RequestID></Response>"
    )


def image_xml(identifier: str, name: str, created: datetime, tags: dict[str, str] = TAGS, more: str = "") -> str:
    """Return one image as DescribeImages writes it."""
    pairs = "".join(f"<item><key>{key}</key><value>{value}</value></item>" for key, value in tags.items())
    return (
        f"<item><imageId>{identifier}</imageId><imageState>available</imageState>"
        f"<imageOwnerId>123456789012</imageOwnerId><name>{name}</name>"
        f"<creationDate>{created:%Y-%m-%dT%H:%M:%S.000Z}</creationDate><architecture>x86_64</architecture>"
        f"{more}<tagSet>{pairs}</tagSet></item>"
    )


def images(*items: str, next_token: str = "") -> Answer:
    """Return a page of DescribeImages."""
    token = f"<nextToken>{next_token}</nextToken>" if next_token else ""
    body = f"<requestId>0</requestId><imagesSet>{''.join(items)}</imagesSet>{token}"
    return (
        200,
        f'<DescribeImagesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">{body}</DescribeImagesResponse>',
    )


def regions(**status: str) -> Answer:
    """Return DescribeRegions; ``eu_west_1="opted-in"``."""
    items = "".join(
        f"<item><regionName>{name.replace('_', '-')}</regionName><optInStatus>{status}</optInStatus></item>"
        for name, status in status.items()
    )
    return 200, (
        '<DescribeRegionsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
        f"<requestId>0</requestId><regionInfo>{items}</regionInfo></DescribeRegionsResponse>"
    )


def ancestry(*entries: tuple[str, str, str]) -> Answer:
    """Return GetImageAncestry; each entry is an image, its source image and that one's region ("" for none)."""
    items = "".join(
        f"<item><imageId>{image}</imageId>"
        + (f"<sourceImageId>{source}</sourceImageId>" if source else "")
        + (f"<sourceImageRegion>{region}</sourceImageRegion>" if region else "")
        + "</item>"
        for image, source, region in entries
    )
    return 200, (
        '<GetImageAncestryResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
        f"<requestId>0</requestId><imageAncestryEntrySet>{items}</imageAncestryEntrySet></GetImageAncestryResponse>"
    )
