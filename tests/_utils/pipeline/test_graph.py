from pathlib import Path
from xml.etree import ElementTree

from _utils.pipeline.graph import as_mermaid, as_svg
from _utils.pipeline.plan import Component

MAKE = {"input_artifact": "from.csv:latest", "artifact_name": "a.csv"}
USE = {"x_artifact": "a.csv:0123456789ab", "y_artifact": "a.csv:latest"}
PLAN = [Component("make", Path("make"), MAKE), Component("use", Path("use"), USE)]


def test_mermaid_has_each_node_and_edge_once():
    assert as_mermaid(PLAN).splitlines() == [
        "flowchart TD",
        '    component0["make"]',
        '    artifact0(["from.csv"]) --> component0',
        '    component0 --> artifact1(["a.csv"])',
        '    component1["use"]',
        "    artifact1 --> component1",
    ]


def test_the_picture_has_a_box_for_each_and_an_arrow_for_each_use():
    svg = ElementTree.fromstring(as_svg(PLAN))
    name = "{http://www.w3.org/2000/svg}"
    assert [text.text for text in svg.iter(f"{name}text")] == ["make", "use", "from.csv", "a.csv"]
    assert len([path for path in svg.iter(f"{name}path") if path.get("class") == "edge"]) == 3
