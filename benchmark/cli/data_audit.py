"""`bench data audit`: a set's cases as a table, as JSON, and as a page with pictures."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.cli.options import add_common
from benchmark.cli.out import put

HELP = "volumes, HU, checks and pictures of every case of a set"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("name", metavar="NAME")
    parser.add_argument(
        "--html", type=Path, metavar="FILE",
        help="write a page with every case's middle slices (default: reports/audit-NAME.html in"
        " the workspace)",
    )  # fmt: skip
    parser.add_argument("--no-html", action="store_true", help="write no page")
    parser.set_defaults(action=_audit)
    add_common(parser, json=True)


def _audit(args: argparse.Namespace) -> int:
    from benchmark.data import library
    from benchmark.data.audit import Page, audited

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    dataset = library.open_dataset(args.root, args.name, say=say)
    page, rows = Page(dataset), []
    for case in dataset.cases:
        volume = dataset.load(case.name)
        rows.append(audited(dataset, volume))
        if not args.no_html:
            page.add(volume, rows[-1])
    if not args.no_html:
        path = args.html or args.root / "reports" / f"audit-{dataset.name}.html"
        page.write(path)
        say(f"pictures: {path}")
    if args.json:
        put(json.dumps(rows))
        return 0
    print_table(_table(rows))
    for row in rows:
        for check in row["checks"]:
            if not check["ok"]:
                forced = ", forced" if check["name"] in row["forced"] else ""
                found = f"{check['name']} = {check['value']}, not {check['limit']}{forced}"
                put(f"{row['case']}: {found}")
        for line in row["warnings"]:
            put(f"{row['case']}: {line}")
    return 0


def _table(audited: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    table = [["case", "shape", "spacing (mm)", "axes", "organ", "ml", "HU", "checks"]]
    for row in audited:
        failed = [check["name"] for check in row["checks"] if not check["ok"]]
        start = [
            row["case"],
            " x ".join(str(size) for size in row["shape"]),
            " x ".join(f"{mm:.4g}" for mm in row["spacing_mm"]),
            row["orientation"],
        ]
        verdict = "failed: " + ", ".join(failed) if failed else "ok"
        for organ, found in row["organs"].items():
            hu = "-" if found["hu_median"] is None else f"{found['hu_median']:.0f}"
            table.append([*start, organ, f"{found['ml']:.1f}", hu, verdict])
            start, verdict = ["", "", "", ""], ""
        for organ in row["not_annotated"]:
            table.append(["", "", "", "", organ, "-", "-", "not annotated"])
    return table


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        put("  ".join(cells).rstrip())
