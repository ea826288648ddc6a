"""What docs/azure.md and docs/google.md, and the modules' READMEs, name is there: inputs, outputs, resources' names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.infra.hcl import Block, literal, members, read, read_module

ROOT = Path(__file__).parents[2]
MODULES = {name: read_module(ROOT / "infra" / name) for name in ("azure", "gcp", "hcp")}
PAGES = {"azure": ROOT / "docs" / "azure.md", "gcp": ROOT / "docs" / "google.md"}
EXAMPLES = {"azure": ROOT / "infra/azure/examples/minimal", "gcp": ROOT / "infra/gcp/examples/project"}
# Words of that shape that are none of a module's inputs and outputs: attributes of resources and of an output.
ELSEWHERE = {
    "azure": {"ip_restriction_default_action", "app_settings", "maximum_instance_count"},
    "gcp": {"unique_id"},
}


def names(module: Block, kind: str) -> set[str]:
    """Return the names of a module's variables or outputs."""
    return {block.labels[0] for block in module.all(kind)}


@pytest.mark.parametrize("cloud", PAGES)
def test_every_input_and_output_that_is_named_exists(cloud: str) -> None:
    """In sentences, with or without a value."""
    text = PAGES[cloud].read_text("utf-8")
    named = {word.partition(".")[0] for word in re.findall(r"`([a-z]+(?:_[a-z]+)+(?:\.[a-z_]+)?)(?: = [^`]*)?`", text)}
    module = MODULES[cloud]
    inner = {name for block in module.all("variable") for name in re.findall(r"(\w+) += ", block.attributes["type"])}
    assert 10 < len(named)
    assert ELSEWHERE[cloud] == named - names(module, "variable") - names(module, "output") - inner


@pytest.mark.parametrize("cloud", PAGES)
def test_the_first_deployment_is_told_all_that_the_example_asks_for(cloud: str) -> None:
    """The file of variables has those without a default; what is given and read on the command line exists."""
    text, example = PAGES[cloud].read_text("utf-8"), read_module(EXAMPLES[cloud])
    (file,) = re.findall(r"^\$ cat terraform\.tfvars\n(.*?)^\$", text, re.MULTILINE | re.DOTALL)
    given = set(re.findall(r"^(\w+) +=", file, re.MULTILINE)) | set(re.findall(r"-var (\w+)=", text))
    asked = {block.labels[0] for block in example.all("variable") if "default" not in block.attributes}
    assert asked <= given <= names(example, "variable")
    assert {*re.findall(r"terraform output (\w+)", text)} == names(example, "output")


@pytest.mark.parametrize("cloud", PAGES)
def test_the_example_reads_the_document_that_packaging_puts_there(cloud: str) -> None:
    """`make package CONFIG=` writes it under this name, beside the function."""
    from infra.package.configured import NAME

    module = read_module(EXAMPLES[cloud]).one("module", "publisher")
    assert NAME == literal(module.attributes["publisher_config"].partition(" #")[0])


def test_the_queues_and_subscriptions_that_are_named_exist() -> None:
    """With the names that commands are shown with."""
    azure, google = (PAGES[cloud].read_text("utf-8") for cloud in PAGES)
    for kind, name in (("queue", "poison"), ("queue", "events"), ("container", "dead_letters")):
        block = MODULES["azure"].one("resource", f"azurerm_storage_{kind}", name)
        assert f"`{literal(block.attributes['name'])}`" in azure
    poison = MODULES["gcp"].one("resource", "google_pubsub_subscription", "poison")
    default = str(literal(MODULES["gcp"].one("variable", "name").attributes["default"]))
    shown = literal(poison.attributes["name"], {"var.name": default})
    assert f"subscriptions pull {shown}`" in google
    workspace = MODULES["azure"].one("resource", "azurerm_log_analytics_workspace", "publisher").attributes["name"]
    group = read_module(EXAMPLES["azure"]).one("resource", "azurerm_resource_group", "publisher").attributes["name"]
    default = str(literal(MODULES["azure"].one("variable", "name").attributes["default"]))
    assert "var.name" == workspace
    assert f"--resource-group {literal(group)} --workspace-name {default} " in azure


@pytest.mark.parametrize("name", ["azure", "gcp"])
def test_the_module_as_its_readme_shows_it(name: str) -> None:
    """All that must be given, and nothing that is not there."""
    text = (ROOT / "infra" / name / "README.md").read_text("utf-8")
    (shown,) = re.findall(r"```hcl\n(.*?)```", text, re.DOTALL)
    given = {*read(shown).one("module").attributes} - {"source"}
    asked = {block.labels[0] for block in MODULES[name].all("variable") if "default" not in block.attributes}
    assert asked <= given <= names(MODULES[name], "variable")


def test_hcps_side_as_its_readme_shows_it() -> None:
    """The file of variables has inputs of the module alone, and of each cloud's object what the object has."""
    text = (ROOT / "infra" / "hcp" / "README.md").read_text("utf-8")
    (file,) = re.findall(r"^\$ cat terraform\.tfvars\n(.*?)^\$", text, re.MULTILINE | re.DOTALL)
    given = read(file).attributes
    assert {"project_id", "aws", "azure", "gcp"} == set(given) <= names(MODULES["hcp"], "variable")
    for cloud in ("aws", "azure", "gcp"):
        (entry,) = members(given[cloud]).values()
        variable = MODULES["hcp"].one("variable", cloud).attributes["type"]
        known = dict(re.findall(r"(\w+) += (\w+)", variable))
        required = {name for name, kind in known.items() if kind != "optional"}
        assert required <= {*members(entry)} <= {*known}


@pytest.mark.parametrize("cloud", ["azure", "gcp"])
def test_the_issuer_of_a_clouds_tokens_is_the_one_that_hcp_is_told(cloud: str) -> None:
    """To the letter, the slash at the end of Azure's included."""
    output = MODULES[cloud].one("output", "token_issuer").attributes["value"]
    provider = MODULES["hcp"].one("resource", "hcp_iam_workload_identity_provider", cloud)
    told = members(provider.attributes["oidc"])["issuer_uri"]
    tenant = {"data.azurerm_subscription.current.tenant_id": "T", "each.value.tenant_id": "T"}
    assert literal(output, tenant) == literal(told, tenant)
