"""Take the example out; what is left is an empty project that runs.

mlflow run . -e new_project -P name=churn

Nothing is committed, so `git diff` shows all of it, and git takes it back.
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
COMMIT_FIRST = "Commit it first (git add --all && git commit), so that git can take this back."
TEXTS = Path(__file__).with_suffix("")  # files of the new project, in the place of the template's
COMPONENTS = (
    *("data_extraction", "eda", "basic_cleaning", "data_check", "data_split"),
    *("train_random_forest", "evaluation", "batch_scoring", "monitoring"),
)
# What the template brought of the example: files, for in the same folders there may be your own
GONE = (TEXTS / "gone.txt").read_text("utf-8").splitlines()
CONFIGS = ("config.yaml", "MLproject")
# Keys of both; all below them goes too
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
    ("src/_utils/models/registry.py", r"\[evaluation\]", "[<component>]"),
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
        check_that_it_is_here(ROOT / file)
    for file, text in edited.items():
        (ROOT / file).write_text(text, "utf-8")
    for file in gone:
        remove(ROOT / file)
    print(f"{name}: the example is gone. git diff shows it all, git checkout . undoes it.")
    kept = {(ROOT / file).parent for file in tracked - gone}
    emptied = {(ROOT / file).parent for file in gone} - kept
    if left := sorted(str(folder) for folder in emptied if folder.exists()):
        print(f"What git does not have stays in {', '.join(left)}.")
    print("Runs of the example are still in mlflow.db and mlruns: remove both to begin anew.")
    print("Next: cookiecutter cookie-mlflow-step -o src, then mlflow run .")


def check_name(name: str) -> None:
    """Raise UserError if MLflow, conda, YAML or W&B could not take it for a project's name."""
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) or yaml.safe_load(name) != name:
        raise UserError(
            f"'{name}' cannot be a project's name: use letters, digits and _, beginning with a "
            "letter, as in mlflow run . -e new_project -P name=churn."
        )


def files_of_git() -> set[str]:
    """The files of this folder that git can give back as they are now.

    Raises:
        UserError: There are changes that are not committed, or git does not have this folder.
    """
    if changed := git("status", "--porcelain", "--", "."):
        first = changed.splitlines()[0].strip()
        raise UserError(f"Not everything in {ROOT} is committed, such as '{first}'. {COMMIT_FIRST}")
    # Other letters than H: git was told not to look at changes of the file
    listed = git("ls-files", "-v", "-z").split("\0")
    tracked = {line[2:] for line in listed if line.startswith("H ")}
    if lacking := {*CONFIGS} - tracked:
        raise UserError(f"git does not have {', '.join(sorted(lacking))} of {ROOT}. {COMMIT_FIRST}")
    return tracked


def check_that_it_is_here(path: Path) -> None:
    """Raise UserError if what is written or removed at a path of this folder would be elsewhere."""
    if path.is_symlink() or path.parent.resolve() != path.parent:
        raise UserError(f"{path} is, or lies behind, a symbolic link: put the file itself there.")


def git(*arguments: str) -> str:
    """What git says of this folder.

    Raises:
        UserError: There is no git, or it knows no repository here.
    """
    try:
        command = ["git", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except OSError as error:
        raise UserError(f"git cannot be started ({error}): install it. {COMMIT_FIRST}") from error
    except subprocess.CalledProcessError as error:
        raise UserError(f"{ROOT}: {error.stderr}{COMMIT_FIRST}") from error


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
    """Remove a file, and the folders that are empty then."""
    path.unlink()
    with suppress(OSError):  # one that is not empty
        for folder in path.parents:
            folder.rmdir()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the new project")
    try:
        main(parser.parse_args().name)
    except UserError as error:
        sys.exit(str(error))
