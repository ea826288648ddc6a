"""The configuration document: what a platform team decides for all buckets and for each of them.

Every problem is found before any is told. ``configuration.schema.json`` beside this module says the same for
editors; what no schema can say (a duration's limit, names that differ in case only) is said here alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from packer_publisher.document import ConfigurationProblems, Document, Problem, Table, child, quoted
from packer_publisher.policy import (
    CONTRACT_KEYS,
    DEFAULT_LABEL_KEYS,
    LABEL_PREFIX,
    BucketPolicy,
    BucketRule,
    Contract,
    Policy,
)
from packer_publisher.values import (
    MOST_LABELS,
    MOST_TAG_KEYS,
    Reader,
    Unreadable,
    boolean,
    bucket_labels,
    bucket_pattern,
    choice,
    description,
    duration,
    label_key,
    names,
    nearest,
    project,
    read_channels,
    read_expects,
    read_regions,
    shown,
    tag_key,
)

read_quiet = duration(timedelta(0), timedelta(days=7))
read_settle = duration(timedelta(0), timedelta(minutes=15))  # the longest delay that an SQS queue knows
read_on_delete = choice("ignore", "revoke")
read_azure_artifact = choice("managed", "gallery")
read_azure_gallery_regions = choice("all", "single")

ENTRY: Mapping[str, Reader[Any]] = {
    "project": project,
    "description": description,
    "bucket_labels": bucket_labels,
    "expects": read_expects,
    "quiet": read_quiet,
    "channels": read_channels,
    "assign_channels": read_channels,
    "create_channels": boolean,
    "create_buckets": boolean,
    "on_delete": read_on_delete,
    "template_type": choice("HCL2", "JSON"),
}
"""The keys of an entry under ``buckets``, and of ``defaults``."""

FOR_ALL: Mapping[str, Reader[Any]] = {
    "labels": names(label_key, MOST_LABELS, "list the tags that become build labels"),
    "fingerprint_case": choice("fold", "keep"),
    "regions": read_regions,
    "settle": read_settle,
    "azure_artifact": read_azure_artifact,
    "azure_gallery_regions": read_azure_gallery_regions,
}
"""The plain keys at the top of the document."""

_FIELDS = {"bucket_labels": "labels", "create_buckets": "create_bucket"}
_read_tag_keys = names(tag_key, MOST_TAG_KEYS, "write a tag's key, or a list of keys", least=1, split=False)
_TOP = frozenset({"buckets", "defaults", "tag_keys", *FOR_ALL})

NOTHING_ALLOWED = 'no bucket is allowed; name them under buckets, or write buckets: {"*": {}} to allow every bucket'


@dataclass(frozen=True, slots=True)
class Configuration:
    """A document in which nothing is wrong. The mappings hold only the keys that were written."""

    source: str
    entries: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    for_all: Mapping[str, Any] = field(default_factory=dict)
    tag_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def policy(self, environment: Mapping[str, Any]) -> Policy:
        """Return the policy; a bucket's own entry wins, then the environment, then the rest of the document.

        ``environment`` holds read values under the document's keys (``quiet``, ``settle``, ``expects``, ...).
        """
        entry_keys = {key: value for key, value in environment.items() if key in ENTRY}
        common = {**self.defaults, **entry_keys}
        expects = common.pop("expects", ())
        for_all = {**self.for_all, **{key: value for key, value in environment.items() if key in FOR_ALL}}
        contract = Contract(
            keys={name: self.tag_keys.get(name, (key,)) for name, key in CONTRACT_KEYS.items()},
            label_keys=for_all.pop("labels", DEFAULT_LABEL_KEYS),
            fingerprint_case=for_all.pop("fingerprint_case", "fold"),
        )
        exact = [_rule(name, {**common, **entry}) for name, entry in self.entries if not is_pattern(name)]
        patterns = [_rule(name, {**common, **entry}) for name, entry in self.entries if is_pattern(name)]
        return Policy(rules=(*exact, *patterns), contract=contract, expects=expects, **for_all)


def is_pattern(name: str) -> bool:
    """Return whether a key under ``buckets`` is a glob pattern."""
    return "*" in name or "?" in name


def schema() -> str:
    """Return the JSON Schema of the document, as it is shipped."""
    from importlib import resources  # only packaging and people ask for it; functions need not pay for the import

    return resources.files("packer_publisher").joinpath("configuration.schema.json").read_text("utf-8")


def read_configuration(document: Document) -> Configuration:
    """Return what a document says. Raises one ConfigurationError that tells all its problems."""
    reading = _Reading(document)
    configuration = reading.read()
    if reading.problems:
        raise ConfigurationProblems(reading.problems)
    return configuration


def _rule(name: str, values: Mapping[str, Any]) -> BucketRule:
    named = {_FIELDS.get(key, key): value for key, value in values.items()}
    return BucketRule(name, BucketPolicy(name=None if is_pattern(name) else name, **named))


class _Reading:
    """One pass over a document that collects problems instead of stopping at the first."""

    def __init__(self, document: Document) -> None:
        self.source = document.source
        self.root = document.root
        self.problems: list[Problem] = []

    def problem(self, text: str, line: int | None = None) -> None:
        self.problems.append(Problem(self.source, text, line))

    def read(self) -> Configuration:
        root = self.root
        if root is None:
            self.problems.append(Problem(self.source, f"is empty, so {NOTHING_ALLOWED}", key=False))
            return Configuration(self.source)
        if not isinstance(root, Table):
            self.problem(f"the document {shown(root)}; write a mapping with the key buckets")
            return Configuration(self.source)
        self.unknown(root, "", _TOP)
        return Configuration(
            self.source,
            entries=self.buckets(root),
            defaults=self.entry(root, "defaults", ""),
            for_all=self.known(root, "", FOR_ALL),
            tag_keys=self.tag_keys(root),
        )

    def unknown(self, table: Table, path: str, known: frozenset[str]) -> None:
        for key in table:
            if key not in known:
                self.problem(f"{child(path, key)} is not known; {nearest(key, known)}", table.lines.get(key))

    def known(self, table: Table, path: str, readers: Mapping[str, Reader[Any]]) -> dict[str, Any]:
        found = {}
        for key, reader in readers.items():
            if key in table:
                try:
                    found[key] = reader(table[key])
                except Unreadable as error:
                    self.problem(f"{child(path, key)}{error.at} {error}", table.lines.get(key))
        return found

    def entry(self, table: Table, key: str, path: str) -> dict[str, Any]:
        """Return the read keys of an entry; one left empty (``web:``) says nothing of its own."""
        written = table.get(key)
        if written is None:
            return {}
        where = child(path, key)
        if not isinstance(written, Table):
            self.problem(f"{where} {shown(written)}; write a mapping such as {{quiet: 2h}}", table.lines.get(key))
            return {}
        self.unknown(written, where, frozenset(ENTRY))
        return self.known(written, where, ENTRY)

    def buckets(self, root: Table) -> tuple[tuple[str, Mapping[str, Any]], ...]:
        written = root.get("buckets")
        line = root.lines.get("buckets")
        if written is None or written == Table():
            self.problem(NOTHING_ALLOWED, line)
            return ()
        if not isinstance(written, Table):
            self.problem(
                f'buckets {shown(written)}; write a mapping of names or patterns, such as {{"web": {{}}}}',
                line,
            )
            return ()
        seen: dict[str, str] = {}
        entries = []
        for name in written:
            where = child("buckets", name)
            try:
                bucket_pattern(name)
            except Unreadable as error:
                self.problem(f"{where} {error}", written.lines.get(name))
            first = seen.setdefault(name.casefold(), name)
            if first != name:
                other = child("buckets", first)
                text = f"{where} and {other} differ in case only; keep the one that HCP Packer shows"
                self.problem(text, written.lines.get(name))
            entries.append((name, self.entry(written, name, "buckets")))
        return tuple(entries)

    def tag_keys(self, root: Table) -> dict[str, tuple[str, ...]]:
        written = root.get("tag_keys", Table())
        if not isinstance(written, Table):
            right = "write a mapping such as {bucket: HCPPackerBucket}"
            self.problem(f"tag_keys {shown(written)}; {right}", root.lines.get("tag_keys"))
            return {}
        self.unknown(written, "tag_keys", frozenset(CONTRACT_KEYS))
        found = self.known(written, "tag_keys", dict.fromkeys(CONTRACT_KEYS, _read_tag_keys))
        carried: dict[str, str] = {}
        for name, default in CONTRACT_KEYS.items():
            for key in found.get(name, (default,)):
                line = written.lines.get(name)
                if key.casefold().startswith(LABEL_PREFIX):
                    self.problem(f"tag_keys.{name} holds {quoted(key)}; {LABEL_PREFIX}* become build labels", line)
                if (other := carried.setdefault(key.casefold(), name)) != name:
                    both = f"tag_keys.{name} and tag_keys.{other}"
                    text = f"{both} are both {quoted(key)}; one tag has one meaning"
                    self.problem(text, line)
        return found
