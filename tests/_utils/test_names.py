"""Names that become paths stay in their folder, wherever they come from."""

import subprocess

import pytest
from conftest import ROOT, needs

from _utils.component import scratch_file, scratch_folder
from _utils.errors import UserError
from _utils.tabular.fetch import fetch, path_in

OUTSIDE = ["", ".", "..", "/etc/x", "../x", "a/../../x", "a\\..\\x", "C:x", "C:/x", "//host/x"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_out_is_refused(name, tmp_path):
    with pytest.raises(UserError, match="cannot be the name of a file in"):
        path_in(tmp_path, name)


@pytest.mark.parametrize("name", ["a", "a/b.csv", "10:00.csv", "é (1).csv", "..a", "a..b/c"])
def test_all_others_are_not(name, tmp_path):
    assert path_in(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize("name", [*OUTSIDE, "a/b.parquet"])
def test_an_artifact_is_written_to_the_scratch_folder(name):
    with pytest.raises(UserError, match="cannot be an artifact's name"):
        scratch_file(name)
    assert scratch_file("a.parquet").is_relative_to(scratch_folder())


@pytest.mark.parametrize("url", ["memory://folder/..", "memory://folder/..\\x.csv"])
def test_a_download_is_named_by_a_name(url, tmp_path):
    with pytest.raises(UserError, match="cannot be the name of a file in"):
        fetch(url, tmp_path)


def test_the_executable_of_the_scaffold_refuses_them(tmp_path):
    """Its own check, for a shell has none of these functions."""
    needs("bash")
    template = (ROOT / "cookie-mlflow-step/templates/executable").read_text()
    check = template[template.index("if [[") : template.index("SCRATCH=")]
    script = check.replace("{{ parameter.name }}", "1") + 'echo "fine"'
    for name in OUTSIDE:
        ran = subprocess.run(["bash", "-c", script, "run.sh", name], capture_output=True, text=True)
        assert (ran.returncode, ran.stdout) == (2, ""), name
    assert subprocess.run(["bash", "-c", script, "run.sh", "made.txt"]).returncode == 0
