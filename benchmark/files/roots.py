"""Where a workspace lies: in a folder, or in a bucket with a copy of it in a folder."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from benchmark.files.atomic import commit_file
from benchmark.files.bucket import SCHEME, Bucket

OWN = ".bucket"  # in the folder of a copy: what tells of the bucket
ROOT = "root"  # in there: its address


def root_of(text: str) -> Path:
    """Return the folder of a workspace: the path itself, and for `s3://BUCKET/PREFIX` its copy on
    this machine, below $BENCH_CACHE (default: ~/.cache/bench). Asks no network. Raises `BadInput`
    for an address that is none."""
    if not text.startswith(SCHEME):
        return Path(text)
    bucket = Bucket(url=text.rstrip("/"))
    bucket.check_address()
    server = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    name = re.sub(r"[^\w.-]", "_", bucket.url.removeprefix(SCHEME))[:80]
    mark = hashlib.sha256(f"{server} {bucket.url}".encode()).hexdigest()[:8]
    base = Path(os.environ.get("BENCH_CACHE") or Path.home() / ".cache" / "bench")
    folder = base / f"{name}-{mark}"
    marker = folder / OWN / ROOT
    if not marker.is_file():
        with commit_file(marker) as temporary:
            temporary.write_text(bucket.url + "\n", encoding="utf-8")
    return folder


def shown(root: Path) -> str:
    """Return a workspace as a person typed it: the bucket's address for the copy of one."""
    try:
        return (root / OWN / ROOT).read_text(encoding="utf-8").strip()
    except OSError:
        return str(root)
