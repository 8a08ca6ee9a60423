import math
import re
import xml.etree.ElementTree as ET

import pandas as pd
import pytest
from mlflow.entities import Run, RunData, RunInfo, RunTag
from omegaconf import OmegaConf

from _utils.sweeps.drawing import Dot, panel, parallel, places, ticks
from _utils.sweeps.page import as_page
from _utils.sweeps.ranking import ranked

EVIL = "<script>alert('x')</script> http://example.org"


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["10", "5", "20", "5"], {"5": 0.04, "10": 0.3467, "20": 0.96}),
        (["1000", "1", "31.6227766"], {"1": 0.04, "31.6227766": 0.5, "1000": 0.96}),  # decades
        (["0", "1000"], {"0": 0.04, "1000": 0.96}),  # zero has no logarithm
        (["null", "20", "5"], {"5": 1 / 6, "20": 0.5, "null": 5 / 6}),
        (["b", "a"], {"a": 0.25, "b": 0.75}),
        (["inf", "nan", "7"], {"7": 1 / 6, "inf": 0.5, "nan": 5 / 6}),
        (["7", "7"], {"7": 0.5}),
    ],
)
def test_numbers_stand_by_their_size_and_other_values_side_by_side(values, found):
    stand = places(values)
    assert [*stand] == [*found]
    assert stand == pytest.approx(found, abs=1e-4)


def test_labels_do_not_touch():
    assert [*ticks(places(map(str, range(100))))] == ["0", "22", "44", "66", "88"]
    assert [*ticks(places(["0.0000123", "0.5"]))] == ["1.2e-05", "0.5"]
    assert [*ticks(places(["long" * 9, "b"]))] == ["b", ("long" * 9)[:20]]


DOTS = [
    Dot({"model.x": "2", "kind": "a"}, 0.5, "best", "first"),
    Dot({"model.x": "3", "kind": EVIL}, 0.75, "current", EVIL),
    Dot({"model.x": "1", "kind": "b"}, 1.0, "job", "last"),
]


def test_a_panel_has_a_dot_for_each_job_and_the_best_on_top():
    svg = ET.fromstring(panel(DOTS, "model.x", "mae"))
    dots = {dot.get("class"): dot for dot in svg.iter("circle")}
    assert [*dots] == ["dot job", "dot current", "dot best"]
    x, y = ({name: float(dot.get(at)) for name, dot in dots.items()} for at in ("cx", "cy"))
    assert x["dot job"] < x["dot best"] < x["dot current"]
    assert y["dot job"] < y["dot current"] < y["dot best"]  # the least is lowest
    assert dots["dot best"][0].text == "first"
    texts = " ".join(text.text for text in svg.iter("text"))
    assert texts == "1 2 3 0.5 0.75 1 model.x mae"


def test_parallel_coordinates_have_a_line_for_each_job():
    svg = ET.fromstring(parallel(DOTS, ["model.x", "kind"], "mae"))[0]
    lines = [line.get("class") for line in svg.iter("polyline")]
    assert lines == ["track job", "track current", "track best"]
    assert all(len(line.get("points").split()) == 3 for line in svg.iter("polyline"))


def job(run_id: str, status: str = "FINISHED", **tags: str) -> Run:
    info = RunInfo(run_id, "1", "me", status, 0, 1, "active", "uri", run_name=f"job {run_id}")
    return Run(info, RunData([], [], [RunTag(*tag) for tag in tags.items()]))


def row(x: str, mae: float, status: str, run: str) -> dict:
    return {"model.x": x, "model.y": f"y{x}", "mae": mae, "status": status, "run": run}


OBJECTIVE = OmegaConf.create({"metric": "mae", "direction": "minimize"})
JOBS = [job("a"), job("b"), job("c", "FAILED", error=EVIL)]
ROWS = [row("1", 2.0, "FINISHED", "a"), row("2", 1.5, "FINISHED", "b")]
FAILED = row("3", math.nan, "FAILED", "c")


def cells(page: str) -> list[list[str]]:
    rows = re.findall("<tr>(.*?)</tr>", page)[1:]
    plain = [re.sub("<(?!/?td)[^>]*>", "", each) for each in rows]
    return [re.findall("<td>(.*?)</td>", each) for each in plain]


def test_the_best_is_first_and_failed_jobs_are_last():
    table = ranked([*ROWS, FAILED], "mae", "minimize")
    own = {"model.x": "7", "model.y": ""}
    page = as_page(table, JOBS, OBJECTIVE, own, f"python main.py {EVIL}")
    assert '<h1 class="good">mae 1.5 (lower is better) with x=2, y=y2</h1>' in page
    found = cells(page)
    assert [each[0] for each in found[:4]] == ["1&nbsp;(best)", "2", "3", ""]
    assert found[2][3:5] == ["", "FAILED"]
    assert found[3][1:5] == ["7", "null", "", "current config, without a result"]
    assert "<script" not in page and page.count("&lt;script&gt;") == 2
    assert page.count("<svg") == 3 and not re.search(r'src="|<link|@import|url\(', page)


def test_the_current_config_is_marked_once():
    rows = [*ROWS, row("9", 1.0, "current config", "d")]
    page = as_page(ranked(rows, "mae", "minimize"), JOBS[:2], OBJECTIVE, {}, "python main.py")
    assert page.count("<b>current config</b>") == 1 and "without a result" not in page
    assert "with x=9, y=y9, the current config</h1>" in page
    assert page.count('class="dot best current"') == 2


@pytest.mark.parametrize("rows", [[], [FAILED]])
def test_without_any_result_nothing_is_drawn(rows):
    page = as_page(ranked(rows, "mae", "minimize"), JOBS[2:] if rows else [], OBJECTIVE, {}, "")
    assert '<h1 class="bad">No job has the metric mae' in page and "<svg" not in page


def test_keys_with_the_same_last_part_are_shown_whole():
    table = ranked(ROWS, "mae", "minimize").rename(columns={"model.y": "other.x"})
    page = as_page(table, JOBS, OBJECTIVE, {}, "x")
    assert "with model.x=2, other.x=y2</h1>" in page and ">other.x</th>" in page
    table = table.rename(columns={"other.x": "other.status"})
    assert ">other.status</th>" in as_page(table, JOBS, OBJECTIVE, {}, "x")


def test_one_parameter_has_no_parallel_coordinates():
    table = ranked(ROWS, "mae", "minimize").drop(columns="model.y")
    assert as_page(table, JOBS, OBJECTIVE, {}, "x").count("<svg") == 1
    none = pd.DataFrame(table.drop(columns="model.x"))
    assert "<svg" not in as_page(none, JOBS, OBJECTIVE, {}, "x")
