"""`worldreel inspect`: was a file made by us, and is it as it was made?"""

from __future__ import annotations

import argparse
import json

from worldreel.errors import shown
from worldreel.provenance import Report, inspect

__all__ = ["inspect_files"]


def inspect_files(arguments: argparse.Namespace) -> None:
    """Say of each file what its manifest, its pictures and its remark tell."""
    reports = [inspect(file, pictures=not arguments.quick) for file in arguments.files]
    if arguments.json:
        values = [report.to_dict() for report in reports]
        print(json.dumps(values if len(values) > 1 else values[0], indent=2))
        return
    for report in reports:
        print("\n".join(_lines(report)))


def _lines(report: Report) -> list[str]:
    """The report for a reader; nothing that a stranger wrote reaches the terminal unchecked."""
    since = ", but changed since it was signed" if report.state == "tampered" else ""
    lines = [f"{shown(report.file, limit=200)}: made by us: {report.answer}{since}"]
    lines += [f"  {e.source:<11} {e.answer:<8} {e.why}" for e in report.evidence]
    lines += [f"  changed     {one}" for one in report.changes]
    recipe = report.recipe or {}
    told = [f"{k} {shown(recipe[k], limit=80)}" for k in ("model", "seed", "prompt") if k in recipe]
    if told:
        lines.append(f"  recipe      {', '.join(told)}")
    if (manifest := report.manifest) is None:
        return lines
    for one in manifest.ingredients:
        role, title = one.get("relationship", ""), one.get("dc:title", "")
        lines.append(f"  from        {shown(str(title))} ({shown(str(role))})")
    if manifest.off:
        lines.append(f"  off         {', '.join(shown(part) for part in manifest.off)}")
    if manifest.unhashed:
        count = sum(one.length for one in manifest.unhashed)
        lines.append(f"  unhashed    {count} bytes, as the standard has it (--json says which)")
    return lines
