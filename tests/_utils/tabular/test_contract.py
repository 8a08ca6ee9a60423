from pathlib import Path

import pytest

from _utils.errors import UserError
from _utils.tabular.contract import Contract, contract_of, parse_contract, read_contract
from _utils.tabular.contract import write_contract as write

DATA = Path(__file__).parents[3] / "resources" / "data"
SMALL = """\
target: y
task: classification
columns:
  y: {kind: category, values: [yes, no]}  # as text
  2020: {kind: number}
  when: {kind: date, use: false}
  c: {kind: text}
"""


def small(change: str = "", **overrides) -> Contract:
    return parse_contract(SMALL + change, "small.yaml", overrides)


def test_features_are_ordered_by_kind():
    assert small().features == {"2020": "number", "c": "text"}
    assert small(columns={"when": {"use": True}, "c": {"kind": "id"}}).features == {
        "2020": "number",
        "when": "date",
    }
    assert small().columns["y"].values == ["yes", "no"]


def test_null_is_a_word_for_what_happens_outside():
    limited = small("  d: {kind: number, max: 1, outside: null}\n")
    assert limited.columns["d"].outside == "null"
    assert small(columns={"2020": {"outside": None}}).columns["2020"].outside == "null"


def test_all_faults_are_told_with_line_and_cure():
    text = """\
target: x
task: regresion
positiv: 3
group_by: [a]
columns:
  a: {kind: numbr, min: 5}
  b: {kind: number, min: 5, max: 3}
  b: {kind: text, values: [1]}
  c: 5
"""
    with pytest.raises(UserError) as fault:
        parse_contract(text, "bad.yaml")
    assert str(fault.value).splitlines() == [
        "bad.yaml, line 1, target: 'x' is not among the columns. Use one of a, b, c.",
        "bad.yaml, line 2, task: 'regresion' is not allowed. Use 'regression' or 'classification'.",
        "bad.yaml, line 3, positiv: is not a key. Use one of target, task, unit, positive, "
        "group_by, stratify_by, split_by, columns.",
        "bad.yaml, line 6, columns.a.kind: 'numbr' is not allowed. Use 'number', 'category', "
        "'text', 'date' or 'id'.",
        "bad.yaml, line 7, columns.b: is there more than once. Keep one.",
        "bad.yaml, line 8, columns.b.values: a column of kind text has none; remove it, or set "
        "kind: category.",
        "bad.yaml, line 9, columns.c: '5' is not allowed. Write it as {kind: number}.",
    ]


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        ({"target": "2020"}, "line 5, columns.2020.kind: 'number' does not fit, because the targ"),
        ({"positive": "maybe"}, "positive: 'maybe' is not a class. Use one of yes, no."),
        ({"task": "regression", "positive": "yes"}, "positive: a regression has no positive class"),
        ({"split_by": "c"}, "split_by: 'c' is of kind text. Use a column of kind date"),
        ({"split_by": "when", "stratify_by": "y"}, "a split by date cannot be stratified"),
        ({"columns": {"2020": {"min": 2, "max": 1}}}, "columns.2020.min: 2 is above max 1."),
        ({"columns": {"2020": {"max": "1"}}}, "columns.2020.max: '1' is not allowed. Input should"),
        (
            {"columns": {"y": {"values": [[1]]}}},
            r"columns.y.values.0: '\[1\]' is not allowed. Write",
        ),
        ({"columns": {"c": {"use": False}, "2020": {"use": False}}}, "there is no feature"),
        ({"columns": {"c": {"format": "%d"}}}, "a column of kind text has none; remove it, or set"),
        ({"columns": {"when": {"format": "dd/mm/yyyy"}}}, "Write a date as strptime does"),
        (
            {"columns": {"c": {"kind": "id"}}, "target": "c"},
            "'id' does not fit, because the target",
        ),
        ({"target": ["y"], "split_by": ["when"]}, "target: '.'y'.' is not allowed"),
    ],
)
def test_values_that_contradict_each_other(overrides, fault):
    with pytest.raises(UserError, match=fault):
        small(**overrides)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a:\n\t b: 1", r"text, line 2: this is not YAML \(found character .*Indent with spaces"),
        ("a: [", "this is not YAML"),
        ("[a]: 1", r"text, line 1: this is not YAML \(a key is no text"),
        ("", "is not a contract"),
        ("- 1", "is not a contract"),
    ],
)
def test_what_is_no_contract(text, fault):
    with pytest.raises(UserError, match=fault):
        parse_contract(text, "text")


def test_faults_of_overrides_do_not_name_a_line_of_the_file():
    with pytest.raises(UserError) as fault:
        small(columns={"C": {"use": False}, "2020": {"max": "a"}}, task="regression")
    assert str(fault.value).splitlines() == [
        "small.yaml, line 4, columns.y.kind: 'category' does not fit, because the target of a "
        "regression has kind: number.",
        "data.contract.columns.2020.max: 'a' is not allowed. Input should be a valid number.",
        "data.contract.columns.C.kind: is missing. Add it.",
    ]


def test_numbers_are_those_that_people_write():
    codes = small("  d: {kind: category, values: [007, 12:30, 1]}\n").columns["d"].values
    assert codes == ["007", "12:30", 1]
    assert small("  d: {kind: number, max: 1e3, min: -1.5}\n").columns["d"].max == 1000
    with pytest.raises(UserError, match=r"line 8, columns.d.max: '.nan' is not allowed"):
        small("  d: {kind: number, max: .nan}\n")


def test_a_model_without_a_contract(tmp_path):
    with pytest.raises(UserError, match=r"has no contract.yaml.*Train it again"):
        contract_of(tmp_path)


def test_comments_stay_unless_values_are_merged(tmp_path):
    source, target = tmp_path / "small.yaml", tmp_path / "contract.yaml"
    source.write_text(SMALL)
    write(source, {}, target)
    assert target.read_text() == SMALL
    merged = write(source, {"columns": {"2020": {"max": 60}, "c": {"kind": "id"}}}, target)
    assert read_contract(target) == merged and contract_of(tmp_path) == merged
    assert merged.columns["2020"].max == 60 and merged.columns["y"].values == ["yes", "no"]


def test_the_example():
    changed = {"columns": {"comb_mpg": {"max": 60}}}
    cars = read_contract(DATA / "fuel_economy.contract.yaml", changed)
    assert (cars.target, cars.columns["comb_mpg"].max, len(cars.features)) == ("comb_mpg", 60, 14)


def test_an_overridden_contract_is_read_again_as_it_is(tmp_path):
    source, target = tmp_path / "source.yaml", tmp_path / "target.yaml"
    source.write_text(SMALL, encoding="utf-8")
    codes = ["1e3", "007", "12:30", "no", "null", "é", "1", 1000.0, True]
    said = write(source, {"columns": {"y": {"values": codes}}}, target)
    assert read_contract(target) == said
    assert said.columns["y"].values == codes
