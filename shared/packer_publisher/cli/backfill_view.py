"""A backfill's plan and result, as lines for a person and as one JSON object for a program."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from packer_publisher.backfill.sums import LEFT, LEFT_OUT, WRITING, Sums, action_of, is_failure, is_written
from packer_publisher.cli.tables import facts, safe
from packer_publisher.wording import counted, listed

if TYPE_CHECKING:
    from packer_publisher.backfill.journal import Entry, Journal

SIGNS = {
    "create": ("+", "green"), "add": ("~", "yellow"), "unchanged": ("=", ""), "cannot": ("!", "red"),
    LEFT: ("-", "cyan"), LEFT_OUT: ("-", "cyan"),
}  # fmt: skip
MOST_LINES = 20
"""Versions of a bucket that are printed before the question; a dry run prints all."""
MOST_ALIKE = 3
"""Images with the same reason that are named before the question."""


def plan_lines(journal: Journal, found: Sums, left_out: Mapping[str, str], *, whole: bool) -> Iterator[str]:
    """Yield the plan: every version that something would be written to or that a person should look at."""
    yield from _scope_lines(journal)
    if not found.versions:
        yield "No image carries the tags of a version: there is nothing to do."
        yield from _other_lines(journal, whole=whole)
        return
    for name, number in journal.buckets():
        actions = Counter(action_of(entry, left_out) for entry in journal.versions(bucket=name))
        same, done = actions["unchanged"], sum(map(is_written, journal.versions(bucket=name)))
        told = [f"{counted(done, 'version')} done before"] * bool(done)
        told += [f"{counted(same, 'version')} unchanged"] * bool(same)
        yield ""
        yield "  ".join([click.style(safe(name), bold=True), *told])
        if name in left_out:
            yield from facts([("left out", left_out[name]), ("what to do", "add --allow-latest-to-move-back")])
        rest = (
            entry
            for entry in journal.versions(bucket=name)
            if action_of(entry, left_out) != "unchanged" and not is_written(entry)
        )
        for entry in rest if whole else islice(rest, MOST_LINES):
            yield from _entry_lines(entry, action_of(entry, left_out))
        if not whole and number - same - done > MOST_LINES:
            yield f"  ... and {number - same - done - MOST_LINES} more; --dry-run prints all"
    yield from _other_lines(journal, whole=whole)
    yield ""
    yield f"Plan: {_plan_sum(found)}."


def result_lines(journal: Journal, found: Sums, problem: str) -> Iterator[str]:
    """Yield what was done: the versions that need somebody, and the same sums as the plan's."""
    failed = 0
    noted: dict[str, list[str]] = {}
    for entry in journal.versions("done"):
        for note in _notes(entry):
            noted.setdefault(note, []).append(f"{safe(entry.bucket)}/{safe(entry.fingerprint)}")
        failed += is_failure(entry)
        if is_failure(entry) and failed <= MOST_LINES:
            yield ""
            yield click.style(f"{entry.outcome}  {safe(entry.bucket)}/{safe(entry.fingerprint)}", fg="red")
            yield from _problem_lines(entry)
    if failed > MOST_LINES:
        yield f"... and {failed - MOST_LINES} more; --json lists all"
    for entry in islice(journal.versions("sending", "sent"), MOST_LINES):
        yield ""
        yield click.style(f"sent  {safe(entry.bucket)}/{safe(entry.fingerprint)}", fg="yellow")
        details: Mapping[str, Any] = entry.details or {}
        yield from facts([("since", details.get("sent_at", "")), ("why it is open", details.get("open", ""))])
    if found.sent > MOST_LINES:
        yield f"... and {found.sent - MOST_LINES} more; --json lists all"
    for note, names in noted.items():
        yield ""
        yield f"note  {safe(note)}"
        more = [f"and {len(names) - MOST_ALIKE} more; --json lists all"] if len(names) > MOST_ALIKE else []
        yield from facts([("versions", [*names[:MOST_ALIKE], *more])])
    outcomes = ", ".join(f"{number} {outcome}" for outcome, number in sorted(found.outcomes.items()))
    yield ""
    yield (
        f"Done: {counted(found.buckets, 'bucket')}, {counted(sum(found.outcomes.values()), 'version')}"
        f"{f' ({outcomes})' if outcomes else ''}, {counted(found.artifacts, 'artifact')}, "
        f"{counted(found.calls, 'registry call')}{f'; {found.sent} sent and not finished' if found.sent else ''}."
    )
    if problem:
        yield f"Not over: {safe(problem)}"


