"""Earlier runs of monitoring: their metrics over time, and the model that scored the same rows."""

from typing import Any

import mlflow
import pandas as pd
from mlflow.entities import Metric, Run
from mlflow.entities.model_registry import ModelVersion

from _utils.artifacts import use_artifact
from _utils.errors import UserError
from _utils.models import load_model
from _utils.models.registry import SCHEME, fetch_model, find_version
from _utils.tabular.contract import Contract, contract_of
from _utils.tabular.drift.batch import classes_as_text, scores_before_and_now
from _utils.tabular.tables import read_table
from _utils.tabular.wording import shown

MONITORED, VERSION, INPUT = "monitored_model", "model_version", "input_version"  # tags of the run
OVER_TIME = ["alarm", "drifted_columns", "max_psi", "loss_ratio"]
MOST_BATCHES = 100  # MLflow takes 1000 metrics at a time


def input_of(batch: pd.DataFrame) -> str:
    """The version of the input of batch_scoring."""
    return str(batch[INPUT].iloc[0]) if INPUT in batch else ""


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


def earlier_model(
    past: list[Run], rows: str, version: ModelVersion, contract: Contract
) -> tuple[str, Any, pd.DataFrame] | None:
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
        folder = fetch_model(earlier)
        if (target := contract_of(folder).target) != contract.target:
            raise UserError(f"it predicts '{target}' and not '{contract.target}'.")
        return numbers[-1], load_model(folder), classes_as_text(train, contract)
    except UserError as error:
        print(f"No comparison with version {numbers[-1]}, which scored the same rows: {error}")
        return None


def print_progress(
    number: str,
    earlier: Any,
    train: pd.DataFrame,
    metric: str,
    contract: Contract,
    unseen: pd.DataFrame,
    now: pd.DataFrame,
) -> None:
    """Print the scores of an earlier version and of this one, on rows that neither has seen."""
    try:
        found = scores_before_and_now(metric, contract, earlier, train, unseen, now)
    except Exception as error:  # any error of the earlier model, which these rows may not suit
        print(f"No comparison with version {number}, which scored the same rows: {error}")
        return
    if found:
        before, after, rows = found
        mlflow.log_metric(f"{metric}_before", before)
        change = f"{shown(metric)} on unseen rows {before:.2f} -> {after:.2f}"
        print(f"{change} ({rows} rows, since version {number})")
