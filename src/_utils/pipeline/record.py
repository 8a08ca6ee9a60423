"""What a pipeline's run records of its config and of its command line, without secrets."""

import hashlib
import re
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from _utils.variables import recorded

OVERRIDES = "overrides"  # tag: what was typed, as a JSON list
VALUES = "config_values"  # tag: a digest of the config but for the section `main`
MAX_KEY = 250  # characters, MLflow's limit


def digest_of_values(config: DictConfig) -> str:
    """A digest by which runs with the same values are found; of `main` they may have other ones."""
    values = OmegaConf.masked_copy(config, [key for key in config if key not in ("main", "hydra")])
    return hashlib.sha256(OmegaConf.to_yaml(values, sort_keys=True).encode()).hexdigest()


def typed_overrides() -> list[str]:
    """The overrides of this run's command line without secrets, and with ${...} as it is."""
    return recorded(OmegaConf.to_container(HydraConfig.get().overrides.task))


def as_params(overrides: list[str]) -> dict[str, str]:
    """Overrides as parameters of a run; one that takes a key away (`~`) has no value."""
    pairs = [item.lstrip("+").split("=", 1) for item in overrides if re.match(r"[^~]+=", item)]
    # As `group@package` has other characters than MLflow takes
    return {re.sub(r"[^\w./-]", "_", key)[:MAX_KEY]: value for key, value in pairs}


def name_of(steps: Any, typed: list[str]) -> str:
    """What a pipeline's run is called: its steps, and what was typed but for the section `main`."""
    names = (
        "all steps" if steps == "all" else ", ".join([steps] if isinstance(steps, str) else steps)
    )
    values = [re.sub(r"^[^=]*\.", "", each) for each in typed if not each.startswith("main.")]
    return ", ".join([f"pipeline: {names}", *values])[:MAX_KEY]


def as_record(values: dict[str, Any]) -> str:
    """The values of a config as YAML, without secrets."""
    return yaml.safe_dump(recorded(values), sort_keys=False, allow_unicode=True)
