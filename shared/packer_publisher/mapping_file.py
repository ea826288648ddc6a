"""The file of a mapping: rules in YAML or JSON, or a CSV list of images; every problem is found before any is told.

``mapping.schema.json`` beside this module says the same of the rules for editors; what no schema can say (names of
groups, rules that contradict each other or are never reached) is said here alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packer_publisher.document import (
    MOST_BYTES,
    ConfigurationProblems,
    MappingProblems,
    Problem,
    Table,
    child,
    quoted,
    read_file,
    read_text,
)
from packer_publisher.image import Platform
from packer_publisher.mapping import ImageMapping, Rule, Target, digest_of
from packer_publisher.mapping_conditions import Condition, Equals, Matches, Present
from packer_publisher.mapping_csv import LIST_TOO_LARGE, MOST_LIST_BYTES, read_list
from packer_publisher.mapping_fields import FIELDS, LABELS, ONLY_ON, TAGS, is_field
from packer_publisher.mapping_templates import Template
from packer_publisher.mapping_values import (
    read_bucket,
    read_component_type,
    read_condition,
    read_fingerprint,
    read_group,
    read_label,
)
from packer_publisher.values import MOST_LABELS, Reader, Unreadable, boolean, label_key, nearest, shown, tag_key
from packer_publisher.values import read_text as read_value

MOST_RULES = 500
TOO_LARGE = "is larger than 1 MiB; write rules that match many images, or a list as CSV"

_OUTPUTS: Mapping[str, Reader[Any]] = {
    "bucket": read_bucket,
    "fingerprint": read_fingerprint,
    "component_type": read_component_type,
    "group": read_group,
}
_KEYS = frozenset({"name", "match", "labels", "ignore", *_OUTPUTS})
_MATCH = frozenset({*FIELDS, "age", "tags", "labels"})
_NOTHING = "has no rule; write a list of rules, such as {match: {family: ubuntu}, bucket: golden-ubuntu}"


def read_mapping(path: Path) -> ImageMapping:
    """Return the mapping in a file: ``.csv`` is a list, ``.json`` JSON, any other name YAML.

    Raises one MappingProblems (a ConfigurationError) that tells everything that is wrong, with file and line.
    """
    try:
        if path.suffix.lower() == ".csv":
            return read_list(read_file(path, MOST_LIST_BYTES, LIST_TOO_LARGE), str(path))
        return read_rules(read_file(path, MOST_BYTES, TOO_LARGE), str(path), yaml=path.suffix.lower() != ".json")
    except ConfigurationProblems as error:
        raise MappingProblems(error.problems) from error


def read_rules(text: str, source: str, *, yaml: bool) -> ImageMapping:
    """Return the mapping in a text; ``source`` is how messages call it. Raises as :func:`read_mapping`."""
    try:
        document = read_text(text, source, yaml=yaml, numbered=True)
        reading = _Reading(source)
        rules = reading.rules(document.root)
    except ConfigurationProblems as error:
        raise MappingProblems(error.problems) from error
    except ModuleNotFoundError as error:
        if error.name != "re2":
            raise
        what = 'holds a regular expression, and google-re2 is not installed here; install "packer-publisher[cli]"'
        raise MappingProblems([Problem(source, what, key=False)]) from error
    if reading.problems:
        raise MappingProblems(sorted(reading.problems, key=lambda problem: problem.line or 0))
    return ImageMapping(source, rules=tuple(rules), digest=digest_of(text))


def schema() -> str:
    """Return the JSON Schema of the rules, as it is shipped."""
    from importlib import resources

    return resources.files("packer_publisher").joinpath("mapping.schema.json").read_text("utf-8")


class _Reading:
    """One pass over the rules that collects problems instead of stopping at the first."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.rule_read = ""

    def problem(self, text: str, line: int | None = None) -> None:
        self.problems.append(Problem(self.source, f"{self.rule_read}{text}", line))

    def rules(self, root: Any) -> list[Rule]:
        if root is None:
            self.problems.append(Problem(self.source, f"is empty and {_NOTHING}", key=False))
            return []
        if not isinstance(root, Table):
            self.problem(f"the document {shown(root)}; write a mapping with the key rules")
            return []
        self.unknown(root, "", {"rules"})
        written = root.get("rules")
        line = root.lines.get("rules")
        if written is None or written == []:
            self.problem(f"rules {_NOTHING}", line)
            return []
        if not isinstance(written, list):
            self.problem(
                f"rules {shown(written)}; write a list, such as [{{match: {{family: ubuntu}}, bucket: web}}]", line
            )
            return []
        if len(written) > MOST_RULES:
            self.problem(f"rules holds {len(written)}; at most {MOST_RULES} are allowed", line)
            return []
        rules: list[Rule] = []
        for number, table in enumerate(written, 1):
            self.rule_read = f"rule {number}: "
            if not isinstance(table, Table):
                self.problem(f"{shown(table)}; write a mapping with match and bucket", line)
                continue
            before = len(self.problems)
            rule = self.rule(table, number)
            if len(self.problems) == before:
                self.unreached(rule, rules)
                rules.append(rule)
        return rules

    def rule(self, table: Table, number: int) -> Rule:
        line = min(table.lines.values(), default=None)
        before = len(self.problems)
        self.unknown(table, "", _KEYS)
        conditions = self.match(table, line)
        sound = len(self.problems) == before
        name = self.value(table, "name", "", lambda value: read_value(value, "write a name")) or ""
        ignore = self.value(table, "ignore", "", boolean)
        outputs = {key: self.value(table, key, "", reader) for key, reader in _OUTPUTS.items()}
        labels = self.labels(table)
        given = [key for key in (*_OUTPUTS, "labels") if key in table]
        target = None
        if ignore and given:
            text = f"has ignore and {given[0]}; an image that is left out belongs nowhere, keep one of them"
            self.problem(text, table.lines.get(given[0]))
        elif not ignore and "bucket" not in table:
            self.problem("has no bucket; give one, or ignore: true", line)
        if "fingerprint" in given and "group" in given:
            self.problem("has fingerprint and group; keep one of them", table.lines.get("group"))
        if outputs["bucket"] is not None and not ignore:
            named = {key: value for key, value in outputs.items() if value is not None}
            target = Target(**named, labels=tuple(labels.items()))
            if sound:  # else what would fill them is not known
                self.blanks(table, conditions, {**named, **{f"labels.{key}": text for key, text in labels.items()}})
        return Rule(self.source, number, line, conditions, target, name)

    def match(self, table: Table, line: int | None) -> tuple[Condition, ...]:
        written = table.get("match")
        if not isinstance(written, Table):
            state = shown(written) if "match" in table else "is missing"
            right = "write a mapping such as {family: ubuntu}, or {} for all images"
            self.problem(f"match {state}; {right}", table.lines.get("match", line))
            return ()
        self.unknown(written, "match", _MATCH)
        conditions: list[Condition | None] = []
        for key in written:
            if key in ("tags", "labels"):
                conditions += self.keyed(written, key)
            elif key in _MATCH:
                conditions.append(self.condition(written, key, key, "match"))
        found = tuple(condition for condition in conditions if condition is not None)
        self.contradictions(found, written)
        return found

    def keyed(self, match: Table, key: str) -> Iterator[Condition | None]:
        """Yield the conditions under ``tags`` or ``labels``."""
        written, where = match[key], f"match.{key}"
        if not isinstance(written, Table) or not written:
            right = "write a mapping such as {release: noble}"
            self.problem(f"{where} {shown(written) if written else 'is empty'}; {right}", match.lines.get(key))
            return
        prefix = TAGS if key == "tags" else LABELS
        for name in written:
            try:
                tag_key(name)
            except Unreadable as error:
                self.problem(f"{child(where, name)} {error}", written.lines.get(name))
                continue
            yield self.condition(written, name, f"{prefix}{name}", where)

    def condition(self, table: Table, key: str, field: str, where: str) -> Condition | None:
        found: Condition | None = self.value(table, key, where, lambda written: read_condition(field, written))
        return found

    def contradictions(self, conditions: Sequence[Condition], match: Table) -> None:
        """Report conditions that no image can meet together, and groups that are no names of their own."""
        line = min(match.lines.values(), default=None)
        groups: dict[str, str] = {}
        for condition in conditions:
            for name in condition.expression.groups if isinstance(condition, Matches) else ():
                other = groups.setdefault(name, condition.field)
                if other != condition.field:
                    text = f"match has two groups called {name}, in {other} and in {condition.field}"
                    self.problem(f"{text}; give each a name of its own", line)
                if is_field(name):
                    self.problem(f"match has a group called {name}, which is a field; give it another name", line)
        needed = [condition.field for condition in conditions if condition != Present(condition.field, wanted=False)]
        if not _platforms(conditions):
            fields = [field for field in needed if field in ONLY_ON or field == "platform"]
            self.problem(f"match can match no image: no cloud has {' and '.join(fields)} like this", line)

    def labels(self, table: Table) -> dict[str, Template]:
        written = table.get("labels")
        if "labels" not in table:
            return {}
        if not isinstance(written, Table) or len(written) > MOST_LABELS:
            right = f"write a mapping of at most {MOST_LABELS} labels, such as {{os: ubuntu}}"
            self.problem(f"labels {shown(written)}; {right}", table.lines.get("labels"))
            return {}
        found = {}
        for key in written:
            try:
                label_key(key)
            except Unreadable as error:
                self.problem(f"{child('labels', key)} {error}", written.lines.get(key))
                continue
            text = self.value(written, key, "labels", read_label)
            if text is not None:
                found[key] = text
        return found

    def blanks(self, table: Table, conditions: Sequence[Condition], outputs: Mapping[str, Any]) -> None:
        """Report blanks that no image could fill."""
        groups = [n for c in conditions if isinstance(c, Matches) for n in c.expression.groups]
        platforms = _platforms(conditions)
        for key, template in outputs.items():
            if not isinstance(template, Template):
                continue
            line = table.lines.get(key.partition(".")[0])
            for blank in template.blanks:
                if blank not in groups and not is_field(blank):
                    right = nearest(blank, [*groups, *FIELDS])
                    self.problem(f"{key} names {quoted(blank)}, which is no group and no field; {right}", line)
                elif blank not in groups and platforms.isdisjoint(ONLY_ON.get(blank, platforms)):
                    others = " and ".join(sorted(ONLY_ON[blank]))
                    self.problem(f"{key} names {blank}, which only {others} has, and the rule takes none", line)

    def unreached(self, rule: Rule, before: Sequence[Rule]) -> None:
        for other in before:
            if set(other.conditions) <= set(rule.conditions):
                at = f" (line {other.line})" if other.line is not None else ""
                text = f"is never reached: rule {other.number}{at} takes all that it would"
                self.problem(f"{text}; put it before, or remove it", rule.line)
                return

    def unknown(self, table: Table, where: str, known: frozenset[str] | set[str]) -> None:
        for key in table:
            if key not in known:
                self.problem(f"{child(where, key)} is not known; {nearest(key, known)}", table.lines.get(key))

    def value(self, table: Table, key: str, where: str, reader: Reader[Any]) -> Any:
        """Return what a reader makes of a key, None where it is not there or cannot be read."""
        if key not in table:
            return None
        written = table[key]
        try:
            return reader(written)
        except Unreadable as error:
            line = table.lines.get(key)
            if isinstance(written, Table):
                line = written.lines.get(error.at.removeprefix("."), line)
            self.problem(f"{child(where, key)}{error.at} {error}", line)
            return None


def _platforms(conditions: Sequence[Condition]) -> set[Platform]:
    """Return the clouds whose images can meet the conditions."""
    found = set(Platform)
    for condition in conditions:
        if isinstance(condition, Equals) and condition.field == "platform":
            found &= {Platform(value) for value in condition.values}
        if condition != Present(condition.field, wanted=False):
            found &= ONLY_ON.get(condition.field, found)
    return found
