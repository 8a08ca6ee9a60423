"""Remove the environments that MLflow made for this project, and nothing else.

mlflow run . -e clean_envs               lists them, and asks
mlflow run . -e clean_envs -P yes=true   removes them

An environment is removed if it is where MLflow makes environments and main.py noted beside it that
this project uses it, and no other project that still exists.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # src/, where _utils lies

from _utils.internals import conda_command
from _utils.pipeline.environments import ROOT, env_root, users_of


def main(yes: bool) -> None:
    """List them, ask, remove them; the one that this process runs in stays."""
    conda = shutil.which(conda_command())
    prefixes = [*env_root().glob("mlflow-*")]
    if conda:
        listed = subprocess.run([conda, "env", "list", "--json"], capture_output=True, check=True)
        prefixes += map(Path, json.loads(listed.stdout)["envs"])
    prefixes = [each for each in prefixes if users_of(each.name) == {ROOT}]
    prefixes = [each for each in prefixes if each.is_dir() and not each.is_symlink()]
    print("\n".join(map(str, prefixes)) or f"MLflow has no environments that only {ROOT} uses.")
    if prefixes and not yes and sys.stdin.isatty():
        yes = input(f"Remove these {len(prefixes)} environments? [y/N] ").strip().lower() == "y"
    if prefixes and not yes:
        print("Nothing was removed: mlflow run . -e clean_envs -P yes=true removes them.")
        return
    for prefix in prefixes:
        if prefix == Path(sys.prefix):
            print(f"{prefix} stays, for this runs in it: --env-manager local removes it too.")
            continue
        if conda and (prefix / "conda-meta").is_dir():
            subprocess.run([conda, "env", "remove", "--yes", "--prefix", str(prefix)], check=True)
        shutil.rmtree(prefix, ignore_errors=True)
        (env_root() / f"{prefix.name}.users").unlink(missing_ok=True)
        print(f"Could not remove {prefix}" if prefix.exists() else f"Removed {prefix.name}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--yes", nargs="?", const="true", default="", help="do not ask")
    main(parser.parse_args().yes.lower() in ("true", "yes", "1"))
