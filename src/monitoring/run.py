"""Compare new rows with what their model was trained on: one verdict, with its reasons."""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # src/, where _utils lies

import mlflow
import pandas as pd
from matplotlib.figure import Figure
from mlflow.entities import Metric
from mlflow.entities.model_registry import ModelVersion

from _utils.artifacts import use_artifact
from _utils.component import launch, plain_names
from _utils.errors import UserError
from _utils.example.drift import CATEGORY, NUMBER, TEXT, compare, performance
from _utils.example.drift_figures import history_figure, psi_figure, shares_figure
from _utils.example.drift_report import make_report
from _utils.example.model import CATEGORICAL, FEATURES, NUMERIC, TARGET
from _utils.example.model import TEXT as TEXT_COLUMN
from _utils.example.verdict import judge, summarize
from _utils.registry import fetch_model, find_version
from _utils.tables import read_table

KINDS = dict.fromkeys(NUMERIC, NUMBER) | dict.fromkeys(CATEGORICAL, CATEGORY) | {TEXT_COLUMN: TEXT}
LIMITS = ["max_psi", "significance", "max_new_missing", "max_unseen_share", "max_mae_ratio"]
MONITORED = "monitored_model"  # tag of the run
OVER_TIME = ["alarm", "drifted_columns", "max_psi", "mae_ratio"]
MOST_BATCHES = 100  # MLflow takes 1000 metrics at a time


def go(args: argparse.Namespace) -> None:
    """Fetch, compare, judge, publish."""
    columns = [*KINDS, TARGET, "prediction", "model_version"]
    batch = read_table(use_artifact(args.predictions_artifact), columns)
    version = version_of(batch, args.registered_model)
    train = read_table(use_artifact(version.tags["train_artifact"]))
    test = read_table(use_artifact(version.tags["test_artifact"]))
    # What a forest predicts for the rows it was trained on is nearly the truth, which it never is
    # for new rows: so predictions are compared with those for rows that it has not seen.
    model = mlflow.sklearn.load_model(str(fetch_model(version)))
    test["prediction"] = model.predict(test[FEATURES])

    pairs = [(train, KINDS), (test, {"prediction": NUMBER})]
    table = pd.concat([compare(frame, batch, kinds) for frame, kinds in pairs], ignore_index=True)
    actual = batch.get(TARGET, pd.Series(float("nan"), index=batch.index))
    scores = performance(actual, batch["prediction"], float(version.tags["mae"]))
    limits = {name: getattr(args, name) for name in LIMITS}
    reasons = judge(table, scores, len(batch), **limits)
    table["alarm"] = table["column"].isin(reasons.index).map({True: "yes", False: ""})
    log_metrics(table, reasons, scores, rows=len(batch))
    references = dict.fromkeys(KINDS, train) | {"prediction": test}
    figures = draw(table, reasons, references, batch, args.max_psi)
    history = history_figure(log_history(args.registered_model))
    about = {
        "Model": f"{version.name}, version {version.version}",
        "New rows": f"{args.predictions_artifact}, {len(batch)} rows",
        "Compared with": f"{version.tags['train_artifact']}, {len(train)} rows; predictions with "
        f"those for {version.tags['test_artifact']}, {len(test)} rows",
    }
    report = make_report(
        about, reasons, scores, table, limits, figures | {"Metrics over time": history}
    )
    mlflow.log_text(report, "report.html")
    mlflow.log_text(table.to_csv(index=False), "drift.csv")
    mlflow.set_tag("verdict", summarize(reasons, most=len(reasons)))
    print(summarize(reasons))


def version_of(batch: pd.DataFrame, name: str) -> ModelVersion:
    """The version of the registered model that the predictions are of.

    Raises:
        UserError: There are no rows, they are of no version or of several, or it is not known
            what the version was trained on.
    """
    if batch.empty:
        raise UserError("There are 0 predictions: nothing to monitor. Score some rows first.")
    found = batch.get("model_version", pd.Series(dtype="object")).unique()
    if len(found) != 1 or "prediction" not in batch:
        raise UserError(
            f"The predictions are of the model versions {[*found]}, with the columns "
            f"{list(batch.columns)}: there have to be `prediction`, and `model_version` with one "
            "value. Make them with batch_scoring."
        )
    version = find_version(f"models:/{name}/{found[0]}")
    if lacking := {"train_artifact", "test_artifact", "mae"} - version.tags.keys():
        raise UserError(
            f"Version {version.version} of {name} has no tags {sorted(lacking)}, so what to "
            "compare with is not known. Register it with evaluation, or set them."
        )
    return version


def draw(
    table: pd.DataFrame,
    reasons: pd.Series,
    references: dict[str, pd.DataFrame],
    batch: pd.DataFrame,
    max_psi: float,
) -> dict[str, Figure]:
    """The figures of the report: PSI, predictions, and the columns that are reason for an alarm."""
    psi = table.set_index("column")["psi"].dropna()
    shown = [name for name in psi.index if name == "prediction" or name in reasons.index]
    return {"PSI by column": psi_figure(psi, max_psi)} | {
        f"Values of {name}": shares_figure(references[name][name], batch[name]) for name in shown
    }


def log_metrics(
    table: pd.DataFrame, reasons: pd.Series, scores: dict[str, float], rows: int
) -> None:
    """Log what was found; `alarm` is 1 if there is a reason for one."""
    columns = table.set_index("column")
    found = {
        "alarm": int(len(reasons) > 0),
        "drifted_columns": reasons.index.drop("performance", errors="ignore").nunique(),
        "max_psi": columns["psi"].max(),
        **scores,
        "rows": rows,
    }
    names = plain_names(columns.index)
    for kind in ("psi", "missing", "unseen"):
        found |= {f"{kind}.{names[name]}": value for name, value in columns[kind].dropna().items()}
    mlflow.log_metrics({name: value for name, value in found.items() if pd.notna(value)})


def log_history(model: str) -> pd.DataFrame:
    """Let the run's metrics have those of the runs before it, so that MLflow draws them over time.

    Returns:
        The metrics OVER_TIME by the time of the run, the oldest first; this run's are the last.
    """
    client, run = mlflow.MlflowClient(), mlflow.active_run()
    past = client.search_runs(
        [run.info.experiment_id],
        f"tags.{MONITORED} = '{model}' and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        max_results=MOST_BATCHES,
    )
    mlflow.set_tag(MONITORED, model)
    runs = [*past[::-1], client.get_run(run.info.run_id)]
    # This run's own values are at step 0: the others come before
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions_artifact", required=True, help="new rows, as name:version")
    parser.add_argument("--registered_model", required=True, help="its name in the registry")
    parser.add_argument("--max_psi", type=float, required=True, help="limit of a column")
    parser.add_argument("--significance", type=float, required=True, help="probability")
    parser.add_argument("--max_new_missing", type=float, required=True, help="share of the rows")
    parser.add_argument("--max_unseen_share", type=float, required=True, help="share of values")
    parser.add_argument("--max_mae_ratio", type=float, required=True, help="times the test error")
    launch(go, parser)
