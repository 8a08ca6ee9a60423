import re
import xml.etree.ElementTree as ET

from _utils import pages
from _utils.pages.graph import Step, columns_of, draw_graph

EVIL = "<script>alert('x')</script> & \" http://example.org"


def test_every_text_is_escaped_and_nothing_comes_from_elsewhere():
    parts = [pages.text(EVIL), pages.command(EVIL), pages.items([EVIL]), pages.heading(EVIL)]
    parts += [pages.pairs({EVIL: EVIL}, {EVIL: EVIL}), pages.table({EVIL: EVIL}, [])]
    parts += [pages.bar(0.5, EVIL), pages.image(b"png", EVIL)]
    parts += [draw_graph([Step(EVIL, EVIL, EVIL, [], {EVIL: EVIL})])]
    page = pages.page(EVIL, EVIL, pages.section(EVIL, *parts))
    assert "<script" not in page and page.count("&lt;script&gt;") > 12
    assert re.findall(r'(?:src|href)="(.{10})', page) == ["data:image"]
    assert not re.search(r"<link|@import|url\(", page)


def test_a_section_without_content_is_left_out():
    assert pages.section("Figures") == pages.section("Figures", "", "") == ""


STEPS = [
    Step("load", "finished", "1.0 s", [], {"raw": "1"}, {"data.csv": "data/data.csv"}),
    Step("look", "finished", "", ["raw"]),
    Step("clean", "reused", "", ["raw"], {"clean": "2"}),
    Step("train", "failed", "", ["clean", "elsewhere"], {"model": ""}),
    Step("score", "waiting", "", ["model", "raw"]),
]


def test_a_step_stands_after_what_it_takes():
    assert columns_of(STEPS) == {"load": 0, "look": 1, "clean": 1, "train": 2, "score": 3}


def test_the_graph_has_a_box_for_each_step_and_a_line_for_each_use():
    svg = ET.fromstring(draw_graph(STEPS))[0]
    boxes = [box.get("class") for box in svg.iter("rect")]
    assert [name for name in boxes if name != "artifact"] == [
        *("box finished", "box finished", "box reused", "box failed", "box waiting")
    ]
    assert boxes.count("artifact") == 4
    assert len([*svg.iter("path")]) == 5  # what comes from elsewhere has none
    places = {(box.get("x"), box.get("y")) for box in svg.iter("rect")}
    assert len(places) == len(boxes)


def test_no_steps_are_no_error():
    assert "<svg" in draw_graph([])
