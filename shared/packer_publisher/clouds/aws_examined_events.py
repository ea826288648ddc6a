"""The rules that bring a function its events: those of its own region, and the forwarders of the others."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from packer_publisher.clouds.aws_desk import Desk, looked_at
from packer_publisher.clouds.aws_errors import Denied
from packer_publisher.clouds.aws_examined_queues import dead_letters
from packer_publisher.errors import PublisherError
from packer_publisher.finding import Finding, Trouble, judged, note, right, unknown, wrong
from packer_publisher.wording import counted

STATES = frozenset({"available", "failed", "deregistered", "disabled"})
_THREADS = 8
_REMEDY = "deploy serverless.yml again, with its rules unchanged"
_READS = "events:ListRuleNamesByTarget, events:DescribeRule, events:ListTargetsByRule and ec2:DescribeImages"
_ACROSS = frozenset({"aws"})
"""Partitions in which a rule may send to the bus of another region; elsewhere each region has the whole stack."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with the one of its targets that matters."""

    name: str
    enabled: bool
    pattern: Mapping[str, Any]
    schedule: str
    target: Mapping[str, Any]

    @property
    def tags(self) -> Collection[str] | None:
        """Return the tag keys or prefixes (ending in ``*``) that the rule hears of, None for a rule of another kind."""
        if self.pattern.get("source") != ["aws.tag"]:
            return None
        detail = self.pattern.get("detail", {})
        if detail.get("resource-type", ["image"]) != ["image"]:
            return None
        return {f"{key['prefix']}*" if isinstance(key, Mapping) and "prefix" in key else str(key)
                for key in detail.get("changed-tag-keys", [{"prefix": ""}])}  # fmt: skip

    @property
    def states(self) -> Collection[str] | None:
        """Return the states of images that the rule hears of, None for a rule of another kind."""
        if self.pattern.get("source") != ["aws.ec2"]:
            return None
        if "EC2 AMI State Change" not in self.pattern.get("detail-type", ()):
            return None
        return {str(state) for state in self.pattern.get("detail", {}).get("State", STATES)}


def events_findings(desk: Desk, queue_arn: str, keys: Collection[str]) -> Iterator[Finding]:
    """Yield how the rules of the home region are that send to the queue; ``keys`` are those of the contract."""
    yield from looked_at("rules", _READS, lambda: _home(desk, queue_arn, keys))


def forwarder_findings(desk: Desk, keys: Collection[str], named: Sequence[str]) -> Iterator[Finding]:
    """Yield how events of the other regions come to the home region: ``named`` ones, or those that are enabled."""
    yield from looked_at("forwarders", "ec2:DescribeRegions", lambda: _forwarders(desk, keys, named))


def _home(desk: Desk, queue_arn: str, keys: Collection[str]) -> Iterator[Finding]:
    rules = list(_rules(desk, queue_arn, desk.home))
    yield _heard("rule of tag changes", [rule for rule in rules if rule.tags is not None], _uncovered_keys(rules, keys))
    yield _heard("rule of state changes", [rule for rule in rules if rule.states is not None], _uncovered_states(rules))
    sweeps = [rule for rule in rules if rule.schedule and '"sweep"' in str(rule.target.get("Input", ""))]
    working = [rule for rule in sweeps if rule.enabled]
    if len(working) >= 2:
        yield right("sweeps", f"{counted(len(working), 'schedule')}: {', '.join(rule.schedule for rule in working)}")
    elif sweeps:
        off = ", ".join(rule.name for rule in sweeps if not rule.enabled) or "one is missing"
        yield wrong("sweeps", f"not all run: {off}; lost events are found late, or not at all", _REMEDY)
    else:
        yield wrong("sweeps", "no schedule sweeps: lost events are never found", _REMEDY)


def _heard(about: str, rules: Sequence[Rule], uncovered: Collection[str]) -> Finding:
    if not rules:
        return wrong(about, "there is none: its events do not arrive, and only the sweep finds images", _REMEDY)
    problems = [f"{rule.name} is disabled" for rule in rules if not rule.enabled]
    if uncovered:
        problems.append(f"it does not hear of {', '.join(sorted(uncovered))}")
    problems += [f"{rule.name} has no dead-letter queue" for rule in rules if not rule.target.get("DeadLetterConfig")]
    return judged(about, ", ".join(rule.name for rule in rules), problems, _REMEDY)


def _uncovered_keys(rules: Iterable[Rule], keys: Collection[str]) -> set[str]:
    heard = [key for rule in rules if rule.enabled for key in rule.tags or ()]
    whole = {key for key in keys if key in heard}
    begun = {key for key in keys for each in heard if each.endswith("*") and key.startswith(each[:-1])}
    return set(keys) - whole - begun


def _uncovered_states(rules: Iterable[Rule]) -> set[str]:
    return set(STATES).difference(*(rule.states for rule in rules if rule.enabled and rule.states is not None))


