"""What becomes of Google Cloud's refusals and silences, through the real SDK against the stand-in."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount
from tests.clouds.gcp_stand_in import LABELS, NOW, OLD, Soon, Switchboard, google_on, ref, soon

from packer_publisher.clouds.gcp import GoogleCloud
from packer_publisher.deadline import Deadline
from packer_publisher.errors import CloudTrouble, ConfigurationError, CredentialsTrouble, Forbidden, Trouble
from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.server import serving
from packer_publisher.policy import Policy

IMAGE = "projects/img-proj/global/images/web-1"
ROLE = "grant compute.images.get and compute.images.list in project img-proj to this identity, as infra/gcp does"


@pytest.fixture(scope="module")
def board() -> Switchboard:
    return Switchboard()


@pytest.fixture(scope="module")
def address(board: Switchboard) -> Iterator[str]:
    with serving(board) as address:
        yield address


@pytest.fixture
def compute(board: Switchboard) -> Iterator[ComputeEngine]:
    """Compute Engine with one image; a fault that was never met fails the test."""
    compute = board.compute = ComputeEngine(now=lambda: OLD)
    compute.insert_image("web-1", labels=LABELS)
    yield compute
    assert 0 == compute.unmet_faults


@pytest.fixture
def google(address: str) -> Iterator[GoogleCloud]:
    with google_on(address) as google:
        yield google


def trouble(google: GoogleCloud, deadline: Deadline | None = None) -> Trouble:
    with pytest.raises(Trouble) as caught:
        google.describe(ref(), deadline or soon())
    return caught.value


def test_a_missing_permission_is_a_matter_of_credentials(compute: ComputeEngine, google: GoogleCloud) -> None:
    """403 is asked once and says which permissions to grant where."""
    compute.deny("img-proj")
    problem = trouble(google)
    assert (Forbidden, ROLE) == (type(problem), problem.remedy)
    assert f"Google Cloud refused to show {IMAGE} (HTTP 403 forbidden)." == str(problem)
    assert 1 == len(compute.asked)


def test_an_api_that_is_switched_off(compute: ComputeEngine, google: GoogleCloud) -> None:
    """A project without Compute Engine's API is told what to enable."""
    compute.fail(403, "accessNotConfigured")
    problem = trouble(google)
    assert isinstance(problem, CredentialsTrouble)
    assert "enable the Compute Engine API (compute.googleapis.com) in project img-proj" == problem.remedy


def test_refused_credentials(compute: ComputeEngine, google: GoogleCloud) -> None:
    """401 makes the SDK ask for a new token; where there is none, that is said."""
    compute.fail(401, "authError")
    problem = trouble(google)
    assert isinstance(problem, CredentialsTrouble)
    assert f"No token to ask Google Cloud for {IMAGE} (InvalidOperation)." == str(problem)


@pytest.mark.parametrize(
    ("status", "reason"),
    [(429, "rateLimitExceeded"), (403, "rateLimitExceeded"), (403, "userRateLimitExceeded"), (403, "quotaExceeded")],
)
def test_throttling_hands_on_the_time_to_wait(
    compute: ComputeEngine, google: GoogleCloud, status: int, reason: str
) -> None:
    """429, or Compute Engine's 403 for the same: a long Retry-After is the platform's to wait for."""
    compute.fail(status, reason, retry_after=77)
    problem = trouble(google)
    assert (CloudTrouble, 77.0) == (type(problem), problem.retry_after)
    assert f"Google Cloud throttles; it did not show {IMAGE} (HTTP {status} {reason})." == str(problem)
    assert 1 == len(compute.asked)


def test_a_short_throttle_is_waited_for(compute: ComputeEngine, google: GoogleCloud) -> None:
    """Two seconds are well spent within the invocation."""
    compute.fail(429, "rateLimitExceeded", retry_after=2)
    clock = Soon()
    assert google.describe(ref(), clock.deadline) is not None
    assert [2.0] == clock.paused


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_failure_of_google_is_tried_three_times(compute: ComputeEngine, google: GoogleCloud, status: int) -> None:
    """Twice again with growing pauses, counted here: the SDK's own retries are off."""
    compute.fail(status, "backendError", times=3)
    clock = Soon()
    problem = trouble(google, clock.deadline)
    assert (CloudTrouble, None) == (type(problem), problem.retry_after)
    assert f"Google Cloud did not show {IMAGE} (HTTP {status} backendError)." == str(problem)
    assert ([1.0, 2.0], 3) == (clock.paused, len(compute.asked))


def test_a_failure_that_passes_is_no_trouble(compute: ComputeEngine, google: GoogleCloud) -> None:
    """The image is described at the third try."""
    compute.fail(503, "backendError", times=2)
    assert google.describe(ref(), soon()) is not None


def test_pauses_end_with_the_deadline(compute: ComputeEngine, google: GoogleCloud) -> None:
    """A pause that would pass the deadline is not begun."""
    compute.fail(503, "backendError", times=2)
    clock = Soon(2.5)
    assert isinstance(trouble(google, clock.deadline), CloudTrouble)
    assert ([1.0], 2) == (clock.paused, len(compute.asked))


def test_without_time_nothing_is_asked(compute: ComputeEngine, google: GoogleCloud) -> None:
    """With less than half a second left the call is not begun."""
    problem = trouble(google, soon(0.4))
    assert (CloudTrouble, f"No time was left to ask Google Cloud for {IMAGE}.") == (type(problem), str(problem))
    assert [] == compute.asked


