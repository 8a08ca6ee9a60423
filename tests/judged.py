"""What tests of evaluation and monitoring share: components in this process, and small models."""

import importlib.util
import tempfile
from argparse import Namespace
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from _utils.artifacts import log_artifact, use_artifact
from _utils.models import log_model

MONITOR = {
    "labels_url": "",
    "max_psi": 0.25,
    "significance": 0.01,
    "max_new_missing": 0.1,
    "max_unseen_share": 0.2,
    "max_loss_ratio": 1.25,
}


def run(name: str, **parameters) -> mlflow.entities.Run:
    """A component in a run of its own."""
    folder = ROOT / "src" / name
    spec = importlib.util.spec_from_file_location("run", folder / "run.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)  # as Python does with the folder of a script
        spec.loader.exec_module(module)
    with mlflow.start_run() as run:
        module.go(Namespace(**parameters))
    return mlflow.get_run(run.info.run_id)


def publish(frame: pd.DataFrame, name: str, folder: Path) -> str:
    frame.to_parquet(folder / name, index=False)
    with mlflow.start_run():
        return log_artifact(folder / name, type="data").reference


def train(model: BaseEstimator, features: list[str], data: str, contract: dict | None) -> str:
    """Train a model of numbers on an artifact, and publish it with its contract."""

    target = contract["target"] if contract else "y"
    with mlflow.start_run():
        rows = pd.read_parquet(use_artifact(data))
        if contract:
            Path(folder := tempfile.mkdtemp(), "contract.yaml").write_text(
                yaml.safe_dump(contract), encoding="utf-8"
            )
            with mlflow.start_run(nested=True):
                said = log_artifact(Path(folder, "contract.yaml"), type="contract").reference
            use_artifact(said)
        pipeline = make_pipeline(SimpleImputer(), model)
        pipeline.fit(rows[features], rows[target])
        options = {"serialization_format": "cloudpickle", "skops_trusted_types": None}
        return log_model(pipeline, name="forest", example=rows[features], **options).reference
