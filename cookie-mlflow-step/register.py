"""What the template does after it has made the files: config.yaml, a test, and a summary."""

import shutil
from pathlib import Path

import yaml
from answers import KINDS, split_parameters

TEST_FILE = "tests/src/test_{name}.py"
TEST = '''"""The component {name}: add tests of the functions that it calls."""

import pytest
from conftest import type_in


@pytest.mark.slow
def test_it_runs(project, store):
    ran = type_in(project, "mlflow run . --env-manager local -P steps={name}")
    assert ran.returncode == 0, ran.stdout
    (run,) = store.children(store.pipeline())
    assert run.info.run_name == "{name}"
'''


def finish(answers: dict) -> None:
    """Register the component, write its test, and say what there is now."""
    name, folder = answers["step_name"], Path(answers["_output_dir"]) / answers["step_name"]
    kind = KINDS["." + answers["script_name"].rpartition(".")[2]]
    files = ", ".join(sorted(path.name for path in folder.iterdir()))
    print(f"\nMade the {kind} component {name}: {folder} with {files}")
    root = folder.parent.parent
    if folder.parent.name != "src" or not (root / "config.yaml").is_file():
        print(f"{folder.parent} is not the src folder of a pipeline: nothing else was changed.")
        return
    block = config_block(name, answers["short_description"], answers["parameters"])
    config = (root / "config.yaml").resolve()
    edited = registered(config.read_bytes(), name, block)
    if not answers["_register"]:
        tell_lines(name, block, "config.yaml was not changed, as you wished.")
    elif not edited:
        tell_lines(name, block, "config.yaml could not be edited safely.")
    else:
        print("config.yaml: it stands under components and in main.execute_steps")
        print(f"its test: {root / TEST_FILE.format(name=name)}")
    # Told before it is done: if anything fails, config.yaml has no lines of what is taken away
    print(f"\nRun it:  mlflow run . -P steps={name}", flush=True)
    if answers["_register"] and edited:
        try:
            write(root / TEST_FILE.format(name=name), config, TEST.format(name=name), edited)
        except OSError as error:
            tell_lines(name, block, f"But config.yaml was not changed: {error}.")


def tell_lines(name: str, block: list[str], why: str) -> None:
    """Print what the user has to paste."""
    print(f"{why} To make it part of the pipeline, add this to main.execute_steps:\n")
    print(f"    - {name}\n\nand this to components:\n")
    print("\n".join(block))


def write(test_file: Path, config: Path, test: str, edited: str) -> None:
    """Write the component's test, unless there is one, and then config.yaml: both or neither."""
    partial, made = config.with_suffix(".part"), []
    try:
        if not test_file.exists():
            test_file.parent.mkdir(parents=True, exist_ok=True)
            made.append(test_file)
            test_file.write_text(test, encoding="utf-8", newline="\n")
        made.append(partial)
        partial.write_bytes(edited.encode("utf-8"))
        shutil.copymode(config, partial)
        partial.replace(config)
    except BaseException:
        for file in made:
            file.unlink(missing_ok=True)
        raise


def config_block(name: str, description: str, parameters: str) -> list[str]:
    """The component's lines under `components`."""
    declared = split_parameters(parameters)
    plain = "".join(filter(str.isprintable, " ".join(description.split())))
    lines = [
        f"  # {plain or name}",
        f"  {name}:",
        "    parameters:" + ("" if declared else " {}"),
    ]
    for parameter in declared:
        value = yaml.safe_dump(parameter.value, default_flow_style=True, width=10**9)
        value = value.removesuffix("...\n").strip()
        lines.append(f"      {parameter.name}: {value}")
    return lines


def registered(config: bytes, name: str, block: list[str]) -> str:
    """The text of config.yaml with the component, every other character left as it is.

    The lines are put in by their place in the text, for no YAML library keeps all comments where
    they are. What comes out is read again, and only given back if it is what it should be. The
    entry that a component of this name has left behind goes; its place among the steps stays.

    Returns:
        An empty text if that cannot be done.
    """
    try:
        text = config.decode("utf-8")
        newline = "\r\n" if "\r\n" in text else "\n"
        tree = yaml.compose(text)
        wanted = yaml.safe_load(text)
        planned = wanted["main"]["execute_steps"] or []
        wanted["main"]["execute_steps"] = [*planned, *([] if name in planned else [name])]
        wanted["components"] |= yaml.safe_load("\n".join(block))
        components = child(tree, "components")
        steps = child(child(tree, "main"), "execute_steps")
        lines = text.splitlines()
        # Of the last step; without one, of what would stand after "    - "
        column = steps.value[-1].start_mark.column if steps.value else 6
        indent = " " * (column - 2)
        changes = [(end(components), end(components), block)]
        if name not in planned:
            changes.append((end(steps), end(steps), [f"{indent}- {name}"]))
        for key, value in components.value:
            if key.value == name:
                changes.append((start(key, lines), end(value), []))
        # The later place first, so that the earlier keeps its number.
        for first, last, instead in sorted(changes, reverse=True):
            lines[first:last] = instead
        edited = newline.join([*lines, ""])
        if yaml.safe_load(edited) != wanted:
            return ""
    except (yaml.YAMLError, UnicodeError, LookupError, TypeError, AttributeError):
        return ""
    return edited


def child(node: yaml.Node, key: str) -> yaml.Node:
    """The value of a key.

    Raises:
        KeyError: There is none.
    """
    return {name.value: value for name, value in node.value}[key]


def start(key: yaml.Node, lines: list[str]) -> int:
    """The number of the first line of an entry, the comment above it included."""
    line, comment = key.start_mark.line, " " * key.start_mark.column + "#"
    while lines[line - 1].startswith(comment):
        line -= 1
    return line


def end(node: yaml.Node) -> int:
    """The number of the line after a node, before comments that follow it."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    # A text block (|, >) ends at the beginning of the next line, everything else within its own.
    return node.end_mark.line + (node.end_mark.column > 0)
