"""Environment variables: what main.py tells the processes that it starts, and how they read it.

MLpipeline.md has the table of them ("Environment variables"); a test holds it complete.
"""

import os

# Variables of this project's own; all others are MLflow's, W&B's, Python's or the system's
OWN = {
    "ARTIFACT_STORE": "main.artifact_store: where new artifacts go",
    "STORAGE_URL": "main.storage_url, as a URL",
    "ARTIFACTS_PINNED": "true if main.py has given each input its version",
    "SWEEP_RUN_ID": "the run of the sweep that this process runs a job of",
    "SERVED_STORE": "the kind of database that the pipeline's own tracking server serves",
    "MLFLOW_UI": "the address that `mlflow ui` will have",
}


def tell(name: str, value: str | None, *, unless_set: bool = False) -> None:
    """Let this process and all that it starts have a variable; None takes it away."""
    if value is None:
        os.environ.pop(name, None)
    elif not (unless_set and name in os.environ):
        os.environ[name] = value


def told(name: str, default: str = "") -> str:
    """The value of a variable; `default` if it is not set."""
    return os.environ.get(name, default)
