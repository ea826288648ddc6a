"""`make package`: the same input makes the same bytes, and what is in the archives is valid where it goes."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from infra.package.archive import digest, digest_of_contents
from infra.package.artefact import ARTEFACTS

from tests.deploy.archives import CLOUDS

ROOT = Path(__file__).parents[2]
UNCHECKED_HASH = 0b01  # PEP 552: the flags of a .pyc, its second word


def package(root: Path, target: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `make package`'s program of a checkout."""
    return subprocess.run(
        [sys.executable, "-m", "infra.package", "--target", str(target), *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "shared"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the checkout: another folder, other times, other permissions."""
    copy = tmp_path_factory.mktemp("a checkout elsewhere")
    for name in ("shared", "functions", "infra"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".terraform"))
    for number, file in enumerate(sorted(copy.rglob("*"))):
        os.utime(file, (1_500_000_000 + number, 1_500_000_000 + number))
        file.chmod(0o700)
    return copy


def test_two_builds_make_the_same_bytes(archives: dict[str, Path], elsewhere: Path, tmp_path: Path) -> None:
    """Built again from a copy in another place, at another time, under other settings: the same archives.

    The archives at hand may hold a configuration document; then that is part of the input.
    """
    options = []
    with zipfile.ZipFile(archives["aws"]) as archive:
        if "publisher.json" in archive.namelist():
            (tmp_path / "publisher.json").write_bytes(archive.read("publisher.json"))
            options = ["--config", str(tmp_path / "publisher.json")]
    settings = {"TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "1234", "LC_ALL": "C", "SOURCE_DATE_EPOCH": "1"}
    done = package(elsewhere, tmp_path / "build", *options, **settings)
    assert (0, "") == (done.returncode, done.stderr)
    for cloud in CLOUDS:
        again = tmp_path / "build" / f"{cloud}.zip"
        assert digest_of_contents(archives[cloud]) == digest_of_contents(again), cloud
        assert archives[cloud].read_bytes() == again.read_bytes(), cloud
    assert (ROOT / "build" / "manifest.json").read_bytes() == (tmp_path / "build" / "manifest.json").read_bytes()


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_module_has_bytecode_that_is_never_compared_with_its_time(cloud: str, archives: dict[str, Path]) -> None:
    """It is of this very Python, marked as unchecked, and names its source as it will lie on the platform."""
    with zipfile.ZipFile(archives[cloud]) as archive:
        names = set(archive.namelist())
        sources = [name for name in names if name.endswith(".py")]
        for name in sources:
            folder, _, file = name.rpartition("/")
            compiled = f"{folder}/__pycache__/{file[:-3]}.cpython-313.pyc".lstrip("/")
            assert compiled in names
            head = archive.read(compiled)[:8]
            assert importlib.util.MAGIC_NUMBER == head[:4], name
            assert UNCHECKED_HASH == int.from_bytes(head[4:], "little"), name
        assert len(sources) > 60
        ours = archive.read("packer_publisher/__pycache__/intake.cpython-313.pyc")
    assert f"{ARTEFACTS[cloud].deployed}/packer_publisher/intake.py".encode() in ours


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_manifest_tells_sizes_and_hashes(cloud: str, archives: dict[str, Path]) -> None:
    """Whoever deploys an archive can compare it; nothing in the manifest depends on the machine."""
    manifest = json.loads((ROOT / "build" / "manifest.json").read_text("utf-8"))
    entry = manifest["archives"][f"{cloud}.zip"]
    assert (archives[cloud].stat().st_size, digest(archives[cloud])) == (entry["bytes"], entry["sha256"])
    sizes = [member["compressed_bytes"] for member in entry["biggest"]]
    assert sorted(sizes, reverse=True) == sizes
    assert str(ROOT) not in json.dumps(manifest)


def test_the_templates_of_aws_are_released_with_the_archive(archives: dict[str, Path]) -> None:
    """As they stand in infra/aws: with the archive they are all that CloudFormation and Terraform need."""
    manifest = json.loads((ROOT / "build" / "manifest.json").read_text("utf-8"))["templates"]
    assert ["template.json", "forwarder.yml", "forwarders.json"] == list(manifest)
    for name, entry in manifest.items():
        released = archives["aws"].parent / name
        assert released.read_bytes() == (ROOT / "infra" / "aws" / name).read_bytes(), "make package"
        assert (released.stat().st_size, digest(released)) == (entry["bytes"], entry["sha256"])


def test_the_lambda_is_small_and_for_arm(archives: dict[str, Path]) -> None:
    """At most 8 MB; nothing in it is compiled for another processor, and no data of a service that is not called."""
    assert archives["aws"].stat().st_size <= 8_000_000
    with zipfile.ZipFile(archives["aws"]) as archive:
        names = archive.namelist()
    native = [name for name in names if ".so" in Path(name).suffixes or ".so." in name]
    assert [] == [name for name in native if "aarch64" not in name]
    data = {name.split("/")[2] for name in names if name.startswith("botocore/data/") and name.count("/") > 2}
    assert {"ec2", "sqs", "sts", "secretsmanager", "ssm"} == data


@pytest.mark.parametrize("cloud", CLOUDS)
def test_no_stand_in_and_no_command_is_deployed(cloud: str, archives: dict[str, Path]) -> None:
    """What only people and tests use is in no archive, nor is another cloud's SDK."""
    with zipfile.ZipFile(archives[cloud]) as archive:
        tops = {"/".join(name.split("/")[:2]) for name in archive.namelist()}
        everything = " ".join(archive.namelist())
    assert {"packer_publisher/local", "packer_publisher/cli", "packer_publisher/backfill"}.isdisjoint(tops)
    for other, word in (("aws", "botocore/"), ("azure", "azure/mgmt/"), ("gcp", "google/cloud/")):
        assert (word in everything) == (other == cloud and cloud != "gcp"), word


def test_a_bad_configuration_document_is_refused(tmp_path: Path) -> None:
    """Nothing is built, an older archive does not stay, the sentence says where it is wrong, the status is 2."""
    (tmp_path / "aws.zip").write_text("an older one")
    document = tmp_path / "publisher.yaml"
    document.write_text("buckets:\n  web:\n    expects: aws\n    quite: 6h\n")
    done = package(ROOT, tmp_path, "aws", "--config", str(document))
    assert 2 == done.returncode
    assert done.stderr.startswith(f"make package: {document}, line 4: buckets.web.quite is not known")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "aws.zip").exists()


def test_a_configuration_document_comes_along(tmp_path: Path) -> None:
    """YAML is put into the archive as JSON."""
    document = tmp_path / "publisher.yaml"
    document.write_text("buckets:\n  web:\n    expects: aws\n")
    done = package(ROOT, tmp_path, "gcp", "--config", str(document))
    assert (0, "") == (done.returncode, done.stderr)
    with zipfile.ZipFile(tmp_path / "gcp.zip") as archive:
        assert {"buckets": {"web": {"expects": "aws"}}} == json.loads(archive.read("publisher.json"))


def test_a_wheel_with_another_hash_is_refused(elsewhere: Path, tmp_path: Path) -> None:
    """What is not the very file that was pinned gets into no archive."""
    requirements = elsewhere / "functions" / "aws" / "requirements.txt"
    text = requirements.read_text("utf-8")
    first = text.index("--hash=sha256:", text.index("jmespath==")) + len("--hash=sha256:")
    end = text.index("\n\n", first) if "\n\n" in text[first:] else text.index("python-dateutil==", first)
    broken = text[:first] + "0" * 64 + "\n" + text[end:]
    requirements.write_text(broken, "utf-8")
    try:
        done = package(elsewhere, tmp_path, "aws")
    finally:
        requirements.write_text(text, "utf-8")
    assert 2 == done.returncode
    assert "could not be installed" in done.stderr
    assert "jmespath" in done.stderr
    assert not (tmp_path / "aws.zip").exists()
