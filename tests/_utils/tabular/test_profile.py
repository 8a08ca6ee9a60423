import re

import numpy as np
import pandas as pd
import pytest

from _utils.tabular.contract import Contract
from _utils.tabular.profile import profile

EVIL = "<script>alert('x')</script>"
COLUMNS = {
    "x": {"kind": "number"},
    "c": {"kind": "category", "use": False},
    "y": {"kind": "number"},
}
CONTRACT = Contract.model_validate({"target": "y", "task": "regression", "columns": COLUMNS})


def rows_of(page: str) -> list[list[str]]:
    return [re.findall("<td>(.*?)</td>", row) for row in page.split("<tr>")[2:]]


def plain(cell: str) -> str:
    return re.sub("<.*?>", "", cell)


def heights(cell: str) -> list[float]:
    return [float(height) for height in re.findall(r'height="([\d.]+)" fill', cell)]


def test_a_column_has_its_kind_its_use_and_its_values():
    frame = pd.DataFrame(
        {"x": [1.0, 2, 2, None], "c": [EVIL, EVIL, "b", EVIL], "y": ["??", "7", "8", "9"]}
    )
    x, c, y = rows_of(profile(frame.assign(other=1), CONTRACT))
    found = ["number", "yes", "25.0%", "2", "", "1 to 2, median 2"]
    assert [*map(plain, x)] == ["x", *found]
    assert heights(x[5]) == [9.0, *[0] * 10, 18.0]
    assert [*map(plain, c[:5])] == ["c", "category", "no", "", "2"]
    assert "&lt;script&gt;" in c[6] and "(75%), b (25%)" in c[6] and "<script" not in c[6]
    assert heights(c[5]) == [18.0, 6.0]
    assert plain(y[2]) == "target" and plain(y[6]) == "7 to 9, median 8"


@pytest.mark.parametrize("values", [[], [None, None], [np.inf, -np.inf], [5.0, 5.0], ["a", "b"]])
def test_any_values_have_a_profile(values):
    frame = pd.DataFrame(dict.fromkeys("xcy", pd.Series(values)))
    assert len(rows_of(profile(frame, CONTRACT))) == 3
    assert "nan" not in profile(frame, CONTRACT)
