import mlflow

from _utils.tabular.names import plain_names


def test_any_column_has_a_name_that_mlflow_takes(scratch_store):
    columns = ["displacement (l)", "displacement [l]", "km/h", "..", "a:b", "50 %", "é", "x" * 300]
    names = plain_names(columns)
    assert list(names) == columns and len({*names.values()}) == len(columns)
    mlflow.set_experiment("names")
    with mlflow.start_run() as run:
        mlflow.log_metrics({f"psi.{name}": 1 for name in names.values()})
    assert len(mlflow.get_run(run.info.run_id).data.metrics) == len(columns)
    assert not set('/\\:*?"<>|') & set("".join(names.values()))
