"""A git.exe for Python under wine: Linux' git does the work.

Wine starts a program of Linux, but gives it no pipes and does not say when it has ended. So the
program writes to files, of which the one with its exit status comes last.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path


def on_linux(path: str) -> str:
    """A path of Windows as Linux has it; other texts stay."""
    if not re.match(r"[A-Za-z]:[\\/]", path):
        return path
    drive, rest = path[:2].lower(), path[2:].replace("\\", "/")
    return rest if drive == "z:" else f"{os.environ['WINEPREFIX']}/dosdevices/{drive}{rest}"


def main() -> None:
    """Run git in this folder with the arguments of this process, and end with its exit status."""
    with tempfile.TemporaryDirectory(dir="Z:\\tmp") as folder:
        results = Path(folder)
        line = shlex.join(["git", *map(on_linux, sys.argv[1:])])
        script = f"""
            (cd {shlex.quote(on_linux(str(Path.cwd())))} && {line}) </dev/null >"$0/out" 2>"$0/err"
            echo $? >"$0/status.part"
            mv "$0/status.part" "$0/status"
        """
        sys.unraisablehook = lambda _: None  # wine has no handle of the process for Python
        with suppress(OSError):
            subprocess.Popen(["Z:\\bin\\sh", "-c", script, on_linux(folder)])
        while not (results / "status").exists():
            time.sleep(0.01)
        sys.stdout.buffer.write((results / "out").read_bytes())
        sys.stderr.buffer.write((results / "err").read_bytes())
        sys.exit(int((results / "status").read_text("utf-8")))
