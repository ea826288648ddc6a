"""What each cloud says of images that change after the fact, and for whom its "there is none" counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache

import boto3
import pytest
from tests.clouds.aws_stand_in import NOW, Answer, Request, error, image_xml, images, policy, scripted_ec2, soon
from tests.clouds.azure_stand_in import SUBSCRIPTION, TAGS, azure_on
from tests.clouds.azure_stand_in import ref as azure_ref
from tests.clouds.gcp_stand_in import LABELS, google_on, sample
from tests.clouds.gcp_stand_in import ref as google_ref

from packer_publisher.clouds.aws import AWS
from packer_publisher.clouds.azure_events import read_event as read_azure
from packer_publisher.clouds.gcp_events import read_event as read_google
from packer_publisher.errors import CloudTrouble, CredentialsTrouble, Trouble
from packer_publisher.image import ImageRef, ImageState, Platform
from packer_publisher.local.arm import Arm
from packer_publisher.local.arm_events import delete_event
from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.server import serving

ACCOUNT = "123456789012"
AMI = ImageRef(Platform.AWS, ACCOUNT, "us-east-1", "ami-0aaaaaaaaaaaaaaaa")


@cache
def session() -> boto3.Session:
    """Return one session for all tests: each new one reads whole service models again."""
    return boto3.Session(aws_access_key_id="AKIAFAKE", aws_secret_access_key="fake-secret")


def aws() -> AWS:
    """Return the cloud as a function would have it."""
    return AWS(policy(), session_factory=session, now=lambda: NOW)


def caller(account: str) -> Answer:
    """Return what STS answers to GetCallerIdentity."""
    return 200, (
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        f"<Arn>arn:aws:sts::{account}:assumed-role/publisher/f</Arn><UserId>U:f</UserId><Account>{account}</Account>"
        "</GetCallerIdentityResult><ResponseMetadata><RequestId>0</RequestId></ResponseMetadata>"
        "</GetCallerIdentityResponse>"
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], list[Request]]]:
    """Let AWS answer everything alike; return what it is asked."""
    answers: list[Answer] = []
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with scripted_ec2(lambda _: answers[-1]) as script:
        monkeypatch.setenv("AWS_ENDPOINT_URL", script.url)

        def ask(answer: Answer) -> list[Request]:
            answers.append(answer)
            return script.requests

        yield ask


def test_aws_speaks_for_the_account_of_the_credentials_alone(asked: Callable[[Answer], list[Request]]) -> None:
    """An AMI id does not tell whose it is, so STS is asked, once per process."""
    requests, cloud = asked(caller(ACCOUNT)), aws()
    assert [True, False, True] == [cloud.speaks_for(owner, soon()) for owner in (ACCOUNT, "999999999999", ACCOUNT)]
    assert ["GetCallerIdentity"] == [request.action for request in requests]


@pytest.mark.parametrize(
    ("code", "status", "trouble", "text"),
    [
        ("ExpiredToken", 403, CredentialsTrouble, "AWS region us-east-1 refused the credentials (ExpiredToken)"),
        ("AccessDenied", 403, CredentialsTrouble, "AWS region us-east-1 denied access (AccessDenied)"),
        ("InternalFailure", 500, CloudTrouble, "AWS region us-east-1 answered InternalFailure"),
    ],
)
def test_an_account_that_cannot_be_found_out_is_trouble(
    asked: Callable[[Answer], list[Request]], code: str, status: int, trouble: type[Trouble], text: str
) -> None:
    """And is asked for again with the next event."""
    requests, cloud = asked(_refused(code, status)), aws()
    with pytest.raises(trouble) as caught:
        cloud.speaks_for(ACCOUNT, soon())
    assert text == str(caught.value)
    tries = len(requests)
    asked(caller(ACCOUNT))
    assert (True, tries + 1) == (cloud.speaks_for(ACCOUNT, soon()), len(requests))


def _refused(code: str, status: int) -> Answer:
    """Return an error as STS writes it."""
    return status, (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>scripted</Message></Error>"
        "<RequestId>0</RequestId></ErrorResponse>"
    )


def test_a_deprecated_ami_is_available(asked: Callable[[Answer], list[Request]]) -> None:
    """It can still be launched by whoever knows its id; nothing changes in HCP."""
    past = f"<deprecationTime>{NOW - timedelta(days=9):%Y-%m-%dT%H:%M:00.000Z}</deprecationTime>"
    asked(images(image_xml(AMI.identifier, "base-1", NOW - timedelta(days=99), more=past)))
    image = aws().describe(AMI, soon())
    assert image is not None
    assert ImageState.AVAILABLE is image.state


def test_a_deregistered_ami_is_not_there_in_any_of_ec2s_ways_to_say_so(
    asked: Callable[[Answer], list[Request]],
) -> None:
    """For a while it is still shown, then the list is empty, and in the end EC2 does not know the id."""
    shown = image_xml(AMI.identifier, "base-1", NOW).replace(">available<", ">deregistered<")
    states = []
    for answer in (images(shown), images(), error("InvalidAMIID.NotFound"), error("InvalidAMIID.Unavailable")):
        asked(answer)
        image = aws().describe(AMI, soon())
        states.append(None if image is None else image.state)
    assert [ImageState.GONE, None, None, None] == states


def test_a_gallery_version_that_is_out_of_date_is_available() -> None:
    """Azure's deprecation: an end of life, or being left out of "latest", forbids nothing to who names the version."""
    arm = Arm()
    identifier = arm.version_id("images", "gal", "web", "1.0.0")
    arm.put_gallery_version("images", "gal", "web", "1.0.0", tags=TAGS)
    publishing = arm.resource(identifier)["properties"]["publishingProfile"]
    publishing |= {"endOfLifeDate": "2020-01-01T00:00:00+00:00", "excludeFromLatest": True}
    with serving(arm.app) as address, azure_on(address) as azure:
        image = azure.describe(azure_ref(identifier), soon())
    assert image is not None
    assert ImageState.AVAILABLE is image.state


