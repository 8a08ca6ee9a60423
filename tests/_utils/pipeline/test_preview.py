from pathlib import Path

from _utils.pipeline.component import Component
from _utils.pipeline.preview import as_mermaid

MAKE = {"input_artifact": "from.csv:latest", "artifact_name": "a.csv"}
USE = {"x_artifact": "a.csv:0123456789ab", "y_artifact": "a.csv:latest"}


def test_mermaid_has_each_node_and_edge_once():
    plan = [Component("make", Path("make"), MAKE), Component("use", Path("use"), USE)]
    assert as_mermaid(plan).splitlines() == [
        "flowchart TD",
        '    component0["make"]',
        '    artifact0(["from.csv"]) --> component0',
        '    component0 --> artifact1(["a.csv"])',
        '    component1["use"]',
        "    artifact1 --> component1",
    ]
