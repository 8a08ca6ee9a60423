"""Requests as MLflow is given them, read by MLflow's own functions."""

import io
import json

import mlflow.pyfunc.scoring_server as mlflows
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from _utils.models.serving.scoring_request import SPARE_COLUMNS, fault_of, read_request

CSV, JSON, PARQUET = "text/csv", "application/json", "application/vnd.apache.parquet"
KINDS = {"text": "string", "id": "long", "small": "integer", "x": "double", "y": "float"}
SCHEMA = Schema(
    [ColSpec(DataType[kind], name, required=False) for name, kind in KINDS.items()]
    + [ColSpec(DataType.boolean, "flag"), ColSpec(DataType.datetime, "day", required=False)]
)
TEXTS = ["NA", "null", "None", "nan", "NaN", "N/A", "-", " ", "#N/A", "<NA>", "true", "1.0", "007"]
TEXTS += [
    'a "quoted" one',
    "a,b",
    "a;b",
    "two\r\nlines",
    "\ttab",
    "ü",
    "'",
    "1e5",
    "1234567890123456789",
]
TEXTS += [None]
ROWS = [
    {
        "text": text,
        "id": 1234567890123456789 - number,
        "small": -number,
        "x": None if number == 3 else number / 3,
        "y": 0.5,
        "flag": number % 2 == 0,
        "day": "2021-02-03",
    }
    for number, text in enumerate(TEXTS)
]


def as_mlflow_reads(body: bytes | str, content_type: str, schema: Schema | None) -> pd.DataFrame:
    body = body.encode() if isinstance(body, str) else body
    body, kind = read_request(body, content_type, schema)
    assert kind == JSON
    return mlflows.infer_and_parse_data(json.loads(body), schema)


def as_json(rows: list[dict], schema: Schema | None) -> pd.DataFrame:
    return as_mlflow_reads(json.dumps({"dataframe_records": rows}), JSON, schema)


def as_csv(rows: list[dict], schema: Schema | None, **options) -> pd.DataFrame:
    text = pd.DataFrame(rows, dtype="object").to_csv(index=False, **options)
    return as_mlflow_reads(text, CSV, schema)


@pytest.mark.parametrize("options", [{}, {"lineterminator": "\r\n"}, {"quoting": 1}])
def test_csv_is_read_as_the_same_rows_in_json(options):
    read = as_csv(ROWS, SCHEMA, **options)
    pd.testing.assert_frame_equal(read, as_json(ROWS, SCHEMA))
    assert read["text"][:-1].tolist() == TEXTS[:-1]
    assert read["id"].tolist() == [row["id"] for row in ROWS]
    assert read["flag"].tolist() == [row["flag"] for row in ROWS]


@pytest.mark.parametrize("schema", [None, Schema([TensorSpec(np.dtype("float64"), (-1, 2))])])
def test_csv_for_a_model_without_named_or_typed_columns_is_left_to_mlflow(schema):
    assert read_request(b"a,b\n1,2\n", CSV, schema) == (b"a,b\n1,2\n", CSV)


def test_columns_without_names_have_types_by_place():
    schema = Schema([ColSpec(DataType.string), ColSpec(DataType.double)])
    rows = [{"a": "1", "b": 2}, {"a": "NA", "b": None}]
    pd.testing.assert_frame_equal(as_csv(rows, schema), as_json(rows, schema))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("x,text\n1,a\n\n2,b\n", [[1, "a"], [2, "b"]]),
        ("\ufeffx,text\n+.5,a", [[0.5, "a"]]),
        ('x,text\n 1e3 ,""\n05,\n', [[1000, None], [5, None]]),
        ("x,text\n", []),
    ],
)
def test_what_is_csv(text, read):
    body, _ = read_request(text.encode(), CSV, SCHEMA)
    assert json.loads(body)["dataframe_split"] == {"columns": ["x", "text"], "data": read}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "No columns"),
        ("\n\n", "No columns"),
        ("x,text\n1,a\n2,b,c\n", "Line 3 has 3 fields, but line 1 has 2"),
        ("x,text\n1\n", "Line 2 has 1 fields, but line 1 has 2"),
        ("x,x\n1,2\n", r"more than once: \['x'\]"),
        ("x\nNA\n", "Line 2, column x: 'NA' is not a number"),
        ("x\nnan\n", "'nan' is not a number"),
        ("x\ninf\n", "'inf' is not a number"),
        ("x\n1_000\n", "'1_000' is not a number"),
        ('x\n" "\n', "' ' is not a number"),
        ("id\n1,5\n", "Line 2 has 2 fields"),
        ("flag\nyes\n", "'yes' is neither true nor false"),
        ('text\n"open\n', "Line 2 is not CSV"),
        (b"text\n\xff", "utf-8"),
    ],
)
def test_csv_that_cannot_be_read(text, told):
    with pytest.raises(ValueError, match=told):
        read_request(text if isinstance(text, bytes) else text.encode(), CSV, SCHEMA)


MANY = [f"c{number}" for number in range(SPARE_COLUMNS + 100)]
SPARSE = [{name: 1} for name in MANY[:3000]]
NESTED = {name: {str(number): 1} for number, name in enumerate(MANY[:3000])}


