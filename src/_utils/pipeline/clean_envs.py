"""Remove the environments that MLflow made for this project, and nothing else.

mlflow run . -e clean_envs               lists them, and asks
mlflow run . -e clean_envs -P yes=true   removes them

An environment is this project's alone if it lies where MLflow makes environments, has the name that
MLflow computes for one of the project's conda.yml files, and no other folder's pipeline uses it.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # src/, where _utils lies

from mlflow.utils.conda import get_conda_bin_executable

from _utils.pipeline.environments import ROOT, env_root, listed_by_conda, users_of


def find_environments(conda: str | None) -> list[Path]:
    """The environments that only this project uses, by conda, virtualenv and uv alike."""
    made = [*env_root().glob("mlflow-*"), *(listed_by_conda() if conda else [])]
    return [
        prefix
        for prefix in made
        if users_of(prefix.name) == {ROOT} and prefix.is_dir() and not prefix.is_symlink()
    ]


def remove(prefix: Path, conda: str | None) -> None:
    """Remove one, through conda if conda made it."""
    if conda and (prefix / "conda-meta").is_dir():
        subprocess.run([conda, "env", "remove", "--yes", "--prefix", str(prefix)], check=True)
    if prefix.exists():
        shutil.rmtree(prefix)
    (env_root() / f"{prefix.name}.users").unlink(missing_ok=True)


def main(yes: bool) -> None:
    """List them, ask, remove them; the one that this process runs in stays."""
    conda = shutil.which(get_conda_bin_executable("conda"))
    found = find_environments(conda)
    for prefix in found:
        print(prefix)
    if not found:
        print(f"MLflow has no environments that only {ROOT} uses.")
        return
    if not yes and sys.stdin.isatty():
        yes = input(f"Remove these {len(found)} environments? [y/N] ").strip().lower() == "y"
    if not yes:
        print("Nothing was removed: mlflow run . -e clean_envs -P yes=true removes them.")
        return
    own = Path(sys.prefix)
    for prefix in found:
        if prefix == own:
            print(f"{own} stays, for this runs in it: --env-manager local removes it too.")
            continue
        try:
            remove(prefix, conda)
            print(f"Removed {prefix.name}")
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{prefix} could not be removed: {error}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--yes", nargs="?", const="true", default="", help="do not ask")
    main(parser.parse_args().yes.lower() in ("true", "yes", "1"))
