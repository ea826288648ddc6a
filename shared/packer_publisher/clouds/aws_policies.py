"""Whether IAM policies allow what the function does: the part of IAM's logic that a role of ours needs.

An explicit Deny wins, everything else must be allowed by a statement, and by the permissions boundary where there is
one. Conditions are not evaluated: a statement with one counts as allowing (a Deny with one as not denying), so what is
found missing is missing. Service control policies cannot be seen from within an account.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from packer_publisher.clouds.aws_desk import Desk

Document = Mapping[str, Any]


def allowed(documents: Iterable[Document], action: str, resource: str) -> bool:
    """Return whether policies allow an action on a resource ("*" for actions that take none)."""
    found = False
    for statement in _statements(documents):
        if not _names(statement, "Action", action.lower(), fold=True) or not _names(statement, "Resource", resource):
            continue
        if statement.get("Effect") == "Deny" and not statement.get("Condition"):
            return False
        found = found or statement.get("Effect") == "Allow"
    return found


def sweeping(documents: Iterable[Document]) -> list[str]:
    """Return the actions that policies allow by a whole service or more: ``*``, ``ec2:*``."""
    return sorted(
        {
            action
            for statement in _statements(documents)
            if statement.get("Effect") == "Allow"
            for action in _list(statement.get("Action"))
            if action == "*" or action.endswith(":*")
        }
    )


def role_documents(desk: Desk, role: str) -> Iterator[Document]:
    """Yield a role's policies, inline and attached."""
    for name in desk.ask("iam", "list_role_policies", RoleName=role)["PolicyNames"]:
        document = desk.ask("iam", "get_role_policy", RoleName=role, PolicyName=name)["PolicyDocument"]
        if isinstance(document, Mapping):  # botocore hands on as text what it cannot decode
            yield document
    for policy in desk.ask("iam", "list_attached_role_policies", RoleName=role)["AttachedPolicies"]:
        yield policy_document(desk, policy["PolicyArn"])


def policy_document(desk: Desk, arn: str) -> Document:
    """Return the version of a managed policy that is in force."""
    version = desk.ask("iam", "get_policy", PolicyArn=arn)["Policy"]["DefaultVersionId"]
    found = desk.ask("iam", "get_policy_version", PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    return found if isinstance(found, Mapping) else {}


def _statements(documents: Iterable[Document]) -> Iterator[Mapping[str, Any]]:
    for document in documents:
        yield from (each for each in _list(document.get("Statement")) if isinstance(each, Mapping))


def _names(statement: Mapping[str, Any], key: str, wanted: str, *, fold: bool = False) -> bool:
    """Return whether a statement is about an action or a resource; ``NotAction`` is about all others."""
    opposite = f"Not{key}"
    patterns = [str(each) for each in _list(statement.get(opposite if opposite in statement else key))]
    # In fnmatch, but not in IAM, brackets are a set.
    globs = [(each.lower() if fold else each).replace("[", "[[]") for each in patterns]
    matched = any(fnmatch.fnmatchcase(wanted, each) for each in globs)
    return matched is not (opposite in statement)


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]
