"""Remove the example, and leave an empty project that runs.

mlflow run . -e new_project -P name=churn

Nothing is committed: `git diff` shows the changes, and `git checkout .` undoes them.
"""

import argparse
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # src/, where _utils lies

import yaml

from _utils.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
COMMIT_FIRST = "Commit it first (git add --all && git commit), so that git can undo this."
TEXTS = Path(__file__).with_suffix("")  # files of the new project that replace the template's
COMPONENTS = (
    *("data_extraction", "eda", "basic_cleaning", "data_check", "data_split"),
    *("train_random_forest", "evaluation", "batch_scoring", "monitoring"),
)
# Files of the example. They are listed one by one, because the folders may also hold your files
GONE = (TEXTS / "gone.txt").read_text("utf-8").splitlines()
CONFIGS = ("config.yaml", "MLproject")
# Keys to remove from both, with everything below them
KEYS = {
    *(f"components.{name}" for name in COMPONENTS),
    *(f"main.execute_steps.{name}" for name in COMPONENTS),
    *("main.aliases.download", "main.aliases.train_model"),
    *("data", "cleaning", "checks", "split", "modeling", "scoring", "monitoring"),
    *(f"deployment.{key}" for key in ("model", "min_improvement", "max_mae", "min_r2")),
    "entry_points.new_project",
}
# Other texts about the example: file, pattern, and replacement
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
    ("src/_utils/models/registry.py", r"\[evaluation\]", "[<component>]"),
    ("cookie-mlflow-step/templates/script", r"; src/\S+ is an example", ""),
    ("cookie-mlflow-step/local_extensions.py", r"; src/\S+ is an example", ""),
    ("MLpipeline.md", r"\A(.*)\n", r"\1\n\nThe examples on this page are those of the template.\n"),
    *(
        (f"schedules/{name}", r" -P steps=[\w,]+ -P hydra_options=main\.on_alarm=retrain", "")
        for name in ("crontab", "github-actions.yml", "kubernetes-cronjob.yaml", "pipeline.service")
    ),
)


def main(name: str) -> None:
    """Edit and remove files, and print what to do next."""
    check_name(name)
    tracked = files_of_git()
    texts = {path.relative_to(TEXTS).as_posix(): path for path in TEXTS.rglob("*.md")}
    edited = {file: path.read_text("utf-8").replace("<name>", name) for file, path in texts.items()}
    edited |= {file: without((ROOT / file).read_text("utf-8"), KEYS) for file in CONFIGS}
    for file, pattern, replacement in EDITS:
        if file in tracked:
            text = edited.get(file) or (ROOT / file).read_text("utf-8")
            new = replacement.replace("{name}", name)
            edited[file] = re.sub(pattern, new, text, flags=re.MULTILINE)
    edited = {file: text for file, text in edited.items() if file in tracked}
    gone = tracked & {*GONE}
    for file in gone | {*edited}:
        check_is_inside(ROOT / file)
    for file, text in edited.items():
        (ROOT / file).write_text(text, "utf-8")
    for file in gone:
        remove(ROOT / file)
    print(f"Removed the example. The project is now named {name}.")
    print("git diff shows the changes, git checkout . undoes them.")
    kept = {(ROOT / file).parent for file in tracked - gone}
    emptied = {(ROOT / file).parent for file in gone} - kept
    if left := sorted(str(folder) for folder in emptied if folder.exists()):
        print(f"Files that git does not track were kept in {', '.join(left)}.")
    print("Runs of the example are still in mlflow.db and mlruns. Delete both to start fresh.")
    print("Next: cookiecutter cookie-mlflow-step -o src, then mlflow run .")


def check_name(name: str) -> None:
    """Raise UserError if MLflow, conda, YAML or W&B would not accept the name of the project."""
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) or yaml.safe_load(name) != name:
        raise UserError(
            f"'{name}' is not allowed as the name of a project. Use letters, digits and _, and "
            "start with a letter, as in mlflow run . -e new_project -P name=churn."
        )


def files_of_git() -> set[str]:
    """The files of this folder that git can restore to their current state.

    Raises:
        UserError: There are uncommitted changes, or git does not track this folder.
    """
    if changed := git("status", "--porcelain", "--", "."):
        first = changed.splitlines()[0].strip()
        raise UserError(f"{ROOT} has uncommitted changes, such as '{first}'. {COMMIT_FIRST}")
    # A letter other than H: git ignores changes of the file (skip-worktree, assume-unchanged)
    listed = git("ls-files", "-v", "-z").split("\0")
    tracked = {line[2:] for line in listed if line.startswith("H ")}
    if lacking := {*CONFIGS} - tracked:
        raise UserError(
            f"git does not track {', '.join(sorted(lacking))} in {ROOT}. {COMMIT_FIRST}"
        )
    return tracked


def check_is_inside(path: Path) -> None:
    """Raise UserError if a symbolic link leads from this path out of the folder."""
    if path.is_symlink() or path.parent.resolve() != path.parent:
        raise UserError(
            f"The path {path} contains a symbolic link. Replace the link by its target."
        )


def git(*arguments: str) -> str:
    """The output of a git command in this folder.

    Raises:
        UserError: git is not installed, or this folder is not in a repository.
    """
    try:
        command = ["git", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except OSError as error:
        raise UserError(f"git cannot be started ({error}). Install it. {COMMIT_FIRST}") from error
    except subprocess.CalledProcessError as error:
        raise UserError(f"{ROOT}: {error.stderr}{COMMIT_FIRST}") from error


def without(text: str, keys: set[str]) -> str:
    """Remove keys and list items from YAML, with the comments above and everything below them.

    Args:
        text: YAML in block style.
        keys: Dotted paths of keys; a path may end in an item of a list.
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
    """Remove a file, and its folders if they become empty."""
    path.unlink()
    with suppress(OSError):  # a folder is not empty
        for folder in path.parents:
            folder.rmdir()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the new project")
    try:
        main(parser.parse_args().name)
    except UserError as error:
        sys.exit(str(error))
