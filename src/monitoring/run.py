"""Compare new rows with the data that their model was trained on, and give a verdict."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # src/, where _utils lies

import mlflow
import pandas as pd
from history import (
    INPUT,
    MONITORED,
    VERSION,
    earlier_model,
    input_of,
    log_history,
    print_progress,
    runs_before,
)
from mlflow.entities.model_registry import ModelVersion

from _utils.artifacts import use_artifact
from _utils.component import launch, scratch_folder
from _utils.errors import UserError
from _utils.masking import masked
from _utils.models import load_model
from _utils.models.registry import fetch_model, find_version
from _utils.tabular.contract import Contract, contract_of
from _utils.tabular.convert import to_parquet
from _utils.tabular.drift.batch import (
    classes_as_text,
    compare_all,
    figures_of,
    labelled_rows,
    metrics_of,
)
from _utils.tabular.drift.figures import history_figure
from _utils.tabular.drift.labels import columns_of, join_labels
from _utils.tabular.drift.performance import OnTest, performance
from _utils.tabular.drift.report import make_report, why_unknown
from _utils.tabular.drift.verdict import judge, summarize
from _utils.tabular.fetch import fetch
from _utils.tabular.intervals import standard_error
from _utils.tabular.predictions import PREDICTION, predict
from _utils.tabular.scores import check_metric
from _utils.tabular.tables import read_table

LIMITS = ["max_psi", "significance", "max_new_missing", "max_unseen_share", "max_loss_ratio"]


@dataclass
class Rows:
    """What is compared: the new rows and those of the model, and what it predicts for them."""

    train: pd.DataFrame
    test: pd.DataFrame
    batch: pd.DataFrame
    predictions: pd.DataFrame  # of the batch
    test_predictions: pd.DataFrame
    labels: str  # where the labels come from, in words


def go(args: argparse.Namespace) -> None:
    """Fetch, compare, judge, publish."""
    scored = use_artifact(args.predictions_artifact)
    heads = read_table(scored, [PREDICTION, VERSION, INPUT])
    past, version = runs_before(args.registered_model), version_of(heads, args.registered_model)
    folder = fetch_model(version)
    contract = contract_of(folder)
    test_score = score_on_test(version, check_metric(args.metric, contract))
    earlier = earlier_model(past, input_of(heads), version, contract)
    rows = read_rows(scored, version, load_model(folder), contract, args.labels_url)

    table = compare_all(rows.train, rows.test, rows.batch, contract)
    unseen, seen_rows = labelled_rows(rows.batch, rows.train, contract)
    predicted, of_unseen = rows.predictions.loc[unseen.index], unseen[contract.target]
    on_test = OnTest(
        test_score,
        standard_error(args.metric, contract, rows.test[contract.target], rows.test_predictions),
        len(rows.test),
    )
    limits = {name: getattr(args, name) for name in LIMITS}
    scores = performance(
        args.metric, contract, of_unseen, predicted, on_test, limits["significance"]
    )
    scores["seen_rows"] = seen_rows
    reasons = judge(table, args.metric, scores, len(rows.batch), **limits)
    table["alarm"] = table["column"].isin(reasons.index).map({True: "yes", False: ""})

    mlflow.log_metrics(metrics_of(table, reasons, scores, len(rows.batch)))
    mlflow.log_text(table.to_csv(index=False), "drift.csv")
    figures = figures_of(table, reasons, rows.train, rows.test, rows.batch, args.max_psi)
    figures["Metrics over time"] = history_figure(log_history(past))
    about = describe(args.predictions_artifact, version, rows, scores)
    mlflow.log_text(make_report(about, reasons, scores, table, limits, figures), "report.html")
    tags = {MONITORED: version.name, VERSION: version.version, INPUT: input_of(heads)}
    verdict = [summarize(reasons, most=len(reasons)), *why_unknown(scores)]
    mlflow.set_tags(tags | {"verdict": ". ".join(verdict)})
    print(summarize(reasons), *verdict[1:], sep=". ")
    if len(reasons) and not scores["labelled_rows"] + seen_rows:
        print(f"The new rows have no {contract.target}: add it before you retrain with them")
    if earlier:
        print_progress(*earlier, args.metric, contract, unseen, rows.predictions)


def read_rows(
    scored: Path, version: ModelVersion, model: Any, contract: Contract, labels_url: str | None
) -> Rows:
    """The rows that the model was trained and tested on, and the new ones with their labels."""
    train = read_table(use_artifact(version.tags["train_artifact"]))
    test = read_table(use_artifact(version.tags["test_artifact"]))
    predicted = predict(model, test)
    test[PREDICTION] = predicted[PREDICTION]
    # Other columns of the predictions may have any type
    columns = [*train, *contract.columns, *predicted, VERSION, INPUT]
    batch, where = read_table(scored, dict.fromkeys(columns)), "in the predictions"
    predictions = batch[[name for name in predicted if name in batch]]
    if labels_url:
        source = scratch_folder() / "labels.parquet"
        to_parquet(fetch(labels_url, scratch_folder() / "labels"), source)
        labels = read_table(source, columns_of(contract))
        batch, joined = join_labels(batch, labels, contract)
        where = f"{joined} from {masked(labels_url)}"
        print(f"{joined} of {len(batch)} rows got a label from {masked(labels_url)}")
    train, test, batch = (classes_as_text(each, contract) for each in (train, test, batch))
    return Rows(train, test, batch, predictions, predicted, where)


def describe(
    artifact: str, version: ModelVersion, rows: Rows, scores: dict[str, float]
) -> dict[str, str]:
    """What is compared with what, for the report."""
    return {
        "Model": f"{version.name}, version {version.version}",
        "New rows": f"{artifact}, {len(rows.batch)} rows",
        "Compared with": f"{version.tags['train_artifact']}, {len(rows.train)} rows; predictions "
        f"with those for {version.tags['test_artifact']}, {len(rows.test)} rows",
        "Labels": f"{scores['labelled_rows']} of rows that the model was not trained on; "
        f"{scores['seen_rows']} of rows that it was trained on, which do not count "
        f"(labels {rows.labels})",
    }


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
    if lacking := {"train_artifact", "test_artifact"} - version.tags.keys():
        raise UserError(
            f"Version {version.version} of {name} lacks the tags {sorted(lacking)}, which name the "
            "data to compare with. Register the version with evaluation, or set the tags."
        )
    return version


def score_on_test(version: ModelVersion, metric: str) -> float:
    """The metric of the version on the test data.

    Raises:
        UserError: It is not on record.
    """
    if metric not in version.tags:
        raise UserError(
            f"Version {version.version} of {version.name} has no tag {metric}, which is the metric "
            "on the test data. Set deployment.metric to one that it has, or evaluate it again: "
            "mlflow run . -P hydra_options=main.rerun=[evaluation]."
        )
    return float(version.tags[metric])


if __name__ == "__main__":
    launch(go)
