"""The model card: what a version of a registered model is, as MLflow shows it, in Markdown.

After "Model Cards for Model Reporting", https://arxiv.org/abs/1810.03993.
"""

from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from _utils.models.lineage import lineage
from _utils.tabular.contract import Contract
from _utils.tabular.wording import number, shown


def describe_version(
    version: ModelVersion, contract: Contract, tested_on: str, run: Run
) -> ModelVersion:
    """Make the card the description of a version; returns the version with it.

    Args:
        version: The version, with its tags.
        contract: The contract of the model.
        tested_on: The test data, `name:version`.
        run: The run that evaluated it, as it is now.
    """
    made_from = lineage(version.tags["artifact"]) if "artifact" in version.tags else {}
    card = as_card(version, contract, tested_on, [*made_from.values()], run)
    return MlflowClient().update_model_version(version.name, version.version, card)


def as_card(
    version: ModelVersion, contract: Contract, tested_on: str, made_from: list[str], run: Run
) -> str:
    """The card: what it predicts, its scores, what it was made from, how to load it."""
    page = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    unit = f", in {contract.unit}" if contract.unit else ""
    features = ", ".join(f"`{name}`" for name in contract.features)
    return "\n".join(
        [
            f"Predicts `{contract.target}` ({contract.task}{unit}) from {features}. "
            "`contract.yaml` in the model's folder says what each column is, and may hold.",
            "",
            *scores_table(run.data.metrics),
            "",
            f"Tested on `{tested_on}`; the baseline always predicts what is most usual.",
            f"Figures, and scores by group: [the run that evaluated it]({page}).",
            f"Made from: {', '.join(f'`{each}`' for each in made_from) or 'unknown'}.",
            "",
            "```python",
            f'model = mlflow.pyfunc.load_model("models:/{version.name}/{version.version}")',
            "```",
        ]
    )


def scores_table(metrics: Mapping[str, float]) -> list[str]:
    """The metrics that have a baseline, as lines of a table, with the intervals that are known."""
    lines = ["| metric | test data | 95 % interval | baseline |", "|---|---|---|---|"]
    for name, value in metrics.items():
        if f"baseline_{name}" in metrics:
            ends = [metrics[end] for end in (f"{name}_low", f"{name}_high") if end in metrics]
            within = " to ".join(map(number, ends))
            usual = number(metrics[f"baseline_{name}"])
            lines.append(f"| {shown(name)} | {number(value)} | {within} | {usual} |")
    return lines
