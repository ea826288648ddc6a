"""An endpoint of AWS that is none, lacks a call or hides behind a proxy, and one at which nobody answers in time."""

from __future__ import annotations

import socket
import time
from dataclasses import replace

import boto3
import pytest
from tests.clouds.aws_scripts import REF, cloud, gathered, no_credentials, own_image
from tests.clouds.aws_stand_in import Answer, Request, error, images, policy, scripted_ec2, soon

from packer_publisher.clouds.aws import AWS
from packer_publisher.deadline import Deadline
from packer_publisher.errors import CloudTrouble, ConfigurationError

__all__ = ["no_credentials"]


def test_nothing_is_begun_that_cannot_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """With less time than one attempt may need, AWS is not asked at all."""
    with scripted_ec2(lambda _: images()) as ec2:
        monkeypatch.setenv("AWS_ENDPOINT_URL", ec2.url)
        with pytest.raises(CloudTrouble) as caught:
            cloud().describe(REF, Deadline.after(2.5))

    assert "not enough time is left to ask AWS region us-east-1" == str(caught.value)
    assert [] == ec2.requests


def test_a_silent_region_ends_with_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The read time-out is short when time is short, and no retry begins that the deadline would cut."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(CloudTrouble) as caught:
            cloud().describe(REF, Deadline.after(3.5))
        took = time.monotonic() - began

    assert "AWS region us-east-1 did not answer within the time that was left" == str(caught.value)
    assert took < 4.0


def test_an_address_where_nobody_listens_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not resolve looks the same: the region may not exist."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")

    with pytest.raises(CloudTrouble) as caught:
        cloud().describe(REF, soon())

    assert "AWS region us-east-1 could not be reached" == str(caught.value)
    assert "check the region's name, DNS and the way out" == caught.value.remedy


@pytest.mark.parametrize("code", ["InvalidAction", "UnknownOperation", "UnsupportedOperation"])
@pytest.mark.parametrize("action", ["DescribeImages", "DescribeRegions"])
def test_an_endpoint_that_lacks_a_needed_call_is_trouble(
    code: str, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the ancestry of a copy can be done without; an error of our own making never gets out."""

    def answer(request: Request) -> Answer:
        return error(code) if request.action == action else images(own_image())

    with pytest.raises(CloudTrouble) as caught:
        gathered(answer, monkeypatch, cloud())

    assert f"AWS region us-east-1 does not support the call ({code})" == str(caught.value)
    assert "check that AWS_ENDPOINT_URL, where it is set, is an endpoint of EC2" == caught.value.remedy


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2"])
@pytest.mark.parametrize("value", ["nonsense", "http://[::1", "http://me:hidden-word@host:port"])
def test_an_endpoint_that_is_no_address_names_its_variable(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """boto3 says ValueError; the value is not repeated, because it may hold a password."""
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError) as caught:
        AWS(policy(), session_factory=lambda: boto3.Session("AKIAFAKE", "fake-secret")).describe(REF, soon())

    assert f"{variable} is no address of an endpoint" == str(caught.value)
    assert "write it as in https://ec2.eu-west-1.amazonaws.com, or leave it unset to talk to AWS itself" == (
        caught.value.remedy
    )


def test_a_region_whose_name_is_none_is_no_matter_of_the_endpoint() -> None:
    """botocore calls that a ValueError, too."""
    with pytest.raises(CloudTrouble) as caught:
        cloud().describe(replace(REF, region="eu west 1"), soon())

    assert "AWS region eu west 1 did not answer usefully (InvalidRegionError)" == str(caught.value)


def test_a_proxy_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way out is the proxy's; its address may hold a password and is not repeated."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:hidden-word@127.0.0.1:{port}")
    for variable in ("https_proxy", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(variable, raising=False)

    with pytest.raises(CloudTrouble) as caught:
        AWS(policy(), session_factory=lambda: boto3.Session("AKIAFAKE", "fake-secret")).describe(REF, soon())

    assert "AWS region us-east-1 could not be reached through the proxy" == str(caught.value)
    assert "check HTTPS_PROXY" == caught.value.remedy
