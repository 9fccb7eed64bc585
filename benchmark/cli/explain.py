"""`bench explain`: what a flag beside a row's numbers means, and what to do."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from benchmark.cli.options import add_json, flag, option
from benchmark.cli.out import put, put_json

HELP = "what a flag means and what to do: bench explain fsm_saturated"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    option(parser, "names", "FLAG", "default: a list of all flags", nargs="*")
    add_json(parser)
    flag(parser, "--markdown", "print the page docs/flags.md and nothing else")


def run(args: argparse.Namespace) -> int:
    """Print the flags asked for, or a line for each. Raises `BadInput` for an unknown name."""
    from benchmark.analysis.flag_guide import GUIDES, flags_page, guide_of, guide_text

    chosen = list(dict.fromkeys(map(guide_of, args.names)))
    if args.markdown:
        put(flags_page(chosen or GUIDES), end="")
    elif args.json:
        put_json([asdict(guide) for guide in chosen or GUIDES])
    elif chosen:
        put("\n\n".join(map(guide_text, chosen)))
    else:
        for guide in GUIDES:
            put(f"{guide.slug:28s} {guide.title}")
        put("bench explain FLAG says what was measured, the limit, what it means and what to do")
    return 0
