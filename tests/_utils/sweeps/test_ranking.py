import io
import json
from uuid import uuid4

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunData, RunInfo
from omegaconf import OmegaConf

from _utils.pipeline.runs import OVERRIDES, VALUES, digest_of_values
from _utils.sweeps.ranking import print_table, publish_answer, ranked


def job(run_id, status="FINISHED", metrics=None, **params):
    info = RunInfo(run_id, "1", "me", status, 0, 1, "active", "uri")
    data = RunData(
        [Metric(key, value, 0, 0) for key, value in (metrics or {}).items()],
        [Param(key, value) for key, value in params.items()],
    )
    return Run(info, data)


JOBS = [
    job("a", steps="train", words="10", share="0.3", metrics={"mae": 1.5}),
    job("b", steps="train", words="10", share="0.5", metrics={"mae": 1.25}),
    job("c", status="FAILED", steps="train", words="30", share="0.3"),
    job("d", steps="train", words="30", share="0.5", metrics={"mae": 1.0}),
]


def test_the_best_is_first_and_those_without_the_metric_last():
    table = ranked(JOBS, "mae", "minimize")
    assert table["run"].tolist() == ["d", "b", "a", "c"]
    assert table.index.tolist() == [1, 2, 3, 4]
    assert ranked(JOBS, "mae", "maximize")["run"].tolist() == ["a", "b", "d", "c"]


def test_a_job_that_failed_or_has_no_number_is_never_the_best():
    jobs = [
        job("a", status="FAILED", x="1", metrics={"mae": 0.5}),
        job("b", x="2", metrics={"mae": float("nan")}),
        job("c", x="3", metrics={"mae": float("-inf")}),
        job("d", x="4", metrics={"mae": 2.0}),
        job("e", status="KILLED", x="5", metrics={"mae": 9.0}),
        job("f", x="6", metrics={"mae": 2.0}),
    ]
    for direction in "minimize", "maximize":
        assert ranked(jobs, "mae", direction)["run"].tolist() == ["d", "f", "a", "b", "c", "e"]


def test_the_table_shows_whole_values_and_the_current_config(capsys):
    seeds = ["1234567890", "1234567891", *"23456789ab"]
    jobs = [job(f"id-{x}", **{"split.seed": x, "model.seed": f"long-{x}"}) for x in seeds]
    print_table(ranked(jobs, "mae", "minimize", current="id-b"))
    shown = capsys.readouterr().out
    for whole in "split.seed", "model.seed", "1234567890", "1234567891", "long-1234567890":
        assert f" {whole} " in shown
    assert "long-a" not in shown and "long-b" in shown and "current config" in shown  # beyond 10


def test_columns_are_the_parameters_in_which_jobs_differ():
    assert list(ranked(JOBS, "mae", "minimize")) == ["words", "share", "mae", "status", "run"]
    assert list(ranked(JOBS[:2], "mae", "minimize")) == ["share", "mae", "status", "run"]


def test_without_the_metric_they_stay_in_their_order():
    table = ranked(JOBS, "r2", "maximize")
    assert list(table) == ["words", "share", "status", "run"]
    assert table["run"].tolist() == ["a", "b", "c", "d"]


class TestTheCurrentConfig:
    """The result of the config's own values is compared with those of the jobs."""

    CONFIG = OmegaConf.create({"main": {"steps": "all"}, "model": {"x": 3}, "hydra": {"run": "."}})
    OBJECTIVE = OmegaConf.create({"metric": "mae", "direction": "minimize"})

    @pytest.fixture
    def run(self, scratch_store):
        """Makes a run with this x and this result in an experiment of its own."""
        client = MlflowClient()
        experiment = client.create_experiment(f"ranking {uuid4()}")

        def run(x, mae, status="FINISHED"):
            config = OmegaConf.merge(self.CONFIG, {"model": {"x": x}, "main": {"steps": "b"}})
            made = client.create_run(experiment).info.run_id
            client.log_param(made, "model.x", x)
            client.log_metric(made, "mae", mae)
            client.set_tag(made, OVERRIDES, json.dumps([f"model.x={x}"]))
            client.set_tag(made, VALUES, digest_of_values(config))
            client.set_terminated(made, status)
            return client.get_run(made)

        return run

    @pytest.fixture
    def publish(self, monkeypatch, capsys):
        """Returns what the terminal and jobs.csv show."""

        def publish(jobs):
            texts = {}
            monkeypatch.setattr(mlflow, "log_text", lambda text, file: texts.update({file: text}))
            monkeypatch.setattr(mlflow, "log_figure", lambda *_: None)
            publish_answer(jobs, self.OBJECTIVE, self.CONFIG)
            return capsys.readouterr().out, pd.read_csv(io.StringIO(texts["jobs.csv"]))

        return publish

    def test_it_is_a_row_and_may_be_the_best(self, run, publish):
        run(3, 0.1, "FAILED")
        run(3, 0.5)
        shown, table = publish([run(1, 2.0), run(2, 1.0)])
        assert table["model.x"].tolist() == [3, 2, 1]
        assert table["status"].tolist() == ["current config", "FINISHED", "FINISHED"]
        assert "The current config is the best" in shown and "main.py model.x=3" in shown

    def test_a_job_with_its_values_is_its_row(self, run, publish):
        run(3, 0.5)
        shown, table = publish([run(3, 0.5), run(2, 0.1)])
        assert table["status"].tolist() == ["FINISHED", "current config"]
        assert "The current config is the best" not in shown and "main.py model.x=2" in shown

    def test_if_it_has_no_result_that_is_told(self, run, publish):
        shown, table = publish([run(1, 2.0), run(2, 1.0)])
        assert table["model.x"].tolist() == [2, 1]
        assert "The current config has no result here" in shown

    def test_where_all_failed_none_is_recommended(self, run, publish):
        shown, _ = publish([run(1, 2.0, "FAILED"), run(2, 1.0, "KILLED")])
        assert "No job has the metric" in shown and "The best again" not in shown

    def test_a_sweep_without_jobs(self, publish):
        assert "No job has the metric" in publish([])[0]
