"""What the pages say about the Terraform modules, made from the modules: inputs, outputs, permissions, costs.

`python -m tests.infra.reference` writes it into the pages; test_reference.py fails where one is stale.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.infra import costs
from tests.infra.hcl import Block, Unreadable, literal, local, read_module, texts

ROOT = Path(__file__).parents[2]
MODULES = ("azure", "gcp", "hcp")

# Who and where, in words; an expression that is not here has to be explained here first.
_AZURE_EACH = {
    "images": "the subscription, or the groups of `image_scopes`",
    "queues": "the queue of events and its poison queue",
}
_AZURE_WHERE = {
    "azurerm_storage_account.publisher.id": "the storage account",
    "azurerm_application_insights.publisher.id": "the function's Application Insights",
    "var.key_vault_secret_scope": "the vault or secret of `key_vault_secret_scope`",
    "local.queue_scopes.events": "the queue of events",
    '"${azurerm_storage_account.publisher.id}/blobServices/default/containers/'
    '${azurerm_storage_container.dead_letters.name}"': "the container of dead letters",
}
_AZURE_WHO = {
    "local.identity.principal_id": "the function",
    "local.topic.principal_id": "Event Grid's system topic",
}
_GOOGLE_WHO = {
    '"serviceAccount:${local.service_account}"': "the function",
    "local.writer_identity": "the log sink",
    "google_service_account.pusher.member": "the pushing account",
    "google_service_account.builder.member": "the building account",
    '"serviceAccount:service-${local.number}@gcp-sa-pubsub.iam.gserviceaccount.com"': "Pub/Sub",
    '"serviceAccount:${each.value}"': "the services that encrypt",
}
_GOOGLE_WHERE = {
    "google_project_iam_member.images": "the project of the images",
    "google_folder_iam_member.images": "the folder of `scope`",
    "google_organization_iam_member.images": "the organization of `scope`",
    "google_pubsub_topic_iam_member.own": "its own topic and the poison topic",
    "google_pubsub_topic_iam_member.sink": "the function's topic",
    "google_cloud_run_v2_service_iam_member.pusher": "the function",
    "google_service_account_iam_member.push_tokens": "the pushing account",
    "google_storage_bucket_iam_member.builder": "the bucket of the archive",
    "google_project_iam_member.builder": "the function's project",
    "google_project_iam_member.sources": "the bucket that Cloud Functions copies the archive to",
    "google_secret_manager_secret_iam_member.client_secret": "the secret of `hcp.client_secret_reference`",
    "google_secret_manager_secret_iam_member.authorities": "the secret of `ca_bundle_secret`",
    "google_kms_crypto_key_iam_member.agents": "the key of `kms_key`",
}


def pages() -> dict[Path, dict[str, str]]:
    """Return, for each page, the text of its marked parts as it should be."""
    found: dict[Path, dict[str, str]] = {}
    for name in MODULES:
        module = read_module(ROOT / "infra" / name)
        page = ROOT / "infra" / name / "README.md"
        found[page] = {"inputs": _table(_inputs(module)), "outputs": _table(_outputs(module))}
    azure, google = (read_module(ROOT / "infra" / name) for name in ("azure", "gcp"))
    found[ROOT / "docs" / "azure.md"] = {
        "roles": _table(_azure_roles(azure)),
        "actions": _table(_azure_actions(azure)),
        "costs": _table(costs.azure(azure)),
    }
    found[ROOT / "docs" / "google.md"] = {
        "roles": _table(_google_roles(google)),
        "costs": _table(costs.google(google)),
        "filter": f"```text\n{str(literal(local(google, 'filter'))).strip()}\n```",
    }
    return found


def renewed(page: Path, parts: dict[str, str]) -> str:
    """Return a page's text with its marked parts as they should be; Unreadable where a mark is missing."""
    text = page.read_text("utf-8")
    for name, part in parts.items():
        begin, end = f"<!-- {name}: made by `python -m tests.infra.reference` -->", f"<!-- end of {name} -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise Unreadable(f"{page.name} has no part {name}")
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n{part}\n{end}{rest.partition(end)[2]}"
    return text


def _inputs(module: Block) -> Iterator[tuple[str, ...]]:
    yield "input", "", "type", "default"
    for block in module.all("variable"):
        default = block.attributes.get("default")
        shown = "**required**" if default is None else _code(default)
        yield _code(block.labels[0]), _sentence(block), _code(block.attributes["type"]), shown


def _outputs(module: Block) -> Iterator[tuple[str, ...]]:
    yield "output", ""
    for block in module.all("output"):
        yield _code(block.labels[0]), _sentence(block)


def _azure_roles(module: Block) -> Iterator[tuple[str, ...]]:
    yield "who", "role", "where", "why"
    for block in module.all("resource", "azurerm_role_assignment"):
        scope = block.attributes["scope"]
        place = _AZURE_EACH[block.labels[1]] if scope == "each.value" else _AZURE_WHERE[scope]
        given = block.attributes.get("role_definition_name")
        role = str(literal(given)) if given else _custom_role(module, block.attributes["role_definition_id"])
        yield _AZURE_WHO[block.attributes["principal_id"]], role, place, block.comment


def _custom_role(module: Block, expression: str) -> str:
    (name,) = {*re.findall(r"azurerm_role_definition\.(\w+)", expression)}
    module.one("resource", "azurerm_role_definition", name)
    return f"custom: {name.replace('_', ' ')}"


def _azure_actions(module: Block) -> Iterator[tuple[str, ...]]:
    yield "custom role", "action"
    for block in module.all("resource", "azurerm_role_definition"):
        permissions = block.one("permissions").attributes
        for kind in ("actions", "data_actions"):
            for action in texts(permissions.get(kind, "[]")):
                yield block.labels[1].replace("_", " "), _code(action) + (" (data)" if kind == "data_actions" else "")


def _google_roles(module: Block) -> Iterator[tuple[str, ...]]:
    yield "who", "role", "where", "why"
    permissions = ", ".join(_code(name) for name in texts(local(module, "permissions")))
    why = ""
    for block in module.all("resource"):
        kind, name = block.labels
        if not kind.endswith("_iam_member"):
            continue
        role = block.attributes["role"]
        if role == "local.image_reader_role":
            shown = f"custom: {permissions}"
            why = "All that is read of images. Nothing in any project is ever changed."
        elif role == "each.value":
            listed = re.fullmatch(r"toset\((\[.*\])\)", block.attributes["for_each"])
            assert listed is not None
            shown, why = ", ".join(_code(text) for text in texts(listed[1])), block.comment
        else:
            shown, why = _code(str(literal(role))), block.comment
        yield _GOOGLE_WHO[block.attributes["member"]], shown, _GOOGLE_WHERE[f"{kind}.{name}"], why


def _sentence(block: Block) -> str:
    return re.sub(r"\s+", " ", str(literal(block.attributes["description"]))).strip().replace("|", "\\|")


def _code(text: str) -> str:
    flat = re.sub(r"\s+", " ", re.sub(r",?\s*\n\s*", ", ", text.strip())).replace("{, ", "{ ").replace(", }", " }")
    flat = flat.replace("({ ", "({").replace(" })", "})").replace("(, ", "(").replace("[, ", "[").replace(", ]", "]")
    return f"`{flat}`".replace("|", "\\|")


def _table(rows: Iterator[tuple[str, ...]]) -> str:
    head = next(rows)
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]).replace("|  |", "| |")


def main() -> None:
    """Write what the pages should say into them."""
    for page, parts in pages().items():
        page.write_text(renewed(page, parts), "utf-8")


if __name__ == "__main__":
    main()
