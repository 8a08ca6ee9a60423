"""Where notebook.py was: components scaffolded then still call it here."""

import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).parent / "component" / "notebook.py"), run_name="__main__")