def test_a_silence_ends_with_the_deadline(compute: ComputeEngine, google: GoogleCloud) -> None:
    """A request that is not answered is given up when the invocation's time is over, not after ten minutes."""
    google.describe(ref(), soon())  # the SDK is imported now
    compute.stall(1.5)
    began = time.monotonic()
    problem = trouble(google, Deadline.after(0.7))
    assert f"Google Cloud did not answer to a question for {IMAGE} (ReadTimeout)." == str(problem)
    assert 0.6 < time.monotonic() - began < 1.4


def test_nobody_listens() -> None:
    """A refused connection is trouble of the cloud's."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with google_on(f"http://127.0.0.1:{port}") as google:
        problem = trouble(google)
    assert f"Google Cloud did not answer to a question for {IMAGE} (ConnectionError)." == str(problem)


def test_a_page_of_a_proxy_is_no_answer(compute: ComputeEngine, google: GoogleCloud) -> None:
    """Text that is no JSON is trouble, whatever its status."""
    compute.babble(times=3)
    assert f"Google Cloud gave no readable answer to a question for {IMAGE}." == str(trouble(google))


def test_a_404_that_is_not_googles_proves_nothing(compute: ComputeEngine, google: GoogleCloud) -> None:
    """Absence is never concluded from a proxy's or a gateway's 404."""
    compute.fail(404, "", times=3)
    assert f"Google Cloud did not show {IMAGE} (HTTP 404)." == str(trouble(google))


def test_a_list_that_never_ends(compute: ComputeEngine, google: GoogleCloud) -> None:
    """Trouble in the middle of a list is trouble, not a shorter list."""
    compute.page_size = 1
    compute.insert_image("web-2", labels=LABELS)
    scan = google.scan(OLD, NOW, soon(), ["img-proj"])
    assert "web-1" == next(scan).name
    compute.fail(503, "backendError", times=3)
    with pytest.raises(CloudTrouble) as caught:
        next(scan)
    assert "Google Cloud did not show the images of project img-proj (HTTP 503 backendError)." == str(caught.value)


def test_no_credentials_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without any of Google's credentials is told where to get them."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    problem = trouble(GoogleCloud(Policy(), environ={}))
    assert isinstance(problem, CredentialsTrouble)
    assert f"No token to ask Google Cloud for {IMAGE} (DefaultCredentialsError)." == str(problem)
    assert (
        "give the function a service account, or run `gcloud auth application-default login` on a laptop"
        == problem.remedy
    )


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://compute.googleapis.com",
        "http://compute.googleapis.com",
        "http://10.0.0.1:8080",
        "http://user@127.0.0.1:8080",
        "http://127.0.0.1:8080/compute",
        "127.0.0.1:8080",
    ],
)
def test_a_stand_in_is_on_loopback(endpoint: str) -> None:
    """The variable for tests cannot send anything anywhere else."""
    with pytest.raises(ConfigurationError) as caught:
        GoogleCloud(Policy(), environ={"PUBLISHER_COMPUTE_ENDPOINT": endpoint})
    assert (
        f"PUBLISHER_COMPUTE_ENDPOINT={endpoint} is no stand-in: it must be http on loopback, "
        "such as http://127.0.0.1:8080." == str(caught.value)
    )


def test_a_proxy_has_no_business_on_loopback(
    compute: ComputeEngine, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is meant for the stand-in goes to it, whatever proxy the environment names."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with google_on(address) as google:
        assert google.describe(ref(), soon()) is not None


def test_the_sdk_is_imported_with_the_first_question() -> None:
    """Reading an event and opening the cloud cost no SDK: that would be a second and 150 MiB."""
    program = (
        "import sys\n"
        "from packer_publisher.clouds.gcp import GoogleCloud, read_event\n"
        "from packer_publisher.policy import Policy\n"
        "GoogleCloud(Policy(), environ={})\n"
        "sdk = ('google.cloud.compute_v1', 'google.api_core', 'google.auth', 'grpc', 'requests', 'proto')\n"
        "print([name for name in sdk if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "[]\n" == done.stdout


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_bundle_of_authorities_that_is_not_there_is_named(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """requests says OSError, and the SDK lets it pass."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "/nonexistent.pem")
    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]  # of google-auth
    google = GoogleCloud(Policy(), credentials=credentials, environ={})
    with closing(google), pytest.raises(ConfigurationError) as caught:
        google.describe(ref(), soon())
    assert f"{variable} names a bundle of certificate authorities that is not there." == str(caught.value)
    assert "name a file in PEM format, or leave it unset" == caught.value.remedy


def test_a_setting_of_which_no_client_can_be_made_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's error is a ValueError, which would pass for an unreadable answer."""
    for name in [name for name in os.environ if name.startswith("GOOGLE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "")
    with closing(GoogleCloud(Policy(), environ={})) as google, pytest.raises(ConfigurationError) as caught:
        google.describe(ref(), soon())
    assert ("No client for Google Cloud can be made of GOOGLE_CLOUD_UNIVERSE_DOMAIN (EmptyUniverseError).") == str(
        caught.value
    )
    assert "correct it, or leave it unset" == caught.value.remedy


def test_scan_passes_over_an_image_without_a_time() -> None:
    """Nobody can tell whether it is within the window; the others are still found."""
    times = {"web-1": "yesterday", "web-2": OLD.isoformat()}
    items = [{"name": name, "labels": LABELS, "status": "READY", "creationTimestamp": times[name]} for name in times]
    page = JSONResponse({"items": items})
    with serving(Starlette(routes=[Mount("/", page)])) as address, google_on(address) as google:
        assert ["web-2"] == [image.name for image in google.scan(None, NOW, soon(), ["img-proj"])]
        ((name, problem),) = google.broken.items()
    assert ("web-1", "Google Cloud answered with an unreadable time: yesterday") == (name, str(problem))
    assert {} == google.denied