def json_pieces(
    journal: Journal, found: Sums, left_out: Mapping[str, str], *, dry_run: bool, problem: str
) -> Iterator[str]:
    """Yield everything as the pieces of one JSON object, a version at a time: there may be very many."""
    head = {
        "dry_run": dry_run,
        "problem": problem,
        "scopes": [
            {"scope": scope.at, "state": state, "images": images, "problem": why}
            for scope, (state, why, images) in journal.scopes().items()
        ],
        "sums": found.as_json(dry_run=dry_run),
        "left_out": dict(left_out),
        "others": [
            {"image": image, "outcome": outcome, "reason": reason, "remedy": remedy}
            for image, outcome, reason, remedy in journal.others()
        ],
    }
    yield f'{json.dumps(head, indent=2)[:-2]},\n  "versions": ['
    for number, entry in enumerate(journal.versions()):
        comma = "," if number else ""
        yield f"{comma}\n    {json.dumps(_entry_document(entry, action_of(entry, left_out)))}"
    yield "\n  ]\n}\n"


def _entry_document(entry: Entry, action: str) -> dict[str, Any]:
    return {
        "bucket": entry.bucket,
        "fingerprint": entry.fingerprint,
        "stage": entry.stage,
        "action": action,
        "outcome": entry.outcome,
        "version": entry.name,
        "oldest_image": entry.oldest.isoformat(),
        "newest_image": entry.newest.isoformat(),
        "images": entry.images,
        "calls": entry.calls,
        **{key: value for key, value in (entry.details or {}).items() if key not in ("action", "calls")},
    }


def _scope_lines(journal: Journal) -> Iterator[str]:
    for scope, (state, problem, images) in journal.scopes().items():
        if state == "denied":
            yield f"{scope.at}: " + click.style("no access", fg="red")
            yield from facts([("why", problem)])
        else:
            yield f"{scope.at}: {counted(images, 'image')}"


def _entry_lines(entry: Entry, action: str) -> Iterator[str]:
    sign, colour = SIGNS.get(action, ("?", ""))
    details: Mapping[str, Any] = entry.details or {}
    told = []
    if details.get("builds"):
        told.append(listed(details["builds"]))
        told.append(counted(details.get("artifacts", 0), "artifact"))
    if details.get("channels"):
        told.append(f"channels {listed(list(dict.fromkeys(details['channels'])))}")
    if action in WRITING and not details.get("completes"):
        waits = details.get("waits_for")
        told.append(f"stays open, waits for {listed(waits)}" if waits else "stays open")
    line = f"  {sign} {safe(entry.fingerprint)}  {entry.newest:%Y-%m-%d}  {', '.join(told)}".rstrip()
    yield click.style(line, fg=colour or None)
    yield from _problem_lines(entry, indent=6)
    yield from facts([("note", [safe(note) for note in _notes(entry)])], indent=6)


def _notes(entry: Entry) -> list[str]:
    notes: Any = (entry.details or {}).get("notes", [])
    return list(notes)


def _problem_lines(entry: Entry, indent: int = 2) -> Iterator[str]:
    problems: Any = (entry.details or {}).get("problems", [])
    for reason, remedy in problems:
        yield from facts([("why", reason), ("what to do", remedy)], indent=indent)


def _other_lines(journal: Journal, *, whole: bool) -> Iterator[str]:
    """Yield the images that belong to no version, those with one and the same reason together."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for image, outcome, reason, remedy in journal.others():
        alike.setdefault((outcome, reason, remedy), []).append(image)
    if alike:
        yield ""
        number = sum(map(len, alike.values()))
        belong = "belongs" if number == 1 else "belong"
        yield click.style(f"{counted(number, 'image')} that {belong} to no version", bold=True)
    for (outcome, reason, remedy), images in alike.items():
        yield f"  {outcome}  {counted(len(images), 'image')}: {safe(reason)}"
        told = images if whole else images[:MOST_ALIKE]
        more = [f"and {len(images) - len(told)} more; --dry-run names all"] if len(told) < len(images) else []
        yield from facts([("what to do", remedy), ("images", [*map(safe, told), *more])], indent=6)


def _plan_sum(found: Sums) -> str:
    words = {
        "create": "to create", "add": "to add to", "unchanged": "unchanged", "cannot": "that cannot be written",
        LEFT: "left to the events", LEFT_OUT: "left out",
    }  # fmt: skip
    left = found.actions - found.written
    actions = [f"{left[action]} {words[action]}" for action in words if left[action]]
    if done := found.written.total():
        actions.append(f"{done} done before")
    new = f" ({found.new_buckets} new)" if found.new_buckets else ""
    return (
        f"{counted(found.buckets, 'bucket')}{new}, {counted(found.versions, 'version')}: {', '.join(actions)}; "
        f"{counted(found.planned_artifacts, 'artifact')}, about {counted(found.planned_calls, 'registry call')}"
    )
