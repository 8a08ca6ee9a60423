"""What the template does after it has made the files: config.yaml, a test, and a summary."""

from pathlib import Path

import yaml
from answers import KINDS, split_parameters

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
    if not answers["register"]:
        tell_lines(name, block, "config.yaml was not changed, as you wished.")
    elif not register(root / "config.yaml", name, block):
        tell_lines(name, block, "config.yaml could not be edited safely.")
    else:
        print("config.yaml: it stands under components and in main.execute_steps")
        print(f"its test: {write_test(root, name)}")
    print(f"\nRun it:  mlflow run . -P steps={name}")


def tell_lines(name: str, block: list[str], why: str) -> None:
    """Print what the user has to paste."""
    print(f"{why} To make it part of the pipeline, add this to main.execute_steps:\n")
    print(f"    - {name}\n\nand this to components:\n")
    print("\n".join(block))


def write_test(root: Path, name: str) -> Path:
    """Write the component's test into tests/src, unless there is one."""
    path = root / "tests/src" / f"test_{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(TEST.format(name=name), encoding="utf-8")
    return path


def config_block(name: str, description: str, parameters: str) -> list[str]:
    """The component's lines under `components`."""
    declared = split_parameters(parameters)
    plain = "".join(filter(str.isprintable, " ".join(description.split())))
    lines = [
        f"  # {plain or name}",
        f"  {name}:",
        f"    # Parameters of src/{name}/MLproject",
        "    parameters:" + ("" if declared else " {}"),
    ]
    for parameter in declared:
        value = yaml.safe_dump(parameter.value, default_flow_style=True, width=10**9)
        value = value.removesuffix("...\n").strip()
        lines += [f"      # Say what {parameter.name} is", f"      {parameter.name}: {value}"]
    return lines


def register(config: Path, name: str, block: list[str]) -> bool:
    """Add the component to config.yaml, every other character left as it is.

    The lines are put in by their place in the text, for no YAML library keeps all comments where
    they are. What comes out is read again, and only written if it is what it should be.

    Returns:
        False if that cannot be done, and the file is as it was.
    """
    text = config.read_bytes().decode("utf-8")
    newline = "\r\n" if "\r\n" in text else "\n"
    try:
        tree = yaml.compose(text)
        wanted = yaml.safe_load(text)
        wanted["main"]["execute_steps"] = [*(wanted["main"]["execute_steps"] or []), name]
        wanted["components"] |= yaml.safe_load("\n".join(block))
        components = child(tree, "components")
        steps = child(child(tree, "main"), "execute_steps")
        lines = text.splitlines()
        # Of the last step; without one, of what would stand after "    - "
        column = steps.value[-1].start_mark.column if steps.value else 6
        indent = " " * (column - 2)
        # The later place first, so that the earlier keeps its number.
        additions = {end(steps): [f"{indent}- {name}"], end(components): block}
        for line in sorted(additions, reverse=True):
            lines[line:line] = additions[line]
        edited = newline.join([*lines, ""])
        if yaml.safe_load(edited) != wanted:
            return False
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, IndexError):
        return False
    partial = config.with_suffix(".part")
    partial.write_bytes(edited.encode("utf-8"))
    partial.replace(config)
    return True


def child(node: yaml.Node, key: str) -> yaml.Node:
    """The value of a key.

    Raises:
        KeyError: There is none.
    """
    return {name.value: value for name, value in node.value}[key]


def end(node: yaml.Node) -> int:
    """The number of the line after a node, before comments that follow it."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    # A text block (|, >) ends at the beginning of the next line, everything else within its own.
    return node.end_mark.line + (node.end_mark.column > 0)