def _forwarders(desk: Desk, keys: Collection[str], named: Sequence[str]) -> Iterator[Finding]:
    answer = desk.ask("ec2", "describe_regions", AllRegions=True)["Regions"]
    enabled = {each["RegionName"] for each in answer if each.get("OptInStatus") != "not-opted-in"}
    for region in sorted(set(named) - enabled):
        yield wrong(
            f"region {region}", "the configuration names it, and it is not enabled", "enable it, or leave it out"
        )
    others = sorted(set(named or enabled) & enabled - {desk.home})
    partition = _partition(desk)
    if partition not in _ACROSS:
        yield note(
            "forwarders",
            f"events cross no regions in {partition}: {counted(len(others), 'other region')}",
            "deploy the whole stack in each region that images are made in",
        )
        return
    bus = f"arn:{partition}:events:{desk.home}:{desk.account()}:event-bus/default"
    with ThreadPoolExecutor(_THREADS) as pool:
        looks = list(pool.map(lambda region: _region(desk, bus, region, keys, bool(named)), others))
    silent = [region for region, (found, _) in zip(others, looks, strict=True) if found is None]
    for _, findings in looks:
        yield from findings
    if silent:
        say = wrong if named else note
        remedy = "deploy infra/aws/forwarder.yml there, or name the regions that images are made in (PUBLISHER_REGIONS)"
        late = "their images are found by the sweep only"
        yield say("forwarders", f"no events come from {', '.join(silent)}: {late}", remedy)


def _region(desk: Desk, bus: str, region: str, keys: Collection[str], named: bool) -> tuple[bool | None, list[Finding]]:
    """Return whether a region forwards (None: it has no rule for it) and what was found there."""
    about = f"region {region}"
    try:
        rules = list(_rules(desk, bus, region))
        if not rules:
            closed = _closed(desk, region)
            return (None, []) if closed is None else (True, [_denied(desk, about, closed, named)])
        problems = [f"{rule.name} is disabled" for rule in rules if not rule.enabled]
        if missing := _uncovered_keys(rules, keys):
            problems.append(f"tag changes of {', '.join(sorted(missing))} are not forwarded")
        if lost := _uncovered_states(rules):
            problems.append(f"images that become {', '.join(sorted(lost))} are not forwarded")
        found = [judged(about, "forwards its events", problems, f"deploy infra/aws/forwarder.yml in {region} again")]
        for arn in sorted({str((rule.target.get("DeadLetterConfig") or {}).get("Arn", "")) for rule in rules} - {""}):
            found += dead_letters(desk, f"dead letters of {region}", arn, f"not taken by {desk.home}", region)
    except Denied as denied:
        return True, [_denied(desk, about, denied, named) if _closed(desk, region) else _unseen(about, denied)]
    except PublisherError as trouble:
        return True, [unknown(about, str(trouble), trouble.remedy or "run the doctor again")]
    return True, found


def _closed(desk: Desk, region: str) -> Denied | None:
    """Return the denial where a region does not even let its images be listed, None where it does."""
    try:
        desk.ask("ec2", "describe_images", region=region, Owners=["self"], MaxResults=5)
    except Denied as denied:
        return denied
    return None


def _denied(desk: Desk, about: str, denied: Denied, named: bool) -> Finding:
    """Return what is to be said of a region that denies access: closed by a policy, if the home region does not."""
    if _closed(desk, desk.home):
        return _unseen(about, denied)
    text = f"it denies access ({denied.code}): a service control policy, or missing permissions"
    if named:
        remedy = "open it to these credentials, or take it out of PUBLISHER_REGIONS"
        return unknown(about, text, remedy, Trouble.CREDENTIALS)
    return note(about, text, "if the function is denied, too, none of its images is recorded: the probe tells")


def _unseen(about: str, denied: Denied) -> Finding:
    """Return that these credentials cannot look at a region's rules, which says nothing about the region."""
    text = f"AWS denies these credentials to look at its rules ({denied.code})"
    return unknown(about, text, f"run the doctor with credentials that may {_READS}", Trouble.CREDENTIALS)


def _rules(desk: Desk, target_arn: str, region: str) -> Iterator[Rule]:
    for name in desk.pages("events", "list_rule_names_by_target", "RuleNames", region=region, TargetArn=target_arn):
        rule = desk.ask("events", "describe_rule", region=region, Name=name)
        targets = desk.pages("events", "list_targets_by_rule", "Targets", region=region, Rule=name)
        target: Mapping[str, Any] = next((each for each in targets if each.get("Arn") == target_arn), {})
        pattern = json.loads(rule.get("EventPattern") or "{}")
        enabled = str(rule.get("State", "")).startswith("ENABLED")
        yield Rule(str(name), enabled, pattern, str(rule.get("ScheduleExpression", "")), target)


def _partition(desk: Desk) -> str:
    arn = desk.ask("sts", "get_caller_identity")["Arn"]
    return str(arn).split(":")[1]
