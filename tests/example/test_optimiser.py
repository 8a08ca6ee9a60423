"""The optimiser of MLpipeline.md, with the example's search space and small components."""

import contextlib
import re
import sqlite3
import subprocess
import sys

import pytest
from conftest import clone, store_of, type_in
from documents import changed, documented
from small import make_small


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A clone whose pipeline is `prepare`, then `trial`."""
    return make_small(clone(tmp_path_factory.mktemp("small")))


@pytest.fixture(scope="module")
def optuna(tmp_path_factory):
    """A folder with what MLpipeline.md says to install for an optimiser."""
    folder = tmp_path_factory.mktemp("optuna")
    command = documented("MLpipeline.md", "pip install --no-deps optuna").split()
    uv = [sys.executable, "-m", "uv", *command, "--quiet", "--target", str(folder)]
    subprocess.run(uv, check=True)
    return str(folder)


@pytest.mark.slow
@pytest.mark.nightly
def test_an_optimiser_goes_on_where_it_was(small, optuna):
    search = (small / "search/random_forest.yaml").read_text()
    start = search.index("      # How many words")
    space = "      # 0 fails\n      components.trial.parameters.x: choice(0,20,50)\n"
    (small / "search/random_forest.yaml").write_text(search[:start] + space)
    command = documented("MLpipeline.md", "+search=random_forest")
    for trials in 4, 8:
        few = f" hydra.sweeper.n_trials=4 hydra.sweeper.sampler.seed={trials} -m"
        changes = {"steps=train_random_forest": "steps=all", " -m": few}
        ran = type_in(small, changed(command, changes), PYTHONPATH=optuna)
        store = store_of(small)
        ended = [job.info.status for job in store.children(store.pipeline())]
        failed = ended.count("FAILED")
        assert f"Sweep: 4 jobs, {failed} failed" in ran.stdout
        assert ran.returncode == (1 if failed else 0)
        assert "Warning" not in ran.stdout
        with contextlib.closing(sqlite3.connect(small / "optuna.db")) as study:
            states = study.execute("select state from trials").fetchall()
        assert len(states) == trials
    assert ("FAIL",) in states and ("COMPLETE",) in states
    # Params of a search and what is typed are both in the command that trains the best again.
    assert re.search(r"again: python main.py .*parameters.x=(20|50) .*\+search=", ran.stdout)
