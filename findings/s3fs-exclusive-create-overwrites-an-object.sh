#!/usr/bin/env bash
# s3fs 2026.9.0 and fsspec 2026.9.0 (with aiobotocore 3.10.0, botocore 1.43.117), Python 3.11, Linux; the server is moto 5.2.5.
#
# s3fs asks the store to refuse an object that is there already (If-None-Match), for `open(key, "xb")` and for mode="create".
# Two ways round it lose the object that was there, without an error:
# - `open(key, "xb")` in which nothing is written: the object is replaced by an empty one. With one byte written it is refused.
# - `cp_file(from, to, mode="create")`: the mode is not used, the object is replaced.
# `pipe_file(key, b"", mode="create")` refuses as it should, so the empty content is not the cause: the file object puts an empty
# object by another way, which asks for nothing.
#
# Who is hit: code that takes "xb" for a lock or a marker ("first come, first served": a marker is often empty), and code that
# publishes a result by a copy that must not replace another's.
#
# Seen (the object holds b"weights" before each):
#   xb, one byte written: FileExistsError, then b'weights'
#   pipe_file, mode create, empty: FileExistsError, then b'weights'
#   xb, nothing written: no error, then b''
#   cp_file, mode create: no error, then b'other'
#
# What helps: commit by `pipe_file(key, data, mode="create")` or `put_file(..., mode="create")` alone, with content.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet \
    s3fs==2026.9.0 fsspec==2026.9.0 aiobotocore==3.10.0 botocore==1.43.117 boto3==1.43.117 'moto[s3,server]==5.2.5'
cat > "$place/look.py" <<'PYTHON'
import logging
import os
import sys

os.environ.update(
    AWS_ACCESS_KEY_ID="any", AWS_SECRET_ACCESS_KEY="any", AWS_DEFAULT_REGION="us-east-1"
)
import s3fs
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
KEY, OTHER = "bucket/key", "bucket/other"


def opened(fs, data):
    """Make the object anew by an exclusive file that writes `data`."""
    with fs.open(KEY, "xb") as file:
        if data:
            file.write(data)


def look(fs, name, make):
    """Put the object there, try to make it exclusively; print and return what came of both."""
    fs.pipe_file(KEY, b"weights")
    try:
        make()
        error = "no error"
    except FileExistsError:
        error = "FileExistsError"
    left = fs.cat_file(KEY)
    print(f"{name}: {error}, then {left!r}")
    return error, left


server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
fs = s3fs.S3FileSystem(
    endpoint_url=f"http://{host}:{port}", use_listings_cache=False, skip_instance_cache=True
)
fs.mkdir("bucket")
fs.pipe_file(OTHER, b"other")
kept = ("FileExistsError", b"weights")
found = [
    look(fs, "xb, one byte written", lambda: opened(fs, b"x")),
    look(fs, "pipe_file, mode create, empty", lambda: fs.pipe_file(KEY, b"", mode="create")),
    look(fs, "xb, nothing written", lambda: opened(fs, b"")),
    look(fs, "cp_file, mode create", lambda: fs.cp_file(OTHER, KEY, mode="create")),
]
server.stop()
sys.exit(0 if found == [kept, kept, ("no error", b""), ("no error", b"other")] else 1)
PYTHON
"$place/venv/bin/python" "$place/look.py"
