"""What policies of IAM allow, as the doctor reads them."""

from __future__ import annotations

from typing import Any

import pytest

from packer_publisher.clouds.aws_policies import allowed, sweeping


@pytest.mark.parametrize(
    ("expected", "action", "resource"),
    [
        (True, "ec2:DescribeImages", "*"),
        (True, "SQS:receivemessage", "arn:aws:sqs:eu-west-1:1:events"),
        (False, "sqs:ReceiveMessage", "arn:aws:sqs:eu-west-1:1:other"),
        (False, "sqs:DeleteMessage", "arn:aws:sqs:eu-west-1:1:events"),
        (False, "iam:PassRole", "*"),
        (True, "s3:GetObject", "arn:aws:s3:::x"),
        (False, "s3:PutObject", "arn:aws:s3:::x"),
    ],
)
def test_policies(expected: bool, action: str, resource: str) -> None:
    """Allow and deny, patterns in both places, actions without case, NotAction."""
    documents: list[dict[str, Any]] = [
        {"Statement": {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}},
        {
            "Statement": [
                {"Effect": "Allow", "Action": ["sqs:*"], "Resource": ["arn:aws:sqs:*:1:events"]},
                {"Effect": "Deny", "Action": "sqs:Delete*", "Resource": "*"},
                {"Effect": "Deny", "Action": "ec2:*", "Resource": "*", "Condition": {"Bool": {"x": "true"}}},
                {"Effect": "Allow", "NotAction": ["iam:*", "ec2:*", "sqs:*", "s3:Put*"], "Resource": "*"},
            ]
        },
    ]
    assert expected == allowed(documents, action, resource)
    assert ["sqs:*"] == sweeping(documents)
