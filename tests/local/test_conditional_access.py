"""Conditional access statements mean what HCP's documentation says they mean."""

from __future__ import annotations

from typing import Any

import pytest

from packer_publisher.local.conditional_access import NoStatement, compile_statement

CLAIMS: dict[str, Any] = {
    "aws": {"arn": "arn:aws:sts::111122223333:assumed-role/publisher/publisher", "account_id": "111122223333"},
    "jwt_claims": {"sub": "107517467455664443766", "groups": ["a", "b"], "empty": ""},
}


@pytest.mark.parametrize(
    ("expected", "statement"),
    [
        (True, 'aws.account_id == "111122223333"'),
        (False, 'aws.account_id != "111122223333"'),
        (True, "aws.arn matches `^arn:aws:sts::111122223333:assumed-role/publisher/`"),
        (False, "aws.arn matches `^arn:aws:sts::111122223333:assumed-role/other/`"),
        (False, "aws.arn matches `^arn:aws:iam::111122223333:role/publisher`"),
        (True, 'aws.arn not matches "^arn:aws:iam"'),
        (True, '"a" in jwt_claims.groups'),
        (True, '"c" not in jwt_claims.groups'),
        (True, 'jwt_claims.sub contains "10751"'),
        (True, "jwt_claims.empty is empty and jwt_claims.sub is not empty"),
        (True, 'not (jwt_claims.sub == "x") and (aws.account_id == "x" or aws.account_id == "111122223333")'),
        (True, 'aws.account_id == "111122223333" or aws.account_id == "x" and jwt_claims.sub == "x"'),
        (False, 'jwt_claims.oid == "107517467455664443766"'),
        (False, 'jwt_claims.oid != "x"'),
    ],
)
def test_a_statement(expected: bool, statement: str) -> None:
    """``and`` binds more than ``or``; a selector that names nothing lets nobody in."""
    assert expected == compile_statement(statement)(CLAIMS)


@pytest.mark.parametrize(
    "statement", ["", "aws.arn", 'aws.arn is "x"', 'aws.arn == "x" aws.arn', "(aws.arn is empty", "aws.arn matches `(`"]
)
def test_no_statement(statement: str) -> None:
    """What HCP refuses when the provider is made is refused here, too."""
    with pytest.raises(NoStatement):
        compile_statement(statement)
