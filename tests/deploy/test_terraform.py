"""The Terraform modules against checkov's list of what a module should have, each exception with its reason.

checkov is too large to be installed for this: it is asked where ``CHECKOV`` names it. Terraform's own verdict is in
tests/infra, with what runs wherever Terraform is.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CHECKOV = {
    ("CKV2_AZURE_21", "azurerm_storage_container.dead_letters"): "reads of blobs are those of the Functions host, many "
    "thousands a day; deletions on the queue are logged",
    ("CKV2_AZURE_21", "azurerm_storage_container.package"): "as above",
    ("CKV_AZURE_33", "azurerm_storage_account.publisher"): "means the classic storage logging, which needs a key to be "
    "set up; a diagnostic setting takes its place",
    ("CKV_AZURE_59", "azurerm_storage_account.publisher"): "Event Grid delivers to the public endpoint only; there is "
    "no key, no anonymous access, and with private_endpoints or allowed_ip_ranges the firewall denies everybody else",
    ("CKV_AZURE_206", "azurerm_storage_account.publisher"): "what the queue holds is worth nothing in another region, "
    "where no function reads it; three zones by default, and storage_replication takes more",
    ("CKV_AZURE_212", "azurerm_service_plan.publisher"): "Flex Consumption scales from zero, and a queue waits",
    ("CKV_AZURE_225", "azurerm_service_plan.publisher"): "the same: events outlast a zone's outage in the queue",
    (
        "CKV_GCP_62",
        "google_storage_bucket.package",
    ): "it holds nothing but the archive that a release holds, too; audit logs tell who changed it",
}
"""What checkov finds and we do not follow, with the reason."""


@pytest.mark.parametrize(("module", "least"), [("azure", 15), ("gcp", 10)])
def test_checkov_finds_nothing_but_what_is_explained(module: str, least: int) -> None:
    """In the module and in its examples."""
    program = os.environ.get("CHECKOV")
    if not program:
        pytest.skip("CHECKOV names no checkov: make checkov")
    command = [program, "--directory", str(ROOT / "infra" / module), "--framework", "terraform"]
    done = subprocess.run(
        [*command, "--output", "json", "--skip-download", "--quiet"], capture_output=True, text=True, check=False
    )
    answer = json.loads(done.stdout)
    found = {
        (check["check_id"], ".".join(check["resource"].split("[")[0].split(".")[-2:]))
        for check in answer["results"]["failed_checks"]
    }
    kinds = {"azure": "azurerm_", "gcp": "google_"}
    assert {key for key in CHECKOV if key[1].startswith(kinds[module])} == found
    assert 0 == answer["summary"]["parsing_errors"]
    assert least < answer["summary"]["passed"]


def test_checkov_is_asked_of_no_file_to_look_away() -> None:
    """Exceptions stand above, and nowhere else."""
    skipping = [path for path in (ROOT / "infra").rglob("*.tf") if "checkov:skip" in path.read_text("utf-8")]
    assert [] == skipping
