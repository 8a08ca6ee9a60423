"""Compare new rows with what their model was trained on: one verdict, with its reasons."""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # src/, where _utils lies

import mlflow
import pandas as pd
from matplotlib.figure import Figure
from mlflow.entities import Metric, Run
from mlflow.entities.model_registry import ModelVersion
from sklearn.pipeline import Pipeline

from _utils.artifacts import use_artifact
from _utils.component import launch, plain_names
from _utils.errors import UserError
from _utils.example.chunks import OWN
from _utils.example.drift import CATEGORY, NUMBER, TEXT, compare, performance
from _utils.example.drift_figures import history_figure, psi_figure, shares_figure
from _utils.example.drift_report import make_report
from _utils.example.model import CATEGORICAL, NUMERIC, TARGET, features_of, predict
from _utils.example.model import TEXT as TEXT_COLUMN
from _utils.example.promotion import unseen_rows
from _utils.example.scoring import predict as predict_each
from _utils.example.verdict import judge, summarize
from _utils.models.registry import SCHEME, fetch_model, find_version
from _utils.tabular.tables import read_table

KINDS = dict.fromkeys(NUMERIC, NUMBER) | dict.fromkeys(CATEGORICAL, CATEGORY) | {TEXT_COLUMN: TEXT}
LIMITS = ["max_psi", "significance", "max_new_missing", "max_unseen_share", "max_mae_ratio"]
MONITORED, VERSION, INPUT = "monitored_model", "model_version", "input_version"  # tags of the run
OVER_TIME = ["alarm", "drifted_columns", "max_psi", "mae_ratio"]
MOST_BATCHES = 100  # MLflow takes 1000 metrics at a time


def go(args: argparse.Namespace) -> None:
    """Fetch, compare, judge, publish."""
    scored = use_artifact(args.predictions_artifact)
    predictions, past = read_table(scored, OWN), runs_before(args.registered_model)
    version = version_of(predictions, args.registered_model)
    earlier = earlier_model(past, predictions, version)
    train = read_table(use_artifact(version.tags["train_artifact"]))
    batch = read_table(scored, [*train, *OWN])  # it may have more, of any kind
    test = read_table(use_artifact(version.tags["test_artifact"]))
    # What a forest predicts for the rows it was trained on is nearly the truth, which it never is
    # for new rows: so predictions are compared with those for rows that it has not seen.
    model = mlflow.sklearn.load_model(str(fetch_model(version)))
    test["prediction"] = predict(model, test)

    kinds = {name: KINDS.get(name) or kind_of(train[name]) for name in features_of(model)}
    pairs = [(train, kinds), (test, {"prediction": NUMBER})]
    table = pd.concat([compare(frame, batch, kinds) for frame, kinds in pairs], ignore_index=True)
    labelled = batch[batch[TARGET].notna()] if TARGET in batch else batch.head(0)
    unseen = unseen_rows(labelled.drop(columns=OWN, errors="ignore"), train)
    actual = unseen.get(TARGET, pd.Series(dtype="float64"))
    scores = performance(actual, batch["prediction"], float(version.tags["mae"]))
    scores["seen_rows"] = len(labelled) - len(unseen)
    limits = {name: getattr(args, name) for name in LIMITS}
    reasons = judge(table, scores, len(batch), **limits)
    table["alarm"] = table["column"].isin(reasons.index).map({True: "yes", False: ""})
    log_metrics(table, reasons, scores, rows=len(batch))
    references = dict.fromkeys(kinds, train) | {"prediction": test}
    figures = draw(table, reasons, references, batch, args.max_psi)
    history = history_figure(log_history(past))
    about = {
        "Model": f"{version.name}, version {version.version}",
        "New rows": f"{args.predictions_artifact}, {len(batch)} rows",
        "Compared with": f"{version.tags['train_artifact']}, {len(train)} rows; predictions with "
        f"those for {version.tags['test_artifact']}, {len(test)} rows",
        "Labels": f"{scores['labelled_rows']}, of rows that the model was not trained on; those of "
        f"{scores['seen_rows']} rows that it was trained on do not count",
    }
    report = make_report(
        about, reasons, scores, table, limits, figures | {"Metrics over time": history}
    )
    mlflow.log_text(report, "report.html")
    mlflow.log_text(table.to_csv(index=False), "drift.csv")
    tags = {MONITORED: version.name, VERSION: version.version, INPUT: input_of(batch)}
    mlflow.set_tags(tags | {"verdict": summarize(reasons, most=len(reasons))})
    print(summarize(reasons))
    if earlier:
        tell_progress(*earlier, unseen, batch["prediction"])


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


def kind_of(column: pd.Series) -> str:
    """What a column is that the model knows and today's FEATURES do not."""
    return NUMBER if pd.api.types.is_numeric_dtype(column) else CATEGORY


def input_of(batch: pd.DataFrame) -> str:
    """The version of what batch_scoring was given."""
    return str(batch[INPUT].iloc[0]) if INPUT in batch else ""


def earlier_model(
    past: list[Run], batch: pd.DataFrame, version: ModelVersion
) -> tuple[str, Pipeline, pd.DataFrame] | None:
    """Another version whose predictions for the same rows were monitored before, if there is one.

    Returns:
        Its number, the model, and what it was trained on.
    """
    rows = input_of(batch)
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


def tell_progress(
    number: str, earlier: Pipeline, train: pd.DataFrame, unseen: pd.DataFrame, now: pd.Series
) -> None:
    """Tell the errors of an earlier version and of this one, on rows that neither has seen."""
    rows = unseen_rows(unseen, train)
    predicted, _ = predict_each(earlier, rows[features_of(earlier)])
    if predicted.empty:
        return
    rows = rows.loc[predicted.index]
    before = (predicted - rows[TARGET]).abs().mean()
    after = (now[rows.index] - rows[TARGET]).abs().mean()
    mlflow.log_metric("mae_before", before)
    print(
        f"MAE on unseen rows {before:.2f} -> {after:.2f} ({len(rows)} rows, since version {number})"
    )


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


def runs_before(model: str) -> list[Run]:
    """The runs that monitored the model before this one, the oldest first."""
    return mlflow.MlflowClient().search_runs(
        [mlflow.active_run().info.experiment_id],
        f"tags.{MONITORED} = '{model}' and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        max_results=MOST_BATCHES,
    )[::-1]


def log_history(past: list[Run]) -> pd.DataFrame:
    """Let the run's metrics have those of the runs before it, so that MLflow draws them over time.

    Returns:
        The metrics OVER_TIME by the time of the run, the oldest first; this run's are the last.
    """
    client, run = mlflow.MlflowClient(), mlflow.active_run()
    runs = [*past, client.get_run(run.info.run_id)]
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
    launch(go)
