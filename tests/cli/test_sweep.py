"""``sweep`` against the stand-ins: three clouds, one registry over HTTP, and what a person is told."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result
from tests.clouds.aws_stand_in import fresh_account_id
from tests.switches import completing, fresh, let_lags_pass, setting

from packer_publisher import runtime
from packer_publisher.cli.program import program
from packer_publisher.local.arm import Arm
from packer_publisher.local.aws import LocalAccount, LocalAWS
from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.local.server import serving

THEN = datetime.now(UTC) - timedelta(hours=5)


@dataclass(frozen=True, slots=True)
class Clouds:
    """Three clouds; ``lose`` makes images of a version whose events never come, on AWS only where asked for."""

    aws: LocalAccount
    arm: Arm
    compute: ComputeEngine

    def lose(self, fingerprint: str, expects: str = "aws azure gce", bucket: str = "web", *, aws: bool = False) -> None:
        tags = {
            "hcp-packer-bucket": bucket,
            "hcp-packer-fingerprint": fingerprint,
            "hcp-packer-expects": expects,
        }
        if aws:  # moto takes its time
            ami = self.aws.register(f"image-{fingerprint}", created=THEN)
            self.aws.tag("eu-west-1", ami, tags)
        self.arm.put_managed_image("images", f"image-{fingerprint}", tags=tags, created=THEN)
        labels = {**tags, "hcp-packer-expects": expects.replace(" ", "_")}
        self.compute.insert_image(f"image-{fingerprint}", labels=labels, created=THEN)


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAWS]:
    with LocalAWS(("eu-west-1",), ()) as local:
        yield local


@pytest.fixture
def clouds(aws: LocalAWS, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clouds]:
    """Clouds of each test's own."""
    account = aws.account(fresh_account_id(), "eu-west-1")
    arm, compute = Arm(), ComputeEngine()
    with serving(arm.app) as arm_url, serving(compute.app) as compute_url:
        environment = {
            **account.environment,
            "PUBLISHER_ARM_ENDPOINT": arm_url,
            "PUBLISHER_COMPUTE_ENDPOINT": compute_url,
            "AZURE_SUBSCRIPTION_ID": arm.subscriptions[0],
            "GOOGLE_CLOUD_PROJECT": "img-proj",
            "NO_PROXY": "127.0.0.1",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield Clouds(account, arm, compute)


@pytest.fixture
def registry(clouds: Clouds, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalRegistry]:
    with closing(RegistryModel(switches=setting())) as model, local_registry(model) as registry:
        for name, value in registry.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PUBLISHER_CONFIG", '{"defaults": {"create_buckets": true}, "buckets": {"*": {}}}')
        yield registry
        runtime.close_publishers()


def run(*words: str) -> Result:
    return CliRunner().invoke(program, ["sweep", *words], prog_name="packer-publisher")


@pytest.mark.switches(completion_lag=0.0)
def test_all_clouds_complete_a_version_together(clouds: Clouds, registry: LocalRegistry) -> None:
    """A table of versions, and a line for each cloud; the last one completes the version."""
    clouds.lose("a1", aws=True)
    found = run("all")
    assert (0, "") == (found.exit_code, found.stderr)
    since = fresh(registry.model).get_version("web", "a1")["version"]["builds"][0]["created_at"][:16].replace("T", " ")
    assert [
        "CLOUD  BUCKET  VERSION  OUTCOME     SINCE             WAITS FOR",
        f"aws    web     a1       registered  {since}  azure gce",
        f"azure  web     a1       registered  {since}  gce",
        "gcp    web     a1       completed   -                 -",
        "aws: 1 image, 1 version read, 1 written to",
        "azure: 1 image, 1 version read, 1 written to",
        "gcp: 1 image, 1 version read, 1 written to",
    ] == found.stdout.splitlines()
    again = run("gcp")
    assert (0, "gcp: 1 image, 0 versions read, 0 written to\n") == (again.exit_code, again.stdout)


def test_registry_off_writes_nothing_and_says_so(
    clouds: Clouds, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, whatever the number of images; that is a choice and no failure."""
    monkeypatch.setenv("HCP_PACKER_REGISTRY", "off")
    clouds.lose("a1", aws=True)
    found = run("all")
    assert (0, 1) == (found.exit_code, found.stdout.count("\nHCP_PACKER_REGISTRY is off: nothing was written\n"))
    assert [] == registry.requests.all()


def test_a_window_and_a_bucket_leave_out_the_rest(clouds: Clouds, registry: LocalRegistry) -> None:
    """What is older than the window is not looked at, other buckets are not read."""
    clouds.lose("a1")
    clouds.lose("b1", bucket="api")
    assert "azure: 0 images, 0 versions read, 0 written to\n" == run("azure", "--window", "4h").stdout
    found = json.loads(run("azure", "--bucket", "api", "--json").stdout)["clouds"]["azure"]
    assert [("api", "b1", "registered", ["aws", "gce"], True)] == [
        (version["bucket"], version["fingerprint"], version["outcome"], version["waits_for"], version["changed"])
        for version in found["versions"]
    ]


def test_a_dry_run_says_what_would_be_written(clouds: Clouds, registry: LocalRegistry) -> None:
    """And a sweep afterwards writes it: nothing was remembered as done."""
    clouds.lose("a1", "azure")
    found = run("azure", "--dry-run")
    assert (0, "azure: 1 image, 1 version read, 1 would be written to") == (
        found.exit_code,
        found.stdout.splitlines()[-1],
    )
    assert {"GET"} == {request.method for request in registry.requests.calls()}
    assert completing() == json.loads(run("azure", "--json").stdout)["clouds"]["azure"]["versions"][0]["outcome"]


def test_images_that_failed_are_named_with_what_to_do(clouds: Clouds, registry: LocalRegistry) -> None:
    """Status 1; the others are done."""
    clouds.lose("a1", "azure")
    clouds.arm.put_managed_image("images", "bad", tags={"hcp-packer-bucket": "web"}, created=THEN)
    found = run("azure")
    assert (1, "Error: 1 image did not come into a version\nWhat to do: see above\n") == (
        found.exit_code,
        found.stderr,
    )
    assert "tag hcp-packer-fingerprint is missing" in found.stdout
    assert "what to do  set both hcp-packer-fingerprint and hcp-packer-bucket on the image" in found.stdout
    let_lags_pass(registry.model)
    assert "v1" == fresh(registry.model).get_version("web", "a1")["version"]["name"]


def test_refused_credentials_beat_images_that_failed(
    clouds: Clouds, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 4, and the secret is nowhere."""
    clouds.lose("a1")
    clouds.arm.put_managed_image("images", "bad", tags={"hcp-packer-bucket": "web"}, created=THEN)
    monkeypatch.setenv("HCP_CLIENT_SECRET", "wrong-secret")
    found = run("azure")
    assert 4 == found.exit_code
    assert "deferred" in found.stdout
    assert "wrong-secret" not in found.output + found.stderr


def test_one_cloud_that_refuses_stops_no_other(clouds: Clouds, registry: LocalRegistry) -> None:
    """What could not be reached is never 0; what could be is done."""
    clouds.lose("a1", "gce")
    clouds.arm.fail(403, "AuthorizationFailed", "no", times=3)
    found = run("all", "--json")
    assert 4 == found.exit_code
    told = json.loads(found.stdout)["clouds"]
    assert ["error" in told[name] for name in ("aws", "azure", "gcp")] == [False, True, False]
    assert completing() == told["gcp"]["versions"][0]["outcome"]
    assert found.stderr.startswith("Error: Azure refused")


def test_versions_that_are_not_reached_are_listed(clouds: Clouds, registry: LocalRegistry) -> None:
    """A time-out that is too short is no success."""
    clouds.lose("a1")
    found = run("gcp", "--timeout", "15s")
    assert (1, "Error: 1 version not reached\nWhat to do: run it again with a longer --timeout\n") == (
        found.exit_code,
        found.stderr,
    )
    assert "gcp    web     a1       not reached  -      -" == found.stdout.splitlines()[1]


def test_a_version_that_waits_too_long_comes_with_its_command(clouds: Clouds, registry: LocalRegistry) -> None:
    """For what, since when, and how it ends."""
    clouds.lose("a1")
    run("azure")
    registry.model.clock = lambda: datetime.now(UTC) + timedelta(hours=30)
    found = run("azure")
    assert 0 == found.exit_code
    overdue = found.stdout.partition("overdue  web/a1\n")[2].splitlines()
    assert ["since", "why", "what to do"] == [line.split("  ")[1] for line in overdue]
    assert "missing: aws and gce" in overdue[1]
    assert overdue[2].endswith("packer-publisher versions complete web a1 --without aws --without gce")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("gce",), "'gce' is not one of 'aws', 'azure', 'gcp', 'all'"),
        (("aws", "--window", "2"), "'2' is no duration such as 2m, 6h or 1h30m"),
        (("aws", "--bucket", "*"), "--bucket '*' is no bucket name"),
    ],
)
def test_a_bad_command_line_is_refused(registry: LocalRegistry, words: tuple[str, ...], error: str) -> None:
    """Status 2, before anything is asked of anybody."""
    found = run(*words)
    assert 2 == found.exit_code
    assert error in found.stderr
    assert [] == registry.requests.all()


