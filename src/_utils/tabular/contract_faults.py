"""What can be wrong in a contract, and how to fix it."""

from collections.abc import Iterable, Iterator
from typing import Any

from _utils.tabular.predictions import is_added
from _utils.tabular.terms import (
    CATEGORY,
    CLASSIFICATION,
    DATE,
    FEATURE_KINDS,
    ID,
    NUMBER,
    REGRESSION,
)


def contradictions(said: dict[str, Any]) -> Iterator[tuple[tuple, str]]:
    """What is wrong between values, each of which is allowed by itself.

    Args:
        said: The contract as YAML has it, whatever it holds.

    Returns:
        The keys that lead to each fault, and what is wrong with its cure.
    """
    columns = said.get("columns") if isinstance(said.get("columns"), dict) else {}
    kinds = {name: each.get("kind") for name, each in columns.items() if isinstance(each, dict)}
    texts = {key: value for key, value in said.items() if isinstance(value, str)}
    target, task, by = (texts.get(key) for key in ("target", "task", "split_by"))
    groups = said.get("group_by")
    for key, names in {
        "target": [target],
        "group_by": groups if isinstance(groups, list) else [],
        "stratify_by": [said.get("stratify_by")],
        "split_by": [said.get("split_by")],
    }.items():
        for name in names:
            if isinstance(name, str) and columns and name not in columns:
                yield (key,), f"'{name}' is not among the columns. Use one of {_some(columns)}"
    if target in kinds:
        yield from _of_target(target, task, said.get("positive"), columns[target])
    if by in kinds and kinds[by] != DATE:
        yield ("split_by",), f"'{by}' is of kind {kinds[by]}. Use a column of kind date"
    if by is not None and said.get("stratify_by") is not None:
        yield ("split_by",), "a split by date cannot be stratified. Remove stratify_by or split_by"
    if kinds and not any(
        each.get("use", True) and name != target and each.get("kind") != ID
        for name, each in columns.items()
        if isinstance(each, dict)
    ):
        yield ("columns",), "there is no feature. Remove `use: false` from a column, or add columns"
    for name, each in columns.items():
        if isinstance(each, dict):
            yield from _of_column(name, each)
            if is_added(str(name)) and (name == target or each.get("use", True)):
                cure = "Rename it in the data" + ", or set use: false" * (name != target)
                yield ("columns", name), f"scoring adds a column of this name. {cure}"


def _of_target(
    target: str, task: str | None, positive: Any, column: dict[str, Any]
) -> Iterator[tuple[tuple, str]]:
    kind, values = column.get("kind"), column.get("values")
    classes = values if isinstance(values, list) else None
    wanted = {REGRESSION: NUMBER, CLASSIFICATION: CATEGORY}.get(task)
    if wanted and kind in (*FEATURE_KINDS, ID) and kind != wanted:
        why = f"the target of a {task} has kind: {wanted}"
        yield ("columns", target, "kind"), f"'{kind}' does not fit, because {why}"
    if positive is not None and task == REGRESSION:
        yield ("positive",), "a regression has no positive class. Remove the key"
    elif None not in (positive, classes) and str(positive) not in map(str, classes):
        yield ("positive",), f"'{positive}' is not a class. Use one of {_some(classes)}"


def _of_column(name: str, column: dict[str, Any]) -> Iterator[tuple[tuple, str]]:
    low, high, kind = (column.get(key) for key in ("min", "max", "kind"))
    if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
        yield ("columns", name, "min"), f"{low} is above max {high}. Exchange the two"
    for key, kinds in {
        "min": [NUMBER],
        "max": [NUMBER],
        "outside": [NUMBER],
        "values": [CATEGORY],
        "format": [DATE],
    }.items():
        if key in column and kind in (*FEATURE_KINDS, ID) and kind not in kinds:
            cure = f"remove it, or set kind: {kinds[0]}"
            yield ("columns", name, key), f"a column of kind {kind} has none; {cure}"


def cure(error: Any, keys: Iterable[str]) -> str:
    """What is wrong and how to fix it, of one of pydantic's errors.

    Args:
        error: As `ValidationError.errors` has it.
        keys: The keys that are allowed in its place.
    """
    value, context = error["input"], error.get("ctx", {})
    match error["type"]:
        case "missing":
            return "is missing. Add it"
        case "extra_forbidden":
            return f"is not a key. Use one of {_some(keys)}"
        case "literal_error":
            return f"'{value}' is not allowed. Use {context['expected']}"
        case "model_type":
            return f"'{value}' is not allowed. Write it as {{kind: number}}"
        case "dict_type":
            return f"'{value}' is not allowed. Write each column below it, as x: {{kind: number}}"
        case "list_type":
            return f"'{value}' is not allowed. Write it as [{value}]"
        case _:
            return f"'{value}' is not allowed. {error['msg'].removeprefix('Value error, ')}"


def _some(names: Any) -> str:
    shown = [str(name) for name in names]
    return ", ".join(shown[:30]) + (", ..." if len(shown) > 30 else "")
