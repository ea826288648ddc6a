"""The doctor on AWS where it may not look: each line is unknown by itself, and no other is lost."""

from __future__ import annotations

import json
import re

import pytest

from packer_publisher.clouds.aws_calls import Clients
from packer_publisher.clouds.aws_desk import Desk
from packer_publisher.deadline import Deadline
from packer_publisher.examiners import Named
from packer_publisher.finding import Trouble, Verdict
from packer_publisher.image import Platform
from packer_publisher.local.registry_serve import LocalRegistry
from tests.doctor.aws_deployment import NAME, Deployment
from tests.doctor.aws_examined import WELL, deployed, deployment, guard, guarded, local, look
from tests.doctor.examining import bad, examine, said
from tests.doctor.gate import WORDS, Gate
from tests.registry.peer import Says, running_peer

__all__ = ["deployed", "deployment", "guard", "guarded", "local"]


RULES = {"rule of tag changes", "rule of state changes", "sweeps"}
DENIED: list[tuple[set[str], set[str], set[str]]] = [
    (
        {
            "lambda:GET /2015-03-31/event-source-mappings",
            "iam:ListAttachedRolePolicies",
            "sqs:GetQueueUrl",
            "events:ListTargetsByRule",
        },
        {"event source", "role", "dead letters", "rules", "region us-east-1"},
        {*RULES, "dead letters of us-east-1"},
    ),
    (
        {"iam:GetRole", "sqs:GetQueueAttributes", "events:DescribeRule", "ec2:DescribeRegions"},
        {"role", "queue", "rules", "forwarders"},
        {*RULES, "dead letters", "queue policy", "region us-east-1", "dead letters of us-east-1"},
    ),
    ({"iam:GetPolicy", "events in us-east-1"}, {"role", "region us-east-1"}, {"dead letters of us-east-1"}),
    ({"iam:GetPolicyVersion", "sqs in us-east-1"}, {"role", "dead letters of us-east-1"}, set()),
    ({"events", "ec2:DescribeImages"}, {"rules", "region us-east-1"}, {*RULES, "dead letters of us-east-1"}),
]
"""What is denied, what is unknown then, and what cannot be told of at all."""


@pytest.mark.parametrize(("closed", "unseen", "untold"), DENIED)
def test_a_look_that_is_denied_is_unknown_and_the_others_go_on(
    deployment: Deployment, registry: LocalRegistry, guard: Gate, closed: set[str], unseen: set[str], untold: set[str]
) -> None:
    """Each line that cannot be told says which permission is missing, in none of AWS's words; no other line is lost."""
    guard.closed |= closed
    with deployment.attached_policy():
        findings = look(registry)

    denied = [found for found in findings if found.verdict is Verdict.UNKNOWN]
    assert unseen == {found.about for found in denied} == {about for _, about, _ in bad(findings)}
    assert {*WELL} - untold | unseen == {found.about for found in findings}
    named = set(re.findall(r"[a-z0-9]+:\w+", " ".join(found.remedy for found in denied)))
    assert set() == {call for call in guard.denied if not call.startswith("lambda:GET")} - named
    assert {Trouble.CREDENTIALS} == {found.trouble for found in denied}
    assert WORDS not in str(findings)


def test_a_region_that_a_policy_closes(deployment: Deployment, registry: LocalRegistry, guard: Gate) -> None:
    """It is told from one whose rules these credentials may not read: the home region shows what they may."""
    guard.closed.add("us-east-1")
    text = "it denies access (AccessDeniedException): a service control policy, or missing permissions"
    findings = look(registry)
    assert ([], [f"note: {text}"]) == (bad(findings), said(findings, "region us-east-1"))
    deployment.function(deployment.variables | {"PUBLISHER_REGIONS": "eu-west-1 us-east-1"})
    assert [(Verdict.UNKNOWN, "region us-east-1", text)] == bad(look(registry))


def test_lists_go_on_page_after_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the token of EventBridge, and by the marker of Lambda."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    with running_peer() as peer:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{peer.address}")
        desk = Desk(Clients(), "eu-west-1", Deadline.after(20))
        peer.says(Says({"RuleNames": ["a"], "NextToken": "more"}), Says({"RuleNames": ["b"]}))
        assert ["a", "b"] == list(
            desk.pages("events", "list_rule_names_by_target", "RuleNames", TargetArn="arn:aws:x:y")
        )
        assert "more" == peer.api[-1].json["NextToken"]
        mappings = "EventSourceMappings"
        peer.says(Says({mappings: [{"UUID": "1"}], "NextMarker": "2nd"}), Says({mappings: [{"UUID": "2"}]}))
        found = list(desk.pages("lambda", "list_event_source_mappings", mappings, FunctionName=NAME))
        assert ["1", "2"] == [each["UUID"] for each in found]
        assert "Marker=2nd" in peer.api[-1].target


def test_credentials_that_may_not_look(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS denies everything: unknown, with the permission that is missing, and in none of AWS's words."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIAFAKE",
        "AWS_SECRET_ACCESS_KEY": "fake",
        "AWS_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    denial = json.dumps({"__type": "AccessDeniedException", "message": "User arn:made:up is not authorized"})
    with running_peer() as peer:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{peer.address}")
        answer = Says(text=denial, status=403, headers={"Content-Type": "application/json"})
        peer.says(answer, answer)
        findings = look(registry)
    assert {"unknown"} == {found.verdict for found in findings if found.about in ("AWS credentials", "function")}
    [function] = [found for found in findings if found.about == "function"]
    assert "run the doctor with credentials that may lambda:GetFunctionConfiguration" == function.remedy
    assert "made:up" not in str(findings)


def test_no_credentials_for_hcp_are_no_good_sign(deployment: Deployment) -> None:
    """The rest is examined; what could not be looked at is not taken for right."""
    findings = examine(Platform.AWS, Named(), {"HOME": "/nonexistent-home"})
    assert [(Verdict.UNKNOWN, "HCP credentials")] == [(verdict, about) for verdict, about, _ in bad(findings)]
