"""Take the example out; what is left is an empty project that runs.

mlflow run . -e new_project -P name=churn

Nothing is committed, so `git diff` shows all of it, and git takes it back.
"""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # src/, where _utils lies

import yaml

from _utils.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
TEXTS = Path(__file__).with_suffix("")  # files of the new project, in the place of the template's
COMPONENTS = (
    *("data_extraction", "eda", "basic_cleaning", "data_check", "data_split"),
    *("train_random_forest", "evaluation", "batch_scoring", "monitoring"),
)
GONE = (
    *(f"src/{name}" for name in COMPONENTS),
    *("src/_utils/example", "resources/data", "resources/images/mlflow_ui.png"),
    *("notebooks/eda", "search", "benchmarks"),
    *("tests/example", "tests/_utils/example", "tests/src/test_monitoring.py"),
)
# Keys of config.yaml and MLproject; all below them goes too
KEYS = {
    *(f"components.{name}" for name in COMPONENTS),
    *(f"main.execute_steps.{name}" for name in COMPONENTS),
    *("main.aliases.download", "main.aliases.train_model"),
    *("data", "cleaning", "checks", "split", "modeling", "scoring", "monitoring"),
    *(f"deployment.{key}" for key in ("model", "min_improvement", "max_mae", "min_r2")),
    "entry_points.new_project",
}
# What else tells of the example: file, what it is, and what takes its place
EDITS = (
    ("MLproject", r"(?<=^name: ).*", "{name}"),
    ("config.yaml", r"(?<=  project_name: ).*", "{name}"),
    ("config.yaml", r"(?<=  registered_model: )\w+", "{name}"),
    ("config.yaml", r"(?<=    metric: ).*", "null"),
    ("config.yaml", r": here .*\n  retrain:\n(    - .*\n)+", "\n  retrain:\n"),
    ("environment.yml", "base_project_env", "{name}_env"),
    (".github/workflows/tests.yml", "base_project_env", "{name}_env"),
    ("Makefile", r"benchmark: .*\n(\t.*\n)+\n| benchmark(?= )", ""),
    ("pyproject.toml", r'"(benchmarks|src/data_check)/.*\n', ""),
    ("src/_utils/registry.py", r"\[evaluation\]", "[<component>]"),
    ("cookie-mlflow-step/templates/script", r"; src/\S+ is an example", ""),
    ("cookie-mlflow-step/local_extensions.py", r"; src/\S+ is an example", ""),
    ("MLpipeline.md", r"\A(.*)\n", r"\1\n\nThe examples on this page are those of the template.\n"),
    *(
        (f"schedules/{name}", r" -P steps=[\w,]+| main\.on_alarm=retrain", "")
        for name in ("crontab", "github-actions.yml", "kubernetes-cronjob.yaml", "pipeline.service")
    ),
)


def main(name: str) -> None:
    """Edit what is to be edited, remove what is of the example, and say what there is now."""
    check_name(name)
    check_that_git_can_take_it_back()
    texts = {path.relative_to(TEXTS).as_posix(): path for path in TEXTS.rglob("*.md")}
    edited = {file: path.read_text("utf-8").replace("<name>", name) for file, path in texts.items()}
    for file in ("config.yaml", "MLproject"):
        edited[file] = without((ROOT / file).read_text("utf-8"), KEYS)
    for file, pattern, replacement in EDITS:
        text = edited.get(file) or (ROOT / file).read_text("utf-8")
        new = replacement.replace("{name}", name)
        edited[file], found = re.subn(pattern, new, text, flags=re.MULTILINE)
        if not found:
            raise UserError(f"{file} has no '{pattern}' any more: mend EDITS in {__file__}.")
    for path in GONE:
        remove(ROOT / path)
    for file, text in edited.items():
        (ROOT / file).write_text(text, "utf-8")
    print(f"{name}: the example is gone. git diff shows it all, git checkout . undoes it.")
    print("Runs of the example are still in mlflow.db and mlruns: remove both to begin anew.")
    print("Next: cookiecutter cookie-mlflow-step -o src, then mlflow run .")


def check_name(name: str) -> None:
    """Raise UserError if MLflow, conda, YAML or W&B could not take it for a project's name."""
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) or yaml.safe_load(name) != name:
        raise UserError(
            f"'{name}' cannot be a project's name: use letters, digits and _, beginning with a "
            "letter, as in mlflow run . -e new_project -P name=churn."
        )


def check_that_git_can_take_it_back() -> None:
    """Raise UserError if there are changes that are not committed."""
    command = ["git", "status", "--porcelain"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if found.returncode or found.stdout:
        raise UserError(
            f"Not everything in {ROOT} is committed: {found.stdout or found.stderr}"
            "Commit it first (git add --all && git commit), so that git can take this back."
        )


def without(text: str, keys: set[str]) -> str:
    """YAML without these keys and items, the comments above them, and all that is below them.

    Args:
        text: In block style.
        keys: Dotted; the last word of an item of a list is the item.
    """
    kept, comments, path = [], [], []
    for line in text.splitlines(keepends=True):
        if not line.strip() or line.lstrip().startswith("#"):
            comments.append(line)
            continue
        indent, word = re.match(r"( *)(?:- )?([^:\s]*)", line).groups()
        path = [(depth, key) for depth, key in path if depth < len(indent)]
        path.append((len(indent), word))
        dotted = [".".join(key for _, key in path[:length]) for length in range(1, len(path) + 1)]
        if not keys & {*dotted}:
            kept += [*comments, line]
        comments = []
    return "".join([*kept, *comments])


def remove(path: Path) -> None:
    """Remove a file, or a folder and all that is in it."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the new project")
    try:
        main(parser.parse_args().name)
    except UserError as error:
        sys.exit(str(error))
