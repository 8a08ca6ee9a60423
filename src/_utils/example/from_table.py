"""A new project from a table: its data are checked, its contract inferred, its values found."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from _utils.errors import UserError
from _utils.masking import has_password

# Parts of a URL by which a store lets in whoever has it
SIGNATURE = re.compile(r"[?&;](x-(amz|goog|ms)-|awsaccesskeyid=|[^=&;]*credential=)", re.IGNORECASE)
MAE, ROC_AUC = ("mae", "minimize"), ("roc_auc", "maximize")


@dataclass(frozen=True)
class NewTable:
    """The table of a new project."""

    data: str  # as config.yaml names it
    target: str
    contract: str  # the text of the YAML file
    settings: dict[str, Any]  # values for config.yaml that were found in the file

    def values(self, name: str) -> dict[str, Any]:
        """The values of config.yaml for a project of this name, by key."""
        is_regression = yaml.safe_load(self.contract)["task"] == "regression"
        metric, direction = MAE if is_regression else ROC_AUC
        return {
            "main.objective.metric": "train_random_forest.validation_score",
            "main.objective.direction": direction,
            "data.file_url": self.data,
            "data.contract_url": contract_file(name),
            "data.new_file_url": "",
            "cleaning.rules": "",
            "deployment.metric": metric,
            "deployment.direction": direction,
            "deployment.limits": {},
            "components.evaluation.parameters.scores_by": "",
            "components.infer_contract.parameters.target": self.target,
            **self.settings,
        }


def contract_file(name: str) -> str:
    """Where the contract of a project is."""
    return f"resources/data/{name}.contract.yaml"


def check_data(data: str, target: str, root: Path) -> str:
    """Check what was typed, before anything runs; returns the data as config.yaml names it.

    A path in the project is relative to it, any other absolute.

    Raises:
        UserError: A parameter is missing, the URL has a secret, or the file does not exist.
    """
    if not target:
        raise UserError("data needs a target. Add -P target=<name of the column to predict>.")
    if not data:
        raise UserError(f"target={target} needs data. Add -P data=<path or URL of the file>.")
    if data.startswith("${"):
        return data
    if has_password(data) or SIGNATURE.search(data):
        raise UserError(
            "data has a password or a signature, which would end up in config.yaml. Put the URL "
            "into an environment variable, and name that: -P data='${oc.env:DATA_URL}'. MLflow "
            "has recorded the URL in the run of this command; see mlflow gc."
        )
    if "://" in data:
        return data
    path = Path(os.path.normpath(root / Path(data).expanduser()))
    if not path.is_file():
        raise UserError(f"data={data}: there is no file {path}. Correct the path.")
    inside = path.is_relative_to(root)
    return (path.relative_to(root) if inside else path).as_posix()


def infer(data: str, target: str, root: Path) -> NewTable:
    """Run the component infer_contract, in its own environment, as a child of this run.

    Raises:
        UserError: It failed; its output is on the terminal.
    """
    from _utils.environment import set_defaults, tell, told

    set_defaults()  # MLflow reads its variables when it is imported
    import mlflow

    from _utils.artifacts import use_artifact
    from _utils.pipeline.component import Component
    from _utils.pipeline.execute import run_component
    from _utils.pipeline.log import Log
    from _utils.pipeline.runs import env_manager_of
    from _utils.pipeline.server import open_tracking_store
    from _utils.project import read_project

    open_tracking_store()
    launched = told("MLFLOW_RUN_ID")
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):  # else they were the component's
        tell(name, None)
    folder, name = root / "src/infer_contract", "inferred_contract.yaml"
    config = yaml.safe_load((root / "config.yaml").read_text("utf-8"))
    csv = json.dumps(config["data"]["csv"])  # what is not recognised can be set there
    parameters = {"data": data, "target": target, "name": name, "csv": csv}
    with mlflow.start_run(run_id=launched or None, run_name=None if launched else "new_project"):
        run = mlflow.active_run()
        component = Component(folder.name, folder, parameters, project=read_project(folder))
        result = run_component(component, run, env_manager_of(run), Log())
        if result.failed:
            raise UserError(
                "The table could not be read as data with that target, see above. Nothing was "
                "changed. Fix the cause, then run the same command again."
            )
        contract = use_artifact(f"{name}:{result.outputs[name]}").read_text(encoding="utf-8")
        settings = mlflow.artifacts.load_dict(f"runs:/{result.run_id}/settings.json")
    return NewTable(data, target, contract, settings)
