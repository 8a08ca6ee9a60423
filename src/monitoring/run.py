"""Compare new rows with the data that their model was trained on, and give a verdict."""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # src/, where _utils lies

import mlflow
import pandas as pd
from mlflow.entities import Metric, Run
from mlflow.entities.model_registry import ModelVersion
from sklearn.pipeline import Pipeline

from _utils.artifacts import use_artifact
from _utils.component import launch
from _utils.errors import UserError
from _utils.example.chunks import ADDED_COLUMNS
from _utils.example.drift import performance
from _utils.example.drift_figures import history_figure
from _utils.example.drift_report import make_report
from _utils.example.model import TARGET, predict
from _utils.example.monitoring import (
    compare_all,
    errors_before_and_now,
    figures_of,
    kinds_of,
    labelled_rows,
    metrics_of,
)
from _utils.example.verdict import judge, summarize
from _utils.models.registry import SCHEME, fetch_model, find_version
from _utils.tabular.tables import read_table

LIMITS = ["max_psi", "significance", "max_new_missing", "max_unseen_share", "max_mae_ratio"]
MONITORED, VERSION, INPUT = "monitored_model", "model_version", "input_version"  # tags of the run
OVER_TIME = ["alarm", "drifted_columns", "max_psi", "mae_ratio"]
MOST_BATCHES = 100  # MLflow takes 1000 metrics at a time


def go(args: argparse.Namespace) -> None:
    """Fetch, compare, judge, publish."""
    scored = use_artifact(args.predictions_artifact)
    predictions, past = read_table(scored, ADDED_COLUMNS), runs_before(args.registered_model)
    version = version_of(predictions, args.registered_model)
    earlier = earlier_model(past, input_of(predictions), version)
    train = read_table(use_artifact(version.tags["train_artifact"]))
    batch = read_table(scored, [*train, *ADDED_COLUMNS])  # other columns may have any type
    test = read_table(use_artifact(version.tags["test_artifact"]))
    model = mlflow.sklearn.load_model(str(fetch_model(version)))
    test["prediction"] = predict(model, test)

    table = compare_all(train, test, batch, kinds_of(model, train))
    unseen, seen_rows = labelled_rows(batch, train)
    scores = performance(unseen[TARGET], batch["prediction"], float(version.tags["mae"]))
    scores["seen_rows"] = seen_rows
    limits = {name: getattr(args, name) for name in LIMITS}
    reasons = judge(table, scores, len(batch), **limits)
    table["alarm"] = table["column"].isin(reasons.index).map({True: "yes", False: ""})

    mlflow.log_metrics(metrics_of(table, reasons, scores, len(batch)))
    mlflow.log_text(table.to_csv(index=False), "drift.csv")
    figures = figures_of(table, reasons, train, test, batch, args.max_psi)
    figures["Metrics over time"] = history_figure(log_history(past))
    about = {
        "Model": f"{version.name}, version {version.version}",
        "New rows": f"{args.predictions_artifact}, {len(batch)} rows",
        "Compared with": f"{version.tags['train_artifact']}, {len(train)} rows; predictions with "
        f"those for {version.tags['test_artifact']}, {len(test)} rows",
        "Labels": f"{scores['labelled_rows']} of rows that the model was not trained on; "
        f"{seen_rows} of rows that it was trained on, which do not count",
    }
    mlflow.log_text(make_report(about, reasons, scores, table, limits, figures), "report.html")
    tags = {MONITORED: version.name, VERSION: version.version, INPUT: input_of(batch)}
    mlflow.set_tags(tags | {"verdict": summarize(reasons, most=len(reasons))})
    print(summarize(reasons))
    if earlier:
        print_progress(*earlier, unseen, batch["prediction"])


def version_of(batch: pd.DataFrame, name: str) -> ModelVersion:
    """The version of the registered model that made the predictions.

    Raises:
        UserError: There are no predictions, they come from no version or several versions, or the
            version has no record of its training data.
    """
    if batch.empty:
        raise UserError(
            "There are 0 predictions: nothing to monitor. Score some rows with batch_scoring first."
        )
    numbers = batch.get("model_version", pd.Series(dtype="object")).unique()
    if len(numbers) != 1 or "prediction" not in batch:
        raise UserError(
            f"The predictions come from the model versions {[*numbers]} and have the columns "
            f"{list(batch.columns)}. The columns `prediction` and `model_version`, with a single "
            "version, are required: make the predictions with batch_scoring."
        )
    version = find_version(f"models:/{name}/{numbers[0]}")
    if lacking := {"train_artifact", "test_artifact", "mae"} - version.tags.keys():
        raise UserError(
            f"Version {version.version} of {name} lacks the tags {sorted(lacking)}, which name the "
            "data to compare with. Register the version with evaluation, or set the tags."
        )
    return version


def input_of(batch: pd.DataFrame) -> str:
    """The version of the input of batch_scoring."""
    return str(batch[INPUT].iloc[0]) if INPUT in batch else ""


def earlier_model(
    past: list[Run], rows: str, version: ModelVersion
) -> tuple[str, Pipeline, pd.DataFrame] | None:
    """Another version whose predictions for the same rows were monitored before, if there is one.

    Returns:
        The number of the version, the model, and its training data.
    """
    same_rows = [run.data.tags for run in past if rows and rows == run.data.tags.get(INPUT)]
    numbers = [tags[VERSION] for tags in same_rows if tags[VERSION] != str(version.version)]
    if not numbers:
        return None
    try:
        earlier = find_version(f"{SCHEME}{version.name}/{numbers[-1]}")
        train = read_table(use_artifact(earlier.tags.get("train_artifact", "")))
        return numbers[-1], mlflow.sklearn.load_model(str(fetch_model(earlier))), train
    except UserError as error:
        print(f"No comparison with version {numbers[-1]}, which scored the same rows: {error}")
        return None


def print_progress(
    number: str, earlier: Pipeline, train: pd.DataFrame, unseen: pd.DataFrame, now: pd.Series
) -> None:
    """Print the errors of an earlier version and of this one, on rows that neither has seen."""
    if errors := errors_before_and_now(earlier, train, unseen, now):
        before, after, rows = errors
        mlflow.log_metric("mae_before", before)
        change = f"MAE on unseen rows {before:.2f} -> {after:.2f}"
        print(f"{change} ({rows} rows, since version {number})")


def runs_before(model: str) -> list[Run]:
    """The runs that monitored the model before this one, the oldest first."""
    return mlflow.MlflowClient().search_runs(
        [mlflow.active_run().info.experiment_id],
        f"tags.{MONITORED} = '{model}' and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        max_results=MOST_BATCHES,
    )[::-1]


def log_history(past: list[Run]) -> pd.DataFrame:
    """Copy the metrics of earlier runs to this run, so that MLflow draws them over time.

    Returns:
        The metrics OVER_TIME by the time of the run, the oldest first; this run is the last.
    """
    client, run = mlflow.MlflowClient(), mlflow.active_run()
    runs = [*past, client.get_run(run.info.run_id)]
    # This run's own values are at step 0, earlier runs have negative steps
    client.log_batch(
        run.info.run_id,
        [
            Metric(name, each.data.metrics[name], each.info.start_time, number - len(past))
            for number, each in enumerate(runs[:-1])
            for name in OVER_TIME
            if name in each.data.metrics
        ],
    )
    times = pd.to_datetime([each.info.start_time for each in runs], unit="ms", utc=True)
    return pd.DataFrame([each.data.metrics for each in runs], index=times).reindex(
        columns=OVER_TIME
    )


if __name__ == "__main__":
    launch(go)
