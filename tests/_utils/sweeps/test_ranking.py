from mlflow.entities import Metric, Param, Run, RunData, RunInfo

from _utils.sweeps.ranking import ranked


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


def test_columns_are_the_parameters_in_which_jobs_differ():
    assert list(ranked(JOBS, "mae", "minimize")) == ["words", "share", "mae", "status", "run"]
    assert list(ranked(JOBS[:2], "mae", "minimize")) == ["share", "mae", "status", "run"]


def test_without_the_metric_they_stay_in_their_order():
    table = ranked(JOBS, "r2", "maximize")
    assert list(table) == ["words", "share", "status", "run"]
    assert table["run"].tolist() == ["a", "b", "c", "d"]
