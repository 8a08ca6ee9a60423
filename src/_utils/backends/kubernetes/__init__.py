"""Kubernetes: a component runs as a job, in an image of `k8s/Dockerfile` and `src`."""

import importlib.util
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import yaml
from mlflow import MlflowClient

from _utils.environment import told
from _utils.internals import PROJECT_ENV, load_mlproject, run_for_project
from _utils.pipeline.component import Component

if TYPE_CHECKING:
    from _utils.backends.kubernetes.job import JobRun

PROJECTS = "/mlflow/projects"  # where the image has src
# Variables that a component needs. None holds a secret: secrets belong in the template of the job
PASSED_ON = (
    *("ARTIFACTS_PINNED", "ARTIFACT_STORE", "STORAGE_URL"),
    *("WANDB_PROJECT", "WANDB_RUN_GROUP", "WANDB_BASE_URL"),
    *("MLFLOW_LOGGING_LEVEL", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "PYTHONUNBUFFERED"),
    *("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "MLFLOW_DISABLE_TELEMETRY"),
    *("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR"),
)


def faults(component: Component) -> Iterator[str]:
    """What keeps the component from becoming a job of Kubernetes."""
    name, config = component.name, component.backend_config
    if not shutil.which("docker"):
        yield f"component '{name}': backend kubernetes needs the command docker: install Docker."
    if not importlib.util.find_spec("kubernetes"):
        yield "backend kubernetes needs a package: pip install 'kubernetes<37'."
    for key in ("kube-context", "kube-job-template-path", "repository-uri"):
        if key not in config:
            yield (
                f"component '{name}': backend kubernetes needs main.backend_config.{key}; see "
                "'Components on a cluster' in MLpipeline.md."
            )
    if component.project.env_file != component.folder / "conda.yml":
        yield f"src/{name}/MLproject: backend kubernetes needs conda_env: conda.yml."
    template = component.folder.parents[1] / config.get("kube-job-template-path", "")
    if not template.exists():
        yield f"component '{name}': there is no job template '{template}'."
    for key, value in component.of_type("url").items():
        if "://" not in value:
            yield (
                f"components.{name}.parameters.{key}: '{component.parameters[key]}' is a file "
                "of this machine, which Kubernetes cannot see: set its URL, or let the component "
                f"run here with components.{name}.backend=local."
            )


class Backend:
    """Runs the command as a job, instead of MLflow's own backend.

    MLflow's wants a docker_env in place of the conda_env of an MLproject, puts only the component's
    folder into the image, leaves a shell's quotes around parameters, and lets pods go on after
    Ctrl-C.
    """

    def run(
        self,
        project_uri: str,
        entry_point: str,
        params: dict[str, str],
        version: str | None,
        backend_config: dict[str, Any],
        tracking_uri: str,
        experiment_id: str,
    ) -> "JobRun":
        """Build and push the image, and start the job.

        Raises:
            ExecutionException: The cluster refuses the job.
            subprocess.CalledProcessError: Docker failed, and has said why.
        """
        from _utils.backends.kubernetes.job import JobRun  # needs the package kubernetes

        folder = Path(project_uri).absolute()
        run_id = run_for_project(experiment_id, project_uri, entry_point, params)
        MlflowClient().set_tag(run_id, PROJECT_ENV, "docker")
        image = push_image(folder, backend_config["repository-uri"])
        template = folder.parents[1] / backend_config["kube-job-template-path"]
        manifest = yaml.safe_load(template.read_text(encoding="utf-8"))
        letters = re.sub("[^a-z0-9]+", "-", folder.name.lower()).strip("-")  # all that it may have
        manifest["metadata"]["name"] = f"{letters[:50].rstrip('-')}-{run_id[:12]}"
        container = manifest["spec"]["template"]["spec"]["containers"][0]
        command = command_for_bash(load_mlproject(folder).get_entry_point(entry_point), params)
        variables = [
            {"name": name, "value": value}
            for name, value in variables_of(run_id, experiment_id).items()
        ]
        container |= {
            "image": image,
            "workingDir": f"{PROJECTS}/{folder.name}",
            "command": ["bash", "-c", command],
            "env": [*container.get("env", []), *variables],
        }
        return JobRun(run_id, manifest, backend_config["kube-context"])


def push_image(folder: Path, repository: str) -> str:
    """Build the image of the component in this folder, with all of `src`, and push it.

    Returns:
        The image's reference, with its digest.
    """
    tag, dockerfile = f"{repository}:{folder.name}", folder.parents[1] / "k8s/Dockerfile"
    build = ["--file", str(dockerfile), "--build-arg", f"component={folder.name}", "--tag", tag]
    subprocess.run(["docker", "build", *build, str(folder.parent)], check=True)
    subprocess.run(["docker", "push", tag], check=True)
    inspect = ["docker", "image", "inspect", "--format", '{{join .RepoDigests "\\n"}}', tag]
    digests = subprocess.run(inspect, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return next(digest for digest in digests if digest.startswith(f"{repository}@"))


def command_for_bash(entry_point: Any, params: dict[str, str]) -> str:
    """The command of an MLproject; MLflow would quote parameters for the shell of this machine."""
    values = {name: params.get(name, each.default) for name, each in entry_point.parameters.items()}
    quoted = {name: shlex.quote(str(value)) for name, value in values.items()}
    return entry_point.command.format(**quoted)


def variables_of(run_id: str, experiment_id: str) -> dict[str, str]:
    """What the environment of a pod has, beside what the template gives it."""
    # MLflow's own variable: the server's address as pods see it
    server = told("KUBE_MLFLOW_TRACKING_URI") or mlflow.get_tracking_uri()
    return {name: told(name) for name in PASSED_ON if told(name)} | {
        "MLFLOW_RUN_ID": run_id,
        "MLFLOW_EXPERIMENT_ID": experiment_id,
        "MLFLOW_TRACKING_URI": server,
    }
