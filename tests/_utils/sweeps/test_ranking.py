import io
import json
from uuid import uuid4

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunData, RunInfo
from omegaconf import OmegaConf

from _utils.pipeline.record import OVERRIDES, VALUES, digest_of_values
from _utils.sweeps.ranking import print_table, publish_ranking, ranked, rows_of, value_of_job

NAN = float("nan")


def row(run_id: str, mae: float = NAN, **parameters: str) -> dict:
    return {**parameters, "mae": mae, "status": "FINISHED", "run": run_id}


ROWS = [
    row("a", 1.5, steps="train", words="10", share="0.3"),
    row("b", 1.25, steps="train", words="10", share="0.5"),
    row("c", steps="train", words="30", share="0.3"),
    row("d", 1.0, steps="train", words="30", share="0.5"),
    row("e", 1.25, steps="train", words="30", share="0.5"),
]


@pytest.mark.parametrize(("direction", "order"), [("minimize", "dbeac"), ("maximize", "abedc")])
def test_the_best_is_first_equals_keep_their_order_and_those_without_a_value_are_last(
    direction, order
):
    table = ranked(ROWS, "mae", direction)
    assert table["run"].tolist() == [*order]
    assert table.index.tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("status", "value", "ranks_by"),
    [("FINISHED", 2.0, 2.0), ("FAILED", 0.5, NAN), ("KILLED", 0.5, NAN)]
    + [("FINISHED", value, NAN) for value in (NAN, float("inf"), float("-inf"), None)],
)
def test_a_job_that_failed_or_has_no_number_has_no_value(status, value, ranks_by):
    metrics = [] if value is None else [Metric("mae", value, 0, 0)]
    info = RunInfo("a", "1", "me", status, 0, 1, "active", "uri")
    job = Run(info, RunData(metrics, [], []))
    assert value_of_job(job, "mae") == pytest.approx(ranks_by, nan_ok=True)


def test_the_table_shows_whole_values_and_the_current_config(capsys):
    seeds = ["1234567890", "1234567891", *"23456789ab"]
    rows = [row(f"id-{x}", **{"split.seed": x, "model.seed": f"long-{x}"}) for x in seeds]
    rows[-1]["status"] = "current config"
    print_table(ranked(rows, "mae", "minimize"))
    shown = capsys.readouterr().out
    for whole in "split.seed", "model.seed", "1234567890", "1234567891", "long-1234567890":
        assert f" {whole} " in shown
    assert "long-a" not in shown and "long-b" in shown and "current config" in shown  # beyond 10


def test_columns_are_the_parameters_in_which_jobs_differ():
    assert list(ranked(ROWS, "mae", "minimize")) == ["words", "share", "mae", "status", "run"]
    assert list(ranked(ROWS[:2], "mae", "minimize")) == ["share", "mae", "status", "run"]


def test_what_jobs_share_of_main_is_no_column_and_lists_are_text():
    shared = {"main.steps": "[a,b]", "model.list": "[1, 3]"}
    jobs = [
        Run(
            RunInfo(run_id, "1", "me", "FINISHED", 0, 1, "active", "uri"),
            RunData([], [Param(*each) for each in (shared | {"main.x": run_id}).items()], []),
        )
        for run_id in "jk"
    ]
    values = {"main": {"objective": {"metric": "mae"}, "x": None}, "model": {"list": [1, 2]}}
    first, second = rows_of(jobs, jobs[1], OmegaConf.create(values))
    assert [*first] == ["model.list", "main.x", "mae", "status", "run"]
    assert second["model.list"] == "[1, 2]" and second["main.x"] == ""


class TestTheCurrentConfig:
    """The result of the config's own values is compared with those of the jobs."""

    CONFIG = OmegaConf.create(
        {
            "main": {"steps": "all", "objective": {"metric": "mae", "direction": "minimize"}},
            "model": {"x": 3},
            "hydra": {"run": "."},
        }
    )

    @pytest.fixture
    def run(self, scratch_store):
        """Makes a run with this x and this result in an experiment of its own."""
        client = MlflowClient()
        experiment = client.create_experiment(f"ranking {uuid4()}")

        def run(x, mae, status="FINISHED", data="1"):
            config = OmegaConf.merge(self.CONFIG, {"model": {"x": x}, "main": {"steps": "b"}})
            made = client.create_run(experiment).info.run_id
            client.log_param(made, "model.x", x)
            client.log_metric(made, "mae", mae)
            client.set_tag(made, OVERRIDES, json.dumps([f"model.x={x}"]))
            client.set_tag(made, VALUES, digest_of_values(config))
            tags = {"mlflow.parentRunId": made, "input.data": data}
            client.create_run(experiment, tags=tags, run_name="mae")
            client.set_terminated(made, status)
            return client.get_run(made)

        return run

    @pytest.fixture
    def publish(self, monkeypatch, capsys):
        """Returns what the terminal and jobs.csv show."""

        def publish(jobs):
            texts = {}
            monkeypatch.setattr(mlflow, "log_text", lambda text, file: texts.update({file: text}))
            publish_ranking(jobs, self.CONFIG)
            return capsys.readouterr().out, pd.read_csv(io.StringIO(texts["jobs.csv"]))

        return publish

    def test_a_result_of_other_data_is_none(self, run, publish):
        run(3, 0.1)
        printed, table = publish([run(1, 0.5, data="2"), run(2, 0.4, data="2")])
        assert "no result here to compare" in printed and len(table) == 2
        assert len(publish([run(1, 0.5, data="2"), run(2, 0.4, data="3")])[1]) == 3  # swept

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
        assert "No job has the metric" in shown and "again" not in shown

    def test_a_sweep_without_jobs(self, publish):
        assert "No job has the metric" in publish([])[0]