@pytest.mark.parametrize(
    "request_",
    [
        {"dataframe_split": {"columns": MANY, "data": [[1] * len(MANY)]}},
        {"dataframe_split": {"columns": MANY, "data": []}},
        {"dataframe_split": {"data": [[1], [1] * len(MANY)]}},
        {"dataframe_split": {"columns": ["a"], "data": NESTED}},
        {"dataframe_records": [dict.fromkeys(MANY, 1)]},
        {"dataframe_records": SPARSE},
        {"inputs": SPARSE},
        {"inputs": NESTED},
        {"inputs": {name: [1] for name in MANY}},
        {"instances": [dict.fromkeys(MANY, 1)]},
        {"instances": [[1] * 3000, *[[1]] * 3000]},
        ",".join(MANY),
        ",".join("a" for _ in MANY),
        pytest.param(pd.DataFrame({name: [1] for name in MANY}), marks=pytest.mark.slow),
        pd.DataFrame({"a": np.ones(1_000_000)}),
    ],
)
def test_what_would_be_too_large_is_refused_before_it_is_made(request_):
    kind, body = JSON, json.dumps(request_) if isinstance(request_, dict) else request_
    if isinstance(request_, str):
        kind = CSV
    if isinstance(request_, pd.DataFrame):
        kind, file = PARQUET, io.BytesIO()
        request_.to_parquet(file)
        body = file.getvalue()
    with pytest.raises(ValueError, match="too many"):
        read_request(body if isinstance(body, bytes) else body.encode(), kind, SCHEMA)


@pytest.mark.parametrize(
    "rows",
    [
        {"inputs": json.loads("[" * 500 + "]" * 500)},
        {"inputs": {"text": [["a"]]}},
        {"dataframe_records": [{"x": 1}, {"text": {"a": "b"}}]},
        {"instances": [{"x": [1]}]},
        {"dataframe_split": {"columns": ["x"], "data": [[1], [[1]]]}},
        {"dataframe_split": {"columns": [["a"] * 100, ["b"] * 100], "data": []}},
        {"dataframe_split": {"columns": ["x"], "index": [[1, 2], [1, 2]], "data": [[1]]}},
    ],
)
def test_what_is_nested_is_refused_where_the_model_takes_single_values(rows):
    with pytest.raises(ValueError, match="is neither text, number"):
        read_request(json.dumps(rows).encode(), JSON, SCHEMA)


def index_of(rows: int) -> dict:
    return pd.DataFrame({"x": np.zeros(rows)}).to_dict("split")


@pytest.mark.slow
def test_what_is_as_large_as_it_looks_is_let_through():
    frame = pd.DataFrame(np.zeros((2, SPARE_COLUMNS)), columns=MANY[:SPARE_COLUMNS])
    parquet = io.BytesIO()
    pd.DataFrame({"a": np.arange(1000), "b": ["x"] * 1000}).to_parquet(parquet)
    image = json.dumps({"inputs": [[0.5] * 50_000]}).encode()
    tensor = Schema([TensorSpec(np.dtype("float64"), (-1, 50_000))])
    for body, kind, schema in [
        (frame.to_csv(index=False).encode(), CSV, None),
        (json.dumps({"dataframe_split": frame.to_dict("split")}).encode(), JSON, None),
        (json.dumps({"dataframe_records": frame.to_dict("records")}).encode(), JSON, None),
        (json.dumps({"dataframe_records": [{"a": 1}, {"b": 2}]}).encode(), JSON, None),
        (parquet.getvalue(), PARQUET, None),
        (image, JSON, tensor),
        (b'{"inputs": [[[1], [2]]]}', JSON, None),
        (b'{"inputs": [1, 2], "params": {"a": [[1]]}}', JSON, SCHEMA),
        (json.dumps({"inputs": {"x": [1] * 20_000}}).encode(), JSON, SCHEMA),
        (json.dumps({"dataframe_split": index_of(20_000)}).encode(), JSON, SCHEMA),
    ]:
        assert read_request(body, kind, schema)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (pd.DataFrame({"a": [], "x": []}), "no rows"),
        (pd.DataFrame({"a": ["b"]}), r"columns are missing: \['x'\]"),
        (pd.DataFrame({"a": [["b"]], "x": [1.0]}), "column a holds something other"),
        (pd.DataFrame({"a": ["b", 1], "x": [1.0, 2]}), "column a holds something other"),
        (pd.DataFrame({"a": ["b"], "x": [np.inf]}), "column x contains infinity"),
        ([{"a": "b", "x": -1e39}], "column x contains infinity"),
        ({"a": ["b"], "x": np.array([1e39])}, "column x contains infinity"),
        (pd.DataFrame({"a": ["inf", None], "x": [1.0, None]}), "^$"),
        (pd.DataFrame({"a": ["b"], "x": [1], "other": [[1]]}), "^$"),
    ],
)
def test_whose_fault_it_is(data, told):
    schema = infer_signature(pd.DataFrame({"a": ["b"], "x": [1.0]})).inputs
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(fault_of(data, schema))


@pytest.mark.parametrize(
    "data", [np.zeros((2, 2, 2)), np.ones(3), {"a": 1}, 5, pd.DataFrame([[1]])]
)
def test_without_a_signature_what_is_finite_is_no_fault(data):
    assert not fault_of(data, None)