def test_azure_speaks_for_whatever_it_shows() -> None:
    """Whoever may not look is refused before Azure says whether there is anything; no question is needed."""
    arm = Arm()
    with serving(arm.app) as address, azure_on(address) as azure:
        assert azure.speaks_for(SUBSCRIPTION, soon())
        stranger = azure_ref(arm.image_id("images", "web", "99999999-9999-9999-9999-999999999999"))
        with pytest.raises(CredentialsTrouble):
            azure.describe(stranger, soon())
    assert 1 == len(arm.asked)


def test_a_deleted_azure_image_is_named_as_it_was_registered() -> None:
    """HCP's search may compare exactly; what an event spells otherwise is the same image."""
    arm = Arm()
    written = arm.put_managed_image("Rg-Images", "Web-1", tags=TAGS)
    with serving(arm.app) as address, azure_on(address) as azure:
        event = read_azure(written)
        assert event is not None
        image = azure.describe(event.ref, soon())
        assert image is not None
    odd = arm.image_id("Rg-Images", "Web-1").replace("resourceGroups", "RESOURCEGROUPS").replace("images/W", "Images/W")
    gone = read_azure(delete_event(odd, "Microsoft.Compute/images", arm.now()))
    assert gone is not None
    assert [gone.ref.identifier] == [artifact.external_identifier for artifact in image.artifacts]


def test_google_speaks_for_a_project_that_shows_its_images() -> None:
    """A project that it does not show has no images as far as a stranger is told, which is no evidence."""
    compute = ComputeEngine(projects={"img-proj": "1", "closed-proj": "2"})
    compute.deny("closed-proj")
    compute.insert_image("web-1", labels=LABELS)
    with serving(compute.app) as address, google_on(address) as google:
        assert [True, True] == [google.speaks_for("img-proj", soon()) for _ in range(2)]
        for stranger in ("closed-proj", "no-proj"):
            with pytest.raises(CredentialsTrouble):
                google.speaks_for(stranger, soon())
        assert google.describe(google_ref(project="no-proj"), soon()) is None
    assert ["img-proj", "closed-proj", "no-proj", "no-proj"] == [path.split("/")[4] for path in compute.asked]


def test_a_google_deletion_tells_which_of_all_images_of_a_name_it_was() -> None:
    """Its number is in the entry's resource, where every build of ours has it as a label."""
    entry = sample("image_delete_last")
    event = read_google(entry)
    assert event is not None
    assert (("image_id", "7718790431234567890"),) == event.identity
    del entry["resource"]["labels"]["image_id"]
    nameless = read_google(entry)
    assert nameless is not None
    assert () == nameless.identity
