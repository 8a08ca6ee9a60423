"""The component by itself."""

import argparse
import importlib.util

import pytest
from conftest import ROOT

from _utils.errors import UserError


def test_it_overwrites_nothing(tmp_path):
    victim = tmp_path / "victim.parquet"
    victim.write_text("mine")
    spec = importlib.util.spec_from_file_location("run", ROOT / "src/data_extraction/run.py")
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    url = str(ROOT / "resources/data/epa_fuel_economy_2012.csv")
    with pytest.raises(UserError, match="cannot be an artifact's name"):
        run.go(argparse.Namespace(file_url=url, artifact_name=str(victim)))
    assert victim.read_text() == "mine"
