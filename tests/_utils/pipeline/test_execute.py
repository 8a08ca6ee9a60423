from pathlib import Path

import pytest

from _utils.errors import UserError
from _utils.pipeline.execute import check_outputs
from _utils.pipeline.plan import Component
from _utils.pipeline.report import Result

LATER = [Component("train", Path(), {"input_artifact": "data.csv:0123456789ab"})]


def check(parameters, published, later=LATER):
    outputs = dict.fromkeys(published, "ba9876543210")
    result = Result("load", "FINISHED", 1.0, "run", {}, outputs)
    check_outputs(Component("load", Path(), parameters), result, later)


def test_what_is_used_later_has_to_be_named_and_published():
    check({"output_artifact": "data.csv"}, ["data.csv"])
    with pytest.raises(UserError, match=r"'load' published 'data.csv', which none of its"):
        check({"limit": "3"}, ["data.csv"])
    with pytest.raises(UserError, match=r"'load' has a parameter for 'data.csv' and"):
        check({"output_artifact": "data.csv"}, [])


def test_what_nobody_uses_later_is_of_no_concern():
    check({"limit": "3"}, ["other.csv"])
    check({"output_artifact": "other.csv"}, [])
    check({"limit": "3"}, ["data.csv"], later=[])
