"""Publish a model of any flavor of MLflow, and load it again."""

import shutil
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput
from mlflow.models import Model, infer_signature

from _utils.artifacts import MODEL_TYPE, current_run_id, log_artifact, use_artifact
from _utils.artifacts.digests import digest_of
from _utils.artifacts.index import Artifact, check_name, find_artifact
from _utils.errors import UserError
from _utils.models.registry import DIGEST

CONTRACT, CONTRACT_TYPE = "contract.yaml", "contract"
FLAVORS = {"torch": "pytorch"}  # where MLflow's name is not that of the library
# What loading a model needs beside its own library. Without a list MLflow takes seconds to infer it
PACKAGES = {"sklearn": ["scikit-learn", "skops"]}
# What skops may load in models of scikit-learn, besides the types that it trusts by default
TRUSTED_TYPES = [
    "numpy.dtype",
    "operator.methodcaller",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
]


def log_model(
    model: Any, *, name: str, example: pd.DataFrame, description: str = "", **options: Any
) -> Artifact:
    """Publish a model of the current run, as an MLflow model and as an artifact of that name.

    It is stored and loaded again, so that a model which cannot be loaded is not published.

    Args:
        model: A fitted model of a library that MLflow knows, or a `mlflow.pyfunc.PythonModel`.
        name: The name of both.
        example: Rows with the features of the model; the signature comes from them, and the first
            five are stored with the model.
        description: One sentence for the reader.
        options: Other arguments of the flavor's `save_model`.

    Raises:
        UserError: MLflow has no flavor for the model, or the stored model predicts otherwise.
    """

    def save(folder: Path, about: Model) -> None:
        _save(model, folder, example, {"mlflow_model": about, **options})

    return publish(save, name, description)


def publish(save: Callable[[Path, Model], None], name: str, description: str) -> Artifact:
    """Publish the model that `save` writes into a folder: see `log_model`.

    The contract that the run has used, if any, goes into the model's folder, for all who use the
    model later. The digest is that of the files as they were saved here. MLflow's own `log_model`
    leaves them only in the artifact store, where others may be able to write.
    """
    client, folder = MlflowClient(), Path(tempfile.mkdtemp(prefix="model-")) / check_name(name)
    run = client.get_run(current_run_id())
    logged = mlflow.initialize_logged_model(name, params=run.data.params)
    save(folder, Model(run_id=run.info.run_id, model_id=logged.model_id))
    if contract := _contract_of_run(run.data.tags):
        shutil.copyfile(contract, folder / CONTRACT)
    client.log_model_artifacts(logged.model_id, str(folder))
    mlflow.finalize_logged_model(logged.model_id, "READY")
    mlflow.log_outputs([LoggedModelOutput(logged.model_id, step=0)])
    mlflow.log_metrics(run.data.metrics, model_id=logged.model_id)
    client.set_logged_model_tags(logged.model_id, {DIGEST: digest_of(folder)})
    return log_artifact(
        folder, name=name, uri=logged.artifact_location, type=MODEL_TYPE, description=description
    )


def load_model(folder: Path) -> Any:
    """A model from its folder: of scikit-learn the model itself, else MLflow's wrapper around it.

    The folder is a verified copy, as `use_artifact` and `fetch_model` make it.
    """
    flavors = Model.load(str(folder)).flavors
    return (mlflow.sklearn if "sklearn" in flavors else mlflow.pyfunc).load_model(str(folder))


def _save(model: Any, folder: Path, example: pd.DataFrame, options: dict[str, Any]) -> None:
    rows = example.head(5)
    options = {"path": str(folder), "input_example": rows, **options}
    if isinstance(model, mlflow.pyfunc.PythonModel):
        mlflow.pyfunc.save_model(python_model=model, **options)  # MLflow tries the example
        return
    flavor, library = _flavor_of(model)
    if library == "sklearn":
        options = {"skops_trusted_types": TRUSTED_TYPES, **options}
    if pinned := _requirements(library):
        options = {"pip_requirements": pinned, **options}
    predicted = model.predict(example)
    options = {"signature": infer_signature(example, predicted), **options}
    flavor.save_model(model, **options)
    if library == "sklearn" and "serialization_format" not in options:
        return  # in the format skops, MLflow has just loaded it, which takes as long as training
    if not _alike(load_model(folder).predict(rows), predicted[: len(rows)]):
        raise UserError(
            f"The model {type(model).__name__} predicts otherwise after it was stored and loaded: "
            "it keeps something that its flavor does not save. Use another flavor of MLflow."
        )


def _flavor_of(model: Any) -> tuple[ModuleType, str]:
    """MLflow's module for this model, and the name of the library that the model is of."""
    for ancestor in type(model).__mro__:
        library = ancestor.__module__.partition(".")[0]
        flavor = getattr(mlflow, FLAVORS.get(library, library), None)
        if hasattr(flavor, "save_model"):
            return flavor, library
    raise UserError(
        f"MLflow has no flavor for a model of the type {type(model).__name__}. Wrap it in a "
        "mlflow.pyfunc.PythonModel."
    )


def _requirements(library: str) -> list[str]:
    pinned = []
    for package in [*PACKAGES.get(library, [library]), "pandas", "numpy"]:
        try:
            pinned.append(f"{package}=={version(package)}")
        except PackageNotFoundError:
            return []  # another name than that of its module: MLflow infers it
    return pinned


def _alike(one: Any, other: Any) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    if one.dtype.kind == other.dtype.kind == "f":
        return np.allclose(one, other, equal_nan=True)
    return np.array_equal(one, other)


def _contract_of_run(tags: dict[str, str]) -> Path | None:
    """The contract among the inputs of the run."""
    for key, digest in tags.items():
        if key.startswith("input."):
            artifact = find_artifact(key.removeprefix("input."), digest)
            if artifact.type == CONTRACT_TYPE:
                return use_artifact(artifact.reference)
    return None
