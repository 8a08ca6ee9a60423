"""The contract of a table: what each column is, said once, in a YAML file with comments.

Cleaning, checks, the split, features, scores, drift and serving read it. A model carries the
contract that it was trained with.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from _utils.errors import UserError
from _utils.tabular.yaml_lines import Loader, in_lines, repeated

NUMBER, CATEGORY, TEXT, DATE, ID = "number", "category", "text", "date", "id"
REGRESSION, CLASSIFICATION = "regression", "classification"
FILE = "contract.yaml"  # the name of the artifact, and of the file in a model's folder
FEATURE_KINDS = (NUMBER, CATEGORY, TEXT, DATE)  # the order of the features in a model


def _code(value: Any) -> Any:
    if isinstance(value, dict | list):
        raise ValueError("Write a text or a number")
    return value


Code = Annotated[Any, BeforeValidator(_code)]  # a value of a category, compared as text


def _text(value: Any) -> Any:
    return "null" if value is None else value  # YAML has a null of its own


class Column(BaseModel):
    """What one column is."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: Literal["number", "category", "text", "date", "id"]
    min: float | None = None
    max: float | None = None
    # What happens outside min and max, or at infinity: drop the row, make the cell null, or refuse
    outside: Annotated[Literal["drop", "null", "refuse"], BeforeValidator(_text)] = "refuse"
    values: list[Code] | None = None  # the allowed codes
    nullable: bool = False
    format: str | None = None  # of a date, as strptime has it; None for ISO 8601
    use: bool = True  # false: cleaned and checked, but not a feature


class Contract(BaseModel):
    """What a table is for, and what its columns are."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    target: str
    task: Literal["regression", "classification"]
    unit: str = ""  # of the target
    positive: Code = None  # of two classes, the one to find
    group_by: list[str] = []
    stratify_by: str | None = None
    split_by: str | None = None  # a date: the newest rows are the test set
    columns: dict[str, Column]

    @property
    def features(self) -> dict[str, str]:
        """The kinds of the columns that a model is trained on, by name, in the model's order."""
        used = {
            name: column.kind
            for name, column in self.columns.items()
            if column.use and name != self.target and column.kind != ID
        }
        return dict(sorted(used.items(), key=lambda item: FEATURE_KINDS.index(item[1])))

    @property
    def is_classification(self) -> bool:
        """Whether the target is a class and not a number."""
        return self.task == CLASSIFICATION

    def of_kind(self, *kinds: str) -> list[str]:
        """The columns of these kinds, used as features or not."""
        return [name for name, column in self.columns.items() if column.kind in kinds]


def read_contract(path: Path, overrides: dict[str, Any] | None = None) -> Contract:
    """Read a contract from a file.

    Args:
        path: The YAML file.
        overrides: Values that replace those of the file, at any depth.

    Raises:
        UserError: It has faults; the message has each with its line and cure.
    """
    return parse_contract(path.read_text("utf-8"), path.name, overrides)


def contract_of(model: Path) -> Contract:
    """The contract that a model was trained with, from the folder of the model.

    Raises:
        UserError: The model has none.
    """
    if not (model / FILE).exists():
        raise UserError(
            f"The model in {model} has no {FILE}: it was not trained with a contract. Train it "
            "again in a component that takes the contract, and publish it with log_model."
        )
    return read_contract(model / FILE)


def parse_contract(text: str, source: str, overrides: dict[str, Any] | None = None) -> Contract:
    """As `read_contract`, from the text of a file with the name `source`."""
    try:
        root, said = yaml.compose(text, Loader), yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise UserError(f"{source} is not YAML: {error}") from error
    if not isinstance(said, dict):
        raise UserError(f"{source} is not a contract. It needs the keys target, task and columns.")
    said = _merged(said, overrides or {})
    faults = [(path, "is there more than once. Keep one") for path in repeated(root)]
    try:
        contract = Contract.model_validate(said)
    except ValidationError as error:
        faults += [(each["loc"], _cure(each)) for each in error.errors()]
    faults += _contradictions(said)
    if faults:
        raise UserError(in_lines(faults, source, root))
    return contract


def write_contract(source: Path, overrides: dict[str, Any] | None, target: Path) -> Contract:
    """Check a contract, and write it with its overrides; without any, the file keeps its comments.

    Raises:
        UserError: It has faults.
    """
    contract = read_contract(source, overrides)
    text = source.read_text("utf-8")
    if overrides:
        text = yaml.safe_dump(_merged(yaml.load(text, Loader), overrides), sort_keys=False)
    target.write_text(text, "utf-8", newline="\n")
    return contract


def _merged(below: Any, above: Any) -> Any:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {**below, **{key: _merged(below.get(key), above[key]) for key in above}}


def _contradictions(said: dict[str, Any]) -> Iterator[tuple[tuple, str]]:
    """What is wrong between values, each of which is allowed by itself."""
    columns = said.get("columns") if isinstance(said.get("columns"), dict) else {}
    kinds = {name: each.get("kind") for name, each in columns.items() if isinstance(each, dict)}
    target, task, positive = (said.get(key) for key in ("target", "task", "positive"))
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
    wanted = {REGRESSION: NUMBER, CLASSIFICATION: CATEGORY}.get(task) if target in kinds else None
    if wanted and kinds[target] in FEATURE_KINDS and kinds[target] != wanted:
        why = f"the target of a {task} has kind: {wanted}"
        yield ("columns", target, "kind"), f"'{kinds[target]}' does not fit, because {why}"
    if positive is not None and target in kinds:
        classes = columns[target].get("values")
        if task == REGRESSION:
            yield ("positive",), "a regression has no positive class. Remove the key"
        elif isinstance(classes, list) and str(positive) not in map(str, classes):
            yield ("positive",), f"'{positive}' is not a class. Use one of {_some(classes)}"
    by = said.get("split_by")
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
            yield from _contradictions_of(name, each)


def _contradictions_of(name: str, column: dict[str, Any]) -> Iterator[tuple[tuple, str]]:
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


def _cure(error: Any) -> str:
    """What is wrong and how to fix it, of one of pydantic's errors."""
    value, context = error["input"], error.get("ctx", {})
    match error["type"]:
        case "missing":
            return "is missing. Add it"
        case "extra_forbidden":
            return f"is not a key. Use one of {_some(_keys(error['loc']))}"
        case "literal_error":
            return f"'{value}' is not allowed. Use {context['expected']}"
        case _:
            return f"'{value}' is not allowed. {error['msg'].removeprefix('Value error, ')}"


def _keys(location: tuple) -> list[str]:
    return [*(Contract if len(location) == 1 else Column).model_fields]


def _some(names: Any) -> str:
    shown = [str(name) for name in names]
    return ", ".join(shown[:30]) + (", ..." if len(shown) > 30 else "")
