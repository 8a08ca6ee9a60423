"""Score the model on data that it has not seen, and promote it if it beats the champion."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # src/, where _utils lies

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from _utils.artifacts import current_run_id, use_artifact
from _utils.component import launch
from _utils.models import load_model
from _utils.models.card import describe_version
from _utils.models.lineage import check_training_data, promote, register_model
from _utils.models.registry import CHALLENGER, CHAMPION, check_model_name, fetch_model, find_version
from _utils.tabular.comparisons import baseline, scores_by
from _utils.tabular.contract import FILE, Contract, contract_of
from _utils.tabular.figures import figures_of, importance_figure
from _utils.tabular.importance import importance_of
from _utils.tabular.intervals import interval
from _utils.tabular.names import plain_names
from _utils.tabular.predictions import predict
from _utils.tabular.promotion import Terms, decide_promotion, unseen_rows
from _utils.tabular.scores import score, scores
from _utils.tabular.tables import read_table
from _utils.tabular.wording import shown_loss

MOST_BARS = 30


@dataclass(frozen=True)
class Candidate:
    """The model to evaluate, its contract, and the rows to test it on."""

    model: Any
    contract: Contract
    test: pd.DataFrame

    @property
    def actual(self) -> pd.Series:
        """The labels of the rows."""
        return self.test[self.contract.target]


def go(args: argparse.Namespace) -> None:
    """Fetch, score, publish; and promote the model if it is good enough."""
    check_model_name(args.registered_model)
    check_training_data(args.model_artifact, args.train_artifact)
    folder = use_artifact(args.model_artifact)
    contract = contract_of(folder)
    terms = Terms(args.metric, args.direction, args.min_improvement, args.limits or {})
    terms.check(contract)
    train = read_table(use_artifact(args.train_artifact))
    test = read_table(use_artifact(args.test_artifact))
    candidate = Candidate(load_model(folder), contract, test)

    predictions = predict(candidate.model, test)
    measured = log_scores(candidate, predictions, args.metric)
    guess = baseline(contract, train[contract.target], test.index)
    for name, value in scores(contract, candidate.actual, guess).items():
        mlflow.log_metric(f"baseline_{name}", value)
    log_importance(candidate, args.metric)
    if args.scores_by:
        table = scores_by(contract, test, candidate.actual, predictions, by=args.scores_by)
        column = plain_names([args.scores_by])[args.scores_by]
        mlflow.log_text(table.to_csv(index=False), f"scores_by_{column}.csv")
    promoted, reason = register_and_compare(args, candidate, terms, measured)
    mlflow.set_tag("promotion", reason)
    print(f"{'Promoted' if promoted else 'Did not promote'} {reason}")


def log_scores(candidate: Candidate, predictions: pd.DataFrame, metric: str) -> dict[str, float]:
    """Log the scores, the interval of the main one, and the figures.

    Returns:
        The scores.
    """
    of_rows = (candidate.contract, candidate.actual, predictions)
    measured = scores(*of_rows)
    mlflow.log_metrics(measured)
    if ends := interval(metric, *of_rows):
        mlflow.log_metrics({f"{metric}_low": ends[0], f"{metric}_high": ends[1]})
    for name, figure in figures_of(*of_rows).items():
        mlflow.log_figure(figure, f"{name}.png")
    return measured


def log_importance(candidate: Candidate, metric: str) -> None:
    """Log how much each column matters, unless the rows leave the metric undefined."""
    table = importance_of(candidate.model, candidate.contract, candidate.test, metric)
    if len(table):
        bars = table.set_index("column")["importance"].head(MOST_BARS)
        label = f"Increase of {shown_loss(metric)} when the column is shuffled"
        mlflow.log_figure(importance_figure(bars, label), "feature_importance.png")
        mlflow.log_text(table.to_csv(index=False), "feature_importance.csv")


def register_and_compare(
    args: argparse.Namespace, candidate: Candidate, terms: Terms, measured: dict[str, float]
) -> tuple[bool, str]:
    """Register the model as challenger, and promote it if there is no better champion."""
    of_data = {"train_artifact": args.train_artifact, "test_artifact": args.test_artifact}
    tags = of_data | {name: f"{value:.6g}" for name, value in measured.items()}
    challenger = register_model(args.model_artifact, args.registered_model, tags)
    evaluated = MlflowClient().get_run(current_run_id())
    challenger = describe_version(challenger, candidate.contract, args.test_artifact, evaluated)
    uri = f"models:/{args.registered_model}@{CHAMPION}"
    while True:
        champion = find_version(uri)
        if champion and champion.version == challenger.version:
            return False, f"version {champion.version}: it is the champion already"
        rivals = None
        if champion:
            folder = fetch_model(champion)
            if why := difference(candidate.contract, folder):
                return False, f"version {challenger.version}: {why} {by_hand(challenger)}"
            rivals = beside_champion(champion, load_model(folder), candidate, terms.metric)
        promoted, reason = decide_promotion(candidate.contract, terms, measured, rivals)
        if not promoted:
            if champion and (columns := excluded(candidate.contract, folder)):
                reason += f". The champion uses {columns}, which the contract now excludes. "
                reason += by_hand(challenger)
            return False, f"version {challenger.version}: {reason}"
        if promote(challenger, reason, instead_of=champion):
            return True, f"version {challenger.version}: {reason}"
        # Another pipeline has promoted its model in the meantime: compare with that model


def difference(contract: Contract, champion: Path) -> str:
    """Why a model cannot be compared with the champion in this folder; empty if it can."""
    if not (champion / FILE).exists():
        return f"the champion has no {FILE}, so the two cannot be compared."
    other = contract_of(champion)
    if (other.target, other.task) == (contract.target, contract.task):
        return ""
    return (
        f"it predicts '{contract.target}' ({contract.task}), the champion '{other.target}' "
        f"({other.task}), so the two cannot be compared."
    )


def excluded(contract: Contract, champion: Path) -> list[str]:
    """The features of the champion in this folder that the contract has no longer."""
    return [name for name in contract_of(champion).features if name not in contract.features]


def by_hand(challenger: ModelVersion) -> str:
    """How to go on with a model that is not compared, or on other terms."""
    return (
        f"To use it: mlflow run . -e promote -P version={challenger.version}. To keep both, set "
        "another deployment.registered_model"
    )


def beside_champion(
    champion: ModelVersion, model: Any, candidate: Candidate, metric: str
) -> dict[str, float | None]:
    """The metric of champion and challenger on test rows that neither has seen."""
    rows = candidate.test
    if seen := champion.tags.get("train_artifact"):
        rows = unseen_rows(rows, read_table(use_artifact(seen)))
    if rows.empty:
        return {}
    contract, rivals = candidate.contract, {CHAMPION: model, CHALLENGER: candidate.model}
    values = {
        name: score(metric, contract, rows[contract.target], predict(rival, rows))
        for name, rival in rivals.items()
    }
    mlflow.log_metrics(
        {f"{name}_{metric}": value for name, value in values.items() if value is not None}
    )
    return values


if __name__ == "__main__":
    launch(go)
