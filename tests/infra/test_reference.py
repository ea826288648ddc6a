"""What the pages say about the Terraform modules is what is in them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from packer_publisher.credential_settings import VARIABLES
from packer_publisher.settings import FOR_BUCKETS, FOR_PROCESS, INTERNAL
from tests.clouds.permissions import azure_actions, google_permissions
from tests.infra.hcl import Block, literal, local, read_module, texts
from tests.infra.reference import MODULES, ROOT, pages, renewed

CLOUDS = ("azure", "gcp")


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_the_tables_are_up_to_date(page: Path) -> None:
    """`python -m tests.infra.reference` renews them."""
    assert renewed(page, pages()[page]) == page.read_text("utf-8")


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_the_layout_of_the_registry(name: str) -> None:
    """Files, descriptions, and a check for every input that can be wrong in itself."""
    folder = ROOT / "infra" / name
    for file in ("README.md", "main.tf", "variables.tf", "outputs.tf", "versions.tf"):
        assert (folder / file).exists(), file
    assert list(folder.glob("tests/*.tftest.hcl"))
    module = read_module(folder)
    for block in (*module.all("variable"), *module.all("output")):
        assert str(literal(block.attributes["description"])).strip().endswith("."), block.labels
    unchecked = {
        block.labels[0] for block in module.all("variable") if "bool" != block.attributes["type"] and not block.blocks
    }
    # Free text and free maps, which only the cloud itself can judge.
    assert unchecked <= {"existing_system_topic", "role_assignment_condition", "iam_condition", "tags"}


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_refuses_it_says_in_a_sentence(name: str) -> None:
    """That names the variable, and says what is right."""
    for block in read_module(ROOT / "infra" / name).all("variable"):
        for validation in block.all("validation"):
            text = str(literal(validation.attributes["error_message"]))
            assert text.endswith("."), text
            assert block.labels[0] in text or "PUBLISHER_" in text, text


@pytest.mark.parametrize("name", MODULES)
def test_every_check_is_tried(name: str) -> None:
    """A variable is refused in the module's own tests at least as often as it has validations."""
    folder = ROOT / "infra" / name
    expected = "".join(_expected(path) for path in folder.glob("tests/*.tftest.hcl"))
    refused = Counter(re.findall(r"\bvar\.(\w+)", expected))
    checked = Counter(
        {block.labels[0]: len([*block.all("validation")]) for block in read_module(folder).all("variable")}
    )
    assert +checked <= refused
    assert {*+checked} == {*refused}


def _expected(path: Path) -> str:
    return "\n".join(re.findall(r"expect_failures = \[(.*?)\]\n", path.read_text("utf-8"), re.DOTALL))


@pytest.mark.parametrize("name", CLOUDS)
def test_the_settings_that_a_module_takes_are_those_of_the_program(name: str) -> None:
    """Those of the README's table; what a deployment sets itself is none of them."""
    variable = read_module(ROOT / "infra" / name).one("variable", "settings")
    condition = variable.blocks[0].attributes["condition"]
    (listed,) = re.findall(r"contains\((\[.*?\]), key\)", condition, re.DOTALL)
    assert {*FOR_BUCKETS, *FOR_PROCESS, "HCP_GEOGRAPHY", "HCP_PACKER_REGISTRY"} == set(texts(listed))


@pytest.mark.parametrize("name", CLOUDS)
def test_what_a_module_sets_the_program_knows(name: str) -> None:
    """An unknown name would be refused at the function's start."""
    text = "".join(path.read_text("utf-8") for path in (ROOT / "infra" / name).glob("main.tf"))
    known = {*FOR_BUCKETS, *FOR_PROCESS, *INTERNAL, *VARIABLES, "PUBLISHER_CONFIG"}
    named = {name.partition("__")[0] for name in re.findall(r"^\s*(?:\{ )?(PUBLISHER_\w+) +=", text, re.MULTILINE)}
    assert {"PUBLISHER_QUEUE", "PUBLISHER_WORKLOAD_PROVIDER", "PUBLISHER_CLIENT_SECRET"} <= named
    assert set() == named - known


def _role(module: Block, kind: str, name: str) -> Block:
    return module.one("resource", kind, name)


def test_the_roles_allow_what_is_asked_for_and_nothing_else() -> None:
    """What a function asks its cloud is what a backfill does, but for the list of subscriptions."""
    azure, google = (read_module(ROOT / "infra" / name) for name in CLOUDS)
    reader = _role(azure, "azurerm_role_definition", "image_reader").one("permissions").attributes
    assert azure_actions() - {"Microsoft.Resources/subscriptions/read"} == set(texts(reader["actions"]))
    assert {"actions"} == set(reader)
    assert google_permissions() == set(texts(local(google, "permissions")))


@pytest.mark.parametrize("name", CLOUDS)
def test_no_role_is_wide(name: str) -> None:
    """No wildcard, no role that owns or edits; the one built-in owner is of blobs, as Microsoft's host asks."""
    text = "".join(path.read_text("utf-8") for path in (ROOT / "infra" / name).glob("*.tf"))
    assert [] == re.findall(r'"[\w./]+/\*"|"\*"', text)
    wide = re.findall(r'"(Owner|Contributor|User Access Administrator|roles/(?:owner|editor|viewer))"', text)
    assert [] == wide
    assert set(re.findall(r'"(Storage \w+ Data Owner)"', text)) <= {"Storage Blob Data Owner"}


def test_every_permission_has_its_reason() -> None:
    """A reader of the table learns what each is for."""
    for page in ("azure.md", "google.md"):
        roles = pages()[ROOT / "docs" / page]["roles"].splitlines()[2:]
        assert 7 <= len(roles)
        assert [] == [row for row in roles if not row.rpartition(" | ")[2].strip(" |")]


def test_the_sweeps_are_what_the_program_takes() -> None:
    """Cloud Scheduler's messages are orders that are read as such."""
    from packer_publisher.image import Platform
    from packer_publisher.messages import SweepOrder, read_order

    job = read_module(ROOT / "infra" / "gcp").one("resource", "google_cloud_scheduler_job", "sweep")
    data = job.one("pubsub_target").attributes["data"]
    assert "base64encode(jsonencode({ packer-publisher = { sweep = each.value.order } }))" == data
    windows = re.findall(r"order += \{ ?(?:window = \"(\w+)\" )?\}", job.attributes["for_each"])
    assert ["", "14d"] == windows
    for window in windows:
        order = {"packer-publisher": {"sweep": {"window": window} if window else {}}}
        assert isinstance(read_order(order, Platform.GCE), SweepOrder)
