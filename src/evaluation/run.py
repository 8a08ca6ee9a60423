"""Score the model on data that it has not seen, and promote it if it beats the champion."""

import argparse
import sys
import tempfile
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
from _utils.tabular.contract import FILE, Contract, contract_of
from _utils.tabular.evaluation import evaluate
from _utils.tabular.evaluation_page import make_page
from _utils.tabular.predictions import predict
from _utils.tabular.promotion import Terms, decide_promotion, unseen_rows
from _utils.tabular.scores import score
from _utils.tabular.tables import read_table


@dataclass(frozen=True)
class Candidate:
    """The model to evaluate, its contract, and the rows to test it on."""

    model: Any
    contract: Contract
    test: pd.DataFrame


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

    evaluation = evaluate(
        candidate.model, contract, train[contract.target], test, args.metric, args.scores_by
    )
    mlflow.log_metrics(evaluation.metrics)
    log_files(evaluation.files)

    promoted, reason = register_and_compare(args, candidate, terms, evaluation.scores)
    decision = f"{'Promoted' if promoted else 'Did not promote'} {reason}"
    mlflow.set_tag("promotion", decision)
    about = {
        "Model": args.registered_model,
        "Artifact": args.model_artifact,
        "Trained on": f"{args.train_artifact}, {len(train):,} rows",
        "Tested on": f"{args.test_artifact}, {len(test):,} rows",
        "Target": f"{contract.target} ({contract.task})",
    }
    metrics = MlflowClient().get_run(current_run_id()).data.metrics  # with the champion's
    mlflow.log_text(make_page(about, promoted, decision, evaluation, metrics), "evaluation.html")
    print(decision)


def log_files(files: dict[str, bytes]) -> None:
    """Log these files as artifacts of the run."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        mlflow.log_artifacts(folder)


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
            still = f" (version {champion.version} is still the champion)" if champion else ""
            return False, f"version {challenger.version}{still}: {reason}"
        if promote(challenger, reason, instead_of=champion):
            place = f" in place of version {champion.version}" if champion else ""
            return True, f"version {challenger.version}{place}: {reason}"
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
