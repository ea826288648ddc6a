"""The configuration of a deployed function, as the doctor reads it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from packer_publisher.deadline import Deadline
from packer_publisher.doctor.configuration import Deployed, configuration_findings, credential_findings
from packer_publisher.doctor.registry import registry_findings
from packer_publisher.errors import (
    ConfigurationError,
    CredentialsTrouble,
    Forbidden,
    PublisherError,
    RegistryTrouble,
)
from packer_publisher.finding import Verdict
from packer_publisher.registry import RegistryState
from packer_publisher.settings import configuration_digest
from packer_publisher.snapshot import Bucket
from tests.doctor.examining import FEDERATION

CONFIG = '{"buckets": {"web": {}}}'
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def test_a_document_in_the_archive(tmp_path: Path) -> None:
    """Its digest is not to be known from outside; the document at hand says which buckets are looked for."""
    (tmp_path / "publisher.json").write_text(CONFIG)
    deployed = Deployed()
    own = {"PUBLISHER_CONFIG": str(tmp_path / "publisher.json")}
    [found] = configuration_findings({"PUBLISHER_CONFIG": "publisher.json"}, own, deployed)
    assert (Verdict.NOTE, "") == (found.verdict, deployed.digest)
    assert "the document is publisher.json in the function's archive" in found.text
    assert deployed.policy is not None
    assert ["web"] == [rule.pattern for rule in deployed.policy.rules]


@pytest.mark.parametrize("here", ["", '{"buckets": {"web": {"quite": "6h"}}}'], ids=["none", "a wrong one"])
def test_a_document_in_the_archive_and_no_good_one_at_hand(here: str) -> None:
    """Nothing is known of its buckets then; the wrong one is told with what the probe finds."""
    deployed = Deployed()
    [found] = configuration_findings({"PUBLISHER_CONFIG": "publisher.json"}, {"PUBLISHER_CONFIG": here}, deployed)
    assert (Verdict.NOTE, None) == (found.verdict, deployed.policy)


def test_a_wrong_document_at_hand() -> None:
    """It is told from the deployed one, which is right."""
    own = {"PUBLISHER_CONFIG": '{"buckets": {"web": {"quite": "6h"}}}'}
    findings = list(configuration_findings({"PUBLISHER_CONFIG": CONFIG}, own, Deployed()))
    assert [("configuration", Verdict.RIGHT), ("configuration here", Verdict.WRONG)] == [
        (found.about, found.verdict) for found in findings
    ]
    assert "buckets.web.quite is not known; write quiet" in findings[1].text


def test_a_registry_that_is_off() -> None:
    """Nothing is written then, which somebody may have forgotten."""
    deployed = Deployed()
    found = list(configuration_findings({"PUBLISHER_CONFIG": CONFIG, "HCP_PACKER_REGISTRY": "off"}, {}, deployed))
    assert [Verdict.NOTE, Verdict.RIGHT] == [each.verdict for each in found]
    assert (True, configuration_digest({"PUBLISHER_CONFIG": CONFIG})) == (deployed.off, deployed.digest)


class Door:
    """HCP, which answers at a time of its own, or not at all."""

    def __init__(self, at: datetime, activated: bool = True, problem: PublisherError | None = None) -> None:
        self.state = RegistryState("r", activated, "PLUS", at)
        self.problem = problem

    def get_registry(self, deadline: Deadline, project: str | None = None) -> RegistryState:
        """Return the one state."""
        if self.problem is not None:
            raise self.problem
        return self.state

    def get_bucket(self, bucket: str, deadline: Deadline, project: str | None = None) -> Bucket:
        """Return a bucket that is there."""
        return Bucket(bucket)


@pytest.mark.parametrize(
    ("seconds", "verdict", "text"),
    [
        (0, Verdict.RIGHT, "as HCP's"),
        (-20, Verdict.RIGHT, "as HCP's"),
        (90, Verdict.NOTE, "this machine's is 90 s ahead of HCP's"),
        (-600, Verdict.WRONG, "this machine's is 600 s behind HCP's: tokens and signatures are refused"),
    ],
)
def test_the_clock(seconds: float, verdict: Verdict, text: str) -> None:
    """By the Date header of HCP's answer."""
    door = Door(NOW - timedelta(seconds=seconds))
    findings = list(registry_findings(door, None, NOW, Deadline.after(5)))
    assert [("clock", verdict, text)] == [(f.about, f.verdict, f.text) for f in findings if f.about == "clock"]


def test_a_registry_that_is_not_active() -> None:
    """It is told with what activates it."""
    [_credentials, found, _clock] = registry_findings(Door(NOW, activated=False), None, NOW, Deadline.after(5))
    assert (Verdict.WRONG, "HCP Packer is not active") == (found.verdict, found.text)


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (None, [("HCP credentials", Verdict.RIGHT), ("registry", Verdict.RIGHT), ("clock", Verdict.RIGHT)]),
        (CredentialsTrouble("the key is deleted"), [("HCP credentials", Verdict.WRONG)]),
        (Forbidden("the role is missing"), [("HCP credentials", Verdict.RIGHT), ("registry", Verdict.WRONG)]),
        (RegistryTrouble("HCP cannot be reached"), [("registry", Verdict.UNKNOWN)]),
        (ConfigurationError("HTTPS_PROXY is no address"), [("registry", Verdict.WRONG)]),
    ],
)
def test_credentials_are_right_once_hcp_has_taken_them(
    problem: PublisherError | None, told: list[tuple[str, Verdict]]
) -> None:
    """That some are there is no sign; a refused role is none against them."""
    findings = list(registry_findings(Door(NOW, problem=problem), None, NOW, Deadline.after(5), "HCP_CRED_FILE"))
    assert told == [(found.about, found.verdict) for found in findings]
    assert all(found.text == "HCP_CRED_FILE, of whoever runs the doctor" for found in findings[:1] if problem is None)


KEY = {"HCP_CLIENT_ID": "made-up-client", "HCP_CLIENT_SECRET": "made-up-secret"}
ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hcp"


@pytest.mark.parametrize(
    ("variables", "verdict", "text"),
    [
        ({}, Verdict.WRONG, "none are set: HCP takes nothing from it"),
        ({"HCP_CLIENT_ID": "x"}, Verdict.WRONG, "HCP_CLIENT_ID alone is set: HCP takes nothing from it"),
        (KEY, Verdict.NOTE, "HCP_CLIENT_SECRET stands in the function's environment, where everybody reads it who may"),
        ({**KEY, **FEDERATION}, Verdict.NOTE, "HCP_CLIENT_SECRET stands in the function's environment"),
        (FEDERATION, Verdict.RIGHT, "its own identity, shown to provider lambda of service principal publisher"),
        ({"PUBLISHER_CLIENT_SECRET": ARN}, Verdict.RIGHT, f"the secret {ARN}"),
        (
            {"HCP_CRED_FILE": "cred.json"},
            Verdict.NOTE,
            "HCP_CRED_FILE names cred.json: only the probe tells what is there",
        ),
    ],
)
def test_how_a_function_comes_by_its_credentials(variables: dict[str, str], verdict: Verdict, text: str) -> None:
    """A function that has none is told before the first image is kept in its queue; a secret is never shown."""
    [found] = credential_findings({"AWS_LAMBDA_FUNCTION_NAME": "packer-publisher", **variables})
    assert verdict is found.verdict
    assert found.text.startswith(text)
    assert "made-up" not in f"{found.text}{found.remedy}"
    assert (verdict is Verdict.RIGHT) == (not found.remedy) or "HCP_CRED_FILE" in variables
