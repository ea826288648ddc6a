"""Keep the tables of docs/aws.md as the templates are: ``python -m infra.aws.tables`` writes, ``--check`` compares.

A table stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``. Why a permission is needed cannot be read from a
template: REASONS says it, for every statement of every policy.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from infra.aws.compile import FORWARDER, ROOT, TEMPLATE, read
from infra.aws.costs import cost_table

PAGE = ROOT / "docs" / "aws.md"

REASONS = {
    "ReadImages": "find and read images and their tags; AWS takes no resource here",
    "OwnQueue": "take its messages, let them rest, put work for later",
    "OwnLogGroup": "write its log, and nothing else's",
    "ThisSecretOnly": "the HCP client secret, where there is one; the action of the other service has no effect",
    "KeyOfThisSecret": "read that secret where a key of yours encrypts it",
    "KeyOfQueueAndSettings": "queue and settings where a key of yours encrypts them",
    "LambdaAttachesTheFunction": "Lambda itself does this in a VPC, before the function runs, and nobody knows "
    "beforehand which interface it will be",
    "NotTheFunctionItself": "takes the same from the function's own code",
    "HomeBusOnly": "send events to the home region's bus",
}
"""Why each statement is there, by its Sid."""

CONDITIONS = {
    "HasSecret": "with `HcpClientSecretArn`",
    "HasSecretKey": "with `ClientSecretKeyArn`",
    "HasKey": "with `KmsKeyArn`",
    "HasVpc": "with `SubnetIds`",
}


def main(arguments: list[str]) -> int:
    """Write the page's tables, or with ``--check`` say whether they are up to date."""
    before = PAGE.read_text("utf-8")
    after = renewed(before)
    if arguments == ["--check"]:
        return 0 if before == after else 1
    PAGE.write_text(after, "utf-8")
    return 0


def renewed(page: str) -> str:
    """Return a page with its tables as the templates are now."""
    template, forwarder = json.loads(TEMPLATE.read_text("utf-8")), read(FORWARDER)
    tables = {
        "parameters": parameter_table(template),
        "permissions": permission_table(template),
        "forwarder-parameters": parameter_table(forwarder),
        "forwarder-permissions": permission_table(forwarder),
        "costs": cost_table(),
    }
    for name, table in tables.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if len(pattern.findall(page)) != 1:
            raise ValueError(f"docs/aws.md has no place, or several, for the table {name}")
        page = pattern.sub(lambda found, table=table: found[1] + table + found[2], page)  # type: ignore[misc]
    return page


def parameter_table(template: Mapping[str, Any]) -> str:
    """Return the parameters with their defaults and descriptions."""
    lines = ["| parameter | default | |", "|---|---|---|"]
    for name, told in template["Parameters"].items():
        default = str(told["Default"]) if "Default" in told else None
        shown = "required" if default is None else f"`{default}`" if default else ""
        lines.append(f"| `{name}` | {shown} | {told['Description']} |")
    return "\n".join(lines) + "\n"


def permission_table(template: Mapping[str, Any]) -> str:
    """Return what the role of a template may do, on what, and why."""
    lines = ["| actions | on | when | why |", "|---|---|---|---|"]
    for when, statement in role_statements(template["Resources"]["Role"]):
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        denied = "**denied:** " if statement["Effect"] == "Deny" else ""
        cells = (
            denied + ", ".join(f"`{action}`" for action in actions),
            in_words(statement["Resource"]),
            CONDITIONS[when] if when else "always",
            REASONS[statement["Sid"]],
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def role_statements(role: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each statement of a role's policies with the condition under which it is there, "" for always."""
    for policy in role["Properties"]["Policies"]:
        when, inner = "", policy
        if "Fn::If" in policy:
            when, inner, _ = policy["Fn::If"]
        for statement in inner["PolicyDocument"]["Statement"]:
            yield when, statement


def in_words(resource: Any) -> str:
    """Return a resource of a statement for people."""
    match resource:
        case "*":
            return "everything"
        case {"Ref": name}:
            return f"`{name}`"
        case {"Fn::GetAtt": [name, "Arn"]}:
            return f"the queue `{name}`"
        case {"Fn::Sub": text}:
            return f"`{text}`"
    raise ValueError(f"a resource of an unknown form: {resource}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
