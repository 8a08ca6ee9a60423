"""Remove the example, and leave a project for another table, or an empty one; both run.

mlflow run . -e new_project -P name=churn -P data=customers.csv -P target=churned
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

from _utils.command_line import rejoined
from _utils.environment import set_defaults
from _utils.errors import UserError, explain
from _utils.example.edit_yaml import with_values, without
from _utils.example.from_table import NewTable, check_data, contract_file, infer
from _utils.example.what_goes import (
    CONFIGS,
    EDITS,
    EDITS_WITH_TABLE,
    EDITS_WITHOUT_TABLE,
    GONE,
    KEPT,
    KEYS,
    KEYS_WITH_TABLE,
    TABLE,
    TEXTS,
)

ROOT = Path(__file__).resolve().parents[3]
COMMIT_FIRST = "Commit it first (git add --all && git commit), so that git can undo this."
NEXT_OF_EMPTY = "Next: cookiecutter cookie-mlflow-step -o src, then python tasks.py run"


def main(name: str, data: str = "", target: str = "") -> None:
    """Edit and remove files, and print what to do next."""
    check_name(name)
    if data or target:
        data = check_data(data, target, ROOT)
    tracked = files_of_git(data)
    table = infer(data, target, ROOT) if data else None
    edited = edited_files(name, table, tracked)
    gone = {file for file in tracked & {*GONE} if not table or not KEPT.match(file)} - {data}
    for file in gone | {*edited}:
        check_is_inside(ROOT / file)
    for file, text in edited.items():
        (ROOT / file).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / file).write_text(text, "utf-8", newline="\n")
    for file in gone:
        remove(ROOT / file)
    print(f"Removed the example. The project is now named {name}.")
    print("git diff shows the changes, git checkout . undoes them.")
    kept = {(ROOT / file).parent for file in (tracked - gone) | {*edited}}
    emptied = {(ROOT / file).parent for file in gone} - kept
    if left := sorted(str(folder) for folder in emptied if folder.exists()):
        print(f"Files that git does not track were kept in {', '.join(left)}.")
    print("Runs of the example are still in mlflow.db and mlruns. Delete both to start fresh.")
    if table:
        print(f"What each column is stands in {contract_file(name)}: correct what is wrong.")
    print("Next: python tasks.py run" if table else NEXT_OF_EMPTY)


def edited_files(name: str, table: NewTable | None, tracked: set[str]) -> dict[str, str]:
    """The files that the new project has other texts for, with these texts.

    Args:
        name: The name of the project.
        table: Its table, None for an empty project.
        tracked: The files that git can restore. Of the template's files only these are edited.
    """
    texts = {path.relative_to(TEXTS).as_posix(): path for path in TEXTS.rglob("*.md")}
    texts = {file: path for file, path in texts.items() if TABLE not in path.parents}
    if table:
        texts |= {path.relative_to(TABLE).as_posix(): path for path in TABLE.rglob("*.md")}
    edited = {file: path.read_text("utf-8").replace("<name>", name) for file, path in texts.items()}
    for file in CONFIGS:
        edited[file] = without((ROOT / file).read_text("utf-8"), KEYS_WITH_TABLE if table else KEYS)
    for file, pattern, replacement in (
        *EDITS,
        *(EDITS_WITH_TABLE if table else EDITS_WITHOUT_TABLE),
    ):
        if file in tracked:
            text = edited.get(file) or (ROOT / file).read_text("utf-8")
            new = replacement.replace("{name}", name)
            edited[file] = re.sub(pattern, new, text, flags=re.MULTILINE)
    edited = {file: text for file, text in edited.items() if file in tracked}
    if table:
        edited["config.yaml"] = with_values(edited["config.yaml"], table.values(name))
        edited[contract_file(name)] = table.contract
        is_inside = (ROOT / table.data).is_file() and not Path(table.data).is_absolute()
        if is_inside and table.data not in tracked:
            ignored = (ROOT / ".gitignore").read_text("utf-8") if ".gitignore" in tracked else ""
            edited[".gitignore"] = f"{ignored}# The data, which git does not keep\n/{table.data}\n"
    return edited


def check_name(name: str) -> None:
    """Raise UserError if MLflow, conda, YAML or W&B would not accept the name of the project."""
    is_device = re.fullmatch(r"(?i)con|prn|aux|nul|com\d|lpt\d", name)  # on Windows
    is_word = re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII)
    if not is_word or is_device or yaml.safe_load(name) != name:
        raise UserError(
            f"'{name}' is not allowed as the name of a project. Use letters, digits and _, and "
            "start with a letter, as in mlflow run . -e new_project -P name=churn."
        )


def files_of_git(data: str = "") -> set[str]:
    """The files of this folder that git can restore to their current state.

    Args:
        data: A file that may be there without git.

    Raises:
        UserError: There are uncommitted changes, or git does not track this folder.
    """
    place = git("rev-parse", "--show-prefix").rstrip("\n")  # of this folder in its repository
    changed = git("status", "--porcelain", "--untracked-files=all", "-z", "--", ".").split("\0")
    if others := [each for each in changed if each and each != f"?? {place}{data}"]:
        first = others[0].strip()
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
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
        return ran.stdout
    except OSError as error:
        raise UserError(f"git cannot be started ({error}). Install it. {COMMIT_FIRST}") from error
    except subprocess.CalledProcessError as error:
        raise UserError(f"{ROOT}: {error.stderr}{COMMIT_FIRST}") from error


def remove(path: Path) -> None:
    """Remove a file, and its folders if they become empty."""
    path.unlink()
    with suppress(OSError):  # a folder is not empty
        for folder in path.parents:
            folder.rmdir()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the new project")
    parser.add_argument("--data", default="", help="path or URL of its table")
    parser.add_argument("--target", default="", help="column of the table to predict")
    set_defaults()
    try:
        args = parser.parse_args(rejoined(sys.argv[1:]))
        main(args.name, args.data, args.target)
    except UserError as error:
        sys.exit(explain(error))
