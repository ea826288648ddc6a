"""Reports as log fields and as one line, the same in all functions and on the command line."""

from __future__ import annotations

from packer_publisher.report import Outcome, Report
from packer_publisher.wording import shown

_TEXTS = ("image", "platform", "owner", "region", "bucket", "fingerprint", "component_type", "version", "parent")
_LONG = 1000  # reasons are our own sentences; what they quote of tags is cut where it is quoted


def log_fields(report: Report) -> dict[str, object]:
    """Return the report's non-empty fields, safe to log: one line each, cut, control characters escaped."""
    fields: dict[str, object] = {"outcome": str(report.outcome)}
    fields |= {name: shown(getattr(report, name), 512) for name in _TEXTS if getattr(report, name)}
    if report.reason:
        fields["reason"] = shown(report.reason, _LONG)
    if report.remedy:
        fields["remedy"] = shown(report.remedy, _LONG)
    if report.waits_for:
        fields["waits_for"] = [shown(name) for name in report.waits_for]
    if report.notes:
        fields["notes"] = [shown(note, _LONG) for note in report.notes]
    fields["calls"] = report.calls
    return fields


def log_level(report: Report) -> str:
    """Return WARNING for outcomes that somebody should look at, INFO for the others."""
    quiet = (Outcome.REGISTERED, Outcome.COMPLETED, Outcome.UNCHANGED, Outcome.WAITING, Outcome.IGNORED)
    return "INFO" if report.outcome in quiet else "WARNING"


def log_line(report: Report) -> str:
    """Return the report as one sentence."""
    where = f" {shown(report.bucket)}/{shown(report.fingerprint)}" if report.bucket else ""
    why = f": {shown(report.reason, _LONG)}" if report.reason else ""
    todo = f" ({shown(report.remedy, _LONG)})" if report.remedy else ""
    return f"{report.outcome} {shown(report.image, 512)}{where}{why}{todo}"
