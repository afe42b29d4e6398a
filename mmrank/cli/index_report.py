"""What ``mmrank index`` says at the end: what went in, what did not and why, what was done to keep it fast."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mmrank.cli.output import count, duration, out, printable
from mmrank.errors import MediaError

if TYPE_CHECKING:
    from mmrank.index.report import AddReport, Upkeep
    from mmrank.media.scan import Scan

CAUSES = 5
"""Failures and warnings shown in the summary; all of them are in --json and in --log."""


def report_json(report: AddReport, found: Scan) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {
        "added": report.added,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "failed": report.failed,
        "seconds": report.seconds,
        "recall": report.recall,
        "warnings": report.warnings,
        "skipped": dict(found.skipped),
        "removed": report.removed,
        "moved": report.moved,
        "upkeep": asdict(report.upkeep),
    }


def print_report(report: AddReport, found: Scan, spec: str, to: str) -> None:
    console = out()
    moved = f" ({report.moved:,} of them moved or renamed)" if report.moved else ""
    done = f"{report.added:,} added{moved}, {report.updated:,} updated, {report.unchanged:,} unchanged"
    if report.removed:
        done += f", {report.removed:,} removed"
    console.print(f"{done}, {len(report.failed):,} failed in {duration(report.seconds)}", markup=False, soft_wrap=True)
    if report.recall is not None:
        share = f"{100 * report.recall:.1f} %"
        console.print(f"Approximate search finds {share} of the ten nearest (recall@10, measured)", markup=False)
    if not report.upkeep.nothing:
        console.print(f"Kept fast: {_upkeep(report.upkeep)}", markup=False, soft_wrap=True)
    if skipped := sum(found.skipped.values()):
        kinds = ", ".join(f"{number:,} {printable(name)}" for name, number in found.skipped.most_common(CAUSES))
        more = ", ..." if len(found.skipped) > CAUSES else ""
        console.print(f"Left out {count(skipped, 'file')} of other sorts: {kinds}{more}", markup=False, soft_wrap=True)
    _list("Could not be indexed", [_cause(uri, why) for uri, why in report.failed])
    # the model's own warning came before the work; these are of single files
    _list("Note", [_cause(uri, what) for uri, what in report.warnings if uri != spec])
    if report.added + report.updated + report.unchanged:
        console.print(f'\nNow: mmrank search {to} "what you are looking for"', markup=False, soft_wrap=True)


def _upkeep(done: Upkeep) -> str:
    """What was done to keep the index fast, in a line."""
    parts = [f"{count(was, 'data file')} put together to {now:,}" for was, now in done.compacted.values() if now < was]
    if done.compacted:
        parts.append("indexes brought up to date")
    if done.versions_removed:
        parts.append(f"{count(done.versions_removed, 'old version')} removed")
    if done.indexed:
        named = ", ".join(done.indexed[:CAUSES]) + (", ..." if len(done.indexed) > CAUSES else "")
        parts.append(f"{count(len(done.indexed), 'column')} indexed for filters ({named})")
    if done.approximate:
        parts.append("an approximate index built")
    return "; ".join(parts)


def _cause(uri: str, why: str) -> str:
    """The file and what is the matter with it, without naming the file twice."""
    from mmrank.media.uri import printable as show_path
    from mmrank.media.uri import split_uri

    try:
        name = show_path(split_uri(uri).path)
    except MediaError:  # the uri of something that is not a local file
        name = uri
    return why if name in why else f"{uri}: {why}"


def _list(heading: str, lines: list[str]) -> None:
    if not lines:
        return
    console = out()
    console.print(f"\n{heading}:", markup=False)
    for line in lines[:CAUSES]:
        console.print(f"  {printable(line)}", markup=False, soft_wrap=True)
    if len(lines) > CAUSES:
        console.print(f"  and {len(lines) - CAUSES:,} more (--json and --log list all)", markup=False)
