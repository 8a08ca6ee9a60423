"""The contract of a table: what each column is, said once, in a YAML file with comments.

Cleaning, checks, the split, features, scores, drift and serving read it. A model carries the
contract that it was trained with.
"""

import datetime as dt
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from _utils.errors import UserError
from _utils.tabular.contract_faults import contradictions, cure
from _utils.tabular.terms import CLASSIFICATION, FEATURE_KINDS, ID
from _utils.tabular.yaml_lines import Dumper, Loader, in_lines, repeated

FILE = "contract.yaml"  # the name of the artifact, and of the file in a model's folder


def _code(value: Any) -> Any:
    if isinstance(value, dict | list):
        raise ValueError("Write a text or a number")
    return value


Code = Annotated[Any, BeforeValidator(_code)]  # a value of a category, compared as text


def _text(value: Any) -> Any:
    return "null" if value is None else value  # YAML has a null of its own


def _format(written: str | None) -> str | None:
    try:
        day = dt.datetime(2024, 12, 31, tzinfo=dt.UTC)
        if written is None or dt.datetime.strptime(day.strftime(written), written).year == day.year:
            return written
    except ValueError:  # no format, or one without a day of the month
        pass
    raise ValueError("Write a date as strptime does, such as %d/%m/%Y")


class Column(BaseModel):
    """What one column is."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    kind: Literal["number", "category", "text", "date", "id"]
    min: float | None = None
    max: float | None = None
    # What happens outside min and max, or at infinity: drop the row, make the cell null, or refuse
    outside: Annotated[Literal["drop", "null", "refuse"], BeforeValidator(_text)] = "refuse"
    values: list[Code] | None = None  # the allowed codes
    nullable: bool = False
    # Of a date, as strptime has it; None for ISO 8601
    format: Annotated[str | None, AfterValidator(_format)] = None
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
    try:
        return parse_contract(path.read_text("utf-8"), path.name, overrides)
    except UnicodeDecodeError as error:
        raise UserError(f"{path.name} is not a text in UTF-8. Save it as UTF-8.") from error


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
        mark = getattr(error, "problem_mark", None)
        place = f"{source}, line {mark.line + 1}" if mark else source
        raise UserError(
            f"{place}: this is not YAML ({getattr(error, 'problem', error)}). Indent with spaces, "
            "close brackets and quotes, and put texts with signs into quotes."
        ) from error
    if not isinstance(said, dict):
        raise UserError(f"{source} is not a contract. It needs the keys target, task and columns.")
    said = _merged(said, overrides := overrides or {})
    faults = [(path, "is there more than once. Keep one") for path in repeated(root)]
    try:
        contract = Contract.model_validate(said)
    except ValidationError as error:
        faults += [(each["loc"], cure(each, _keys(each["loc"]))) for each in error.errors()]
    faults += contradictions(said)
    if faults:
        raise UserError(in_lines(faults, source, root, overrides, "data.contract"))
    return contract


def write_contract(source: Path, overrides: dict[str, Any] | None, target: Path) -> Contract:
    """Check a contract, and write it with its overrides; without any, the file keeps its comments.

    Raises:
        UserError: It has faults.
    """
    contract = read_contract(source, overrides)
    text = source.read_text("utf-8")
    if overrides:
        said = _merged(yaml.load(text, Loader), overrides)
        text = yaml.dump(said, Dumper=Dumper, sort_keys=False, allow_unicode=True)
    target.write_text(text, "utf-8", newline="\n")
    return contract


def _merged(below: Any, above: Any) -> Any:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {**below, **{key: _merged(below.get(key), above[key]) for key in above}}


def _keys(location: tuple) -> list[str]:
    return [*(Contract if len(location) == 1 else Column).model_fields]
