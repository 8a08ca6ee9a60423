"""A sweep of the example: each job is a child, and the best can be trained again."""

import io
import re

import pandas as pd
import pytest
import yaml
from conftest import ROOT, type_in

OBJECTIVE = yaml.safe_load((ROOT / "config.yaml").read_text())["main"]["objective"]["metric"]
COMMAND = (
    "python main.py --steps=train_model modeling.random_forest.n_estimators=5 "
    "modeling.max_tfidf_features=10 'modeling.random_forest.max_features=range(1,6,4)' -m"
)


@pytest.mark.slow
def test_each_job_is_a_child_and_the_best_can_be_trained_again(project, store, tmp_path):
    ran = type_in(project, COMMAND)
    assert ran.returncode == 0, ran.stdout
    sweep = store.pipeline()
    assert sweep.info.run_name == "sweep of 2: max_features"
    jobs = store.children(sweep)
    keys = ["modeling.max_tfidf_features", "modeling.random_forest.max_features"]
    made_by = [tuple(job.data.params[key] for key in keys) for job in jobs]
    assert sorted(made_by) == [("10", "1"), ("10", "5")]
    for job, (words, share) in zip(jobs, made_by, strict=True):
        assert f"{keys[0]}={words}" in job.info.run_name
        (run,) = store.children(job)
        assert run.data.params["max_tfidf_features"] == words
        assert run.data.params["random_forest.max_features"] == share

    assert {"jobs.csv", "sweep.html", "best.yaml"} <= store.files(sweep)
    maes = {job.info.run_id: job.data.metrics[OBJECTIVE] for job in jobs}
    best = min(maes, key=maes.get)
    table = pd.read_csv(io.StringIO(store.text(sweep, "jobs.csv", tmp_path)))
    assert table["run"].tolist() == sorted(maes, key=maes.get)
    assert list(table) == ["rank", keys[1], OBJECTIVE, "status", "run"]
    (again,) = re.findall("^Train the best again: (.*)$", ran.stdout, re.MULTILINE)
    assert again in store.text(sweep, "best.yaml", tmp_path)
    plan = type_in(project, f"{again} main.plan=true")
    assert plan.stdout.startswith("reuse train_random_forest")
    options = yaml.safe_load(store.text(sweep, "best.yaml", tmp_path))
    given = store.client.get_run(best).data.params
    assert dict(option.split("=", 1) for option in options) == given
