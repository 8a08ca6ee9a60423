"""Where shell.py was: components scaffolded then still call it here."""

import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).parent / "component" / "shell.py"), run_name="__main__")