def test_a_cloud_that_is_not_set_up_is_a_configuration_error(
    clouds: Clouds, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says which variable is missing."""
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID")
    found = run("azure")
    assert (2, True) == (found.exit_code, "What to do: set AZURE_SUBSCRIPTION_ID" in found.stderr)


def test_progress_is_shown_on_a_terminal_after_a_while() -> None:
    """Not at once, and never in a pipe."""
    code = (
        "import sys, time\n"
        "from packer_publisher.cli.progress import progress\n"
        "with progress('aws: listing images', 0.2) as tell:\n"
        "    tell('aws: 1 of 7 versions')\n"
        "    time.sleep(float(sys.argv[1]))\n"
    )
    shown = []
    for seconds in ("0", "0.6"):
        ours, theirs = pty.openpty()
        environ = {**os.environ, "TERM": "xterm"}
        subprocess.run([sys.executable, "-c", code, seconds], stderr=theirs, check=True, env=environ)
        os.write(theirs, b".")
        shown.append(b"aws: 1 of 7 versions" in os.read(ours, 100_000))
        os.close(ours)
        os.close(theirs)
    done = subprocess.run([sys.executable, "-c", code, "0.6"], capture_output=True, check=True)
    assert ([False, True], b"") == (shown, done.stderr)


def test_what_a_version_lists_and_the_scan_has_not_seen_is_told(clouds: Clouds, registry: LocalRegistry) -> None:
    """From a laptop there is no second look: it is said that the functions note it."""
    for name in ("one", "two"):
        tags = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "a1", "hcp-packer-expects": "azure gce"}
        kind = {"hcp-packer-component-type": f"azure-arm.{name}"}
        clouds.arm.put_managed_image("images", name, tags=tags | kind, created=THEN)
    registry.model.clock = lambda: THEN
    run("azure")
    registry.model.clock = lambda: datetime.now(UTC)
    gone = clouds.arm.image_id("images", "one")
    clouds.arm.delete(gone)
    found = run("azure")
    assert 0 == found.exit_code
    told = "".join(found.stdout.split()).casefold()  # wrapped, and Azure's lists spell the group in capitals
    assert f"version a1 of bucket web lists what is not to be found: {gone};".replace(" ", "").casefold() in told
    assert told.endswith("namethefunction'sownqueueinpublisher_queue,orletthefunctionsweep")
