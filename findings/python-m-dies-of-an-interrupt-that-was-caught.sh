#!/usr/bin/env bash
# CPython 3.11 (3.10.13, 3.11.7, 3.12.1 and 3.13.0 do the same), Linux; no other package.
#
# A program that catches KeyboardInterrupt and then ends with an exit code of its own is killed by SIGINT all the same, after
# its last line, where two things meet: it was started as `python -m NAME`, and the interrupt came while code ran that was
# given to `exec` as a text. The standard library does that: `dataclass` builds its methods so, and `namedtuple` its
# class. So Ctrl-C while a program imports its modules is enough. The interpreter notes "an interrupt was not handled" when the text
# ends, and looks at the note again at its own end, whatever was caught in between. As a file, `python NAME.py`, the same program
# ends with its own code.
#
# Who is hit: all that read exit codes. A scheduler or a shell script that would go on after a code of 3 sees a process that was
# killed by a signal: `subprocess` says -2, a shell 130, and bash ends its own script as if Ctrl-C had been meant for it.
#
# Seen (the program catches the interrupt, prints, and asks for exit code 3):
#   python one.py, plain: 3
#   python -m one, plain: 3
#   python one.py, within exec: 3
#   python -m one, within exec: -2
#
# What helps: start programs by a script of their own (an entry point of a package does), or end with os._exit after flushing.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cat > "$place/one.py" <<'PYTHON'
import signal
import sys

try:
    if sys.argv[1] == "exec":
        exec("import signal; signal.raise_signal(signal.SIGINT)")
    else:
        signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("caught")
sys.exit(3)
PYTHON
cat > "$place/look.py" <<'PYTHON'
import subprocess
import sys

found = {}
for how, told in (("plain", "plain"), ("exec", "within exec")):
    for started in (["one.py"], ["-m", "one"]):
        ran = subprocess.run([sys.executable, *started, how], capture_output=True, text=True)
        assert ran.stdout == "caught\n" and ran.stderr == ""
        found[how, started[0]] = ran.returncode
        print(f"python {' '.join(started)}, {told}: {ran.returncode}")
same = {("plain", "one.py"): 3, ("plain", "-m"): 3, ("exec", "one.py"): 3, ("exec", "-m"): -2}
sys.exit(found != same)
PYTHON
cd "$place"
python3 look.py
