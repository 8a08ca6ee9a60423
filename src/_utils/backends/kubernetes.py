"""A component as a job of Kubernetes: its image and its manifest."""

import copy
import re
import subprocess
from pathlib import Path
from typing import Any

import kubernetes
import yaml
from kubernetes.client import ApiException
from kubernetes.config import ConfigException
from mlflow import MlflowClient
from mlflow.exceptions import ExecutionException
from mlflow.projects.backend.abstract_backend import AbstractBackend
from mlflow.projects.utils import (
    get_or_create_run,
    get_run_env_vars,
    load_project,
)
from mlflow.utils.mlflow_tags import MLFLOW_PROJECT_ENV
from urllib3.exceptions import HTTPError

from _utils.backends import command_for_bash
from _utils.backends.kubernetes_run import JobRun
from _utils.environment import told

DOCKERFILE = "k8s/Dockerfile"
TEMPLATE = "kube-job-template-path"
PROJECTS = "/mlflow/projects"  # where the image has src
# Variables that a component needs, none of them a secret: those belong into the template
PASSED_ON = (
    *(
        "ARTIFACTS_PINNED",
        "ARTIFACT_STORE",
        "STORAGE_URL",
        "WANDB_PROJECT",
        "WANDB_RUN_GROUP",
        "WANDB_BASE_URL",
    ),
    *("MLFLOW_LOGGING_LEVEL", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "PYTHONUNBUFFERED"),
    *("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "MLFLOW_DISABLE_TELEMETRY"),
    *("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR"),
)


class Backend(AbstractBackend):
    """Runs the command as a job, in an image made of `k8s/Dockerfile` and `src`.

    In the place of MLflow's own, which wants a docker_env for the conda_env of an MLproject, puts
    the component's folder only into the image, leaves the quotes of a shell around parameters, and
    lets pods go on after Ctrl-C.
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
    ) -> JobRun:
        """Make and push the image, and start the job; `backend_config` is as for MLflow's own.

        Raises:
            ExecutionException: The cluster does not take the job.
            subprocess.CalledProcessError: Docker fails; it has said why.
        """
        folder, project = Path(project_uri), load_project(project_uri)
        what = (experiment_id, project_uri, version, entry_point, params)
        run_id = get_or_create_run(None, project_uri, *what).info.run_id
        MlflowClient().set_tag(run_id, MLFLOW_PROJECT_ENV, "docker")
        job = make_job(
            yaml.safe_load((folder.parents[1] / backend_config[TEMPLATE]).read_text()),
            name=name_of(folder.name, run_id),
            image=push_image(folder, backend_config["repository-uri"]),
            folder=f"{PROJECTS}/{folder.name}",
            command=command_for_bash(project.get_entry_point(entry_point), params),
            env=variables_of(run_id, experiment_id),
        )
        try:
            return start_job(job, backend_config["kube-context"], run_id)
        except (ApiException, ConfigException, HTTPError) as error:
            raise ExecutionException(f"Kubernetes takes no job: {error}") from error


def push_image(folder: Path, repository: str) -> str:
    """Build the image of the component in this folder, and push it.

    Args:
        folder: The component's, in `src`; all of `src` becomes part of the image.
        repository: Where images go, such as `registry:5000/cars`.

    Returns:
        The image's reference, with its digest.

    Raises:
        subprocess.CalledProcessError: Docker has said why.
    """
    tag = f"{repository}:{folder.name}"
    file = folder.parents[1] / DOCKERFILE
    build = ["--file", str(file), "--build-arg", f"component={folder.name}", "--tag", tag]
    subprocess.run(["docker", "build", *build, str(folder.parent)], check=True)
    subprocess.run(["docker", "push", tag], check=True)
    listed = ["docker", "image", "inspect", "--format", '{{join .RepoDigests "\\n"}}', tag]
    digests = subprocess.run(listed, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return next(digest for digest in digests if digest.startswith(f"{repository}@"))


def name_of(component: str, run_id: str) -> str:
    """A name that Kubernetes accepts, and that no other job has."""
    letters = re.sub("[^a-z0-9]+", "-", component.lower()).strip("-")
    return f"{letters[:50].rstrip('-')}-{run_id[:12]}"


def variables_of(run_id: str, experiment_id: str) -> dict[str, str]:
    """What a component is told by its environment."""
    given = {name: told(name) for name in PASSED_ON if told(name)}
    variables = given | get_run_env_vars(run_id, experiment_id)
    # MLflow's own variable: the server's address as pods see it
    inside = told("KUBE_MLFLOW_TRACKING_URI")
    return variables | ({"MLFLOW_TRACKING_URI": inside} if inside else {})


def make_job(
    template: dict[str, Any], name: str, image: str, folder: str, command: str, env: dict[str, str]
) -> dict[str, Any]:
    """The manifest of a job: the template, and what is the component's own.

    Args:
        template: A job whose first container is to run the component.
        name: The job's.
        image: The image's reference.
        folder: Where in the image the command is run.
        command: For bash, with its quotes around parameters.
        env: Variables, beside those of the template.
    """
    job = copy.deepcopy(template)
    job["metadata"]["name"] = name
    container = job["spec"]["template"]["spec"]["containers"][0]
    variables = [{"name": key, "value": value} for key, value in env.items()]
    container["image"], container["workingDir"] = image, folder
    container["command"] = ["bash", "-c", command]
    container["env"] = [*container.get("env", []), *variables]
    return job


def start_job(job: dict[str, Any], context: str, run_id: str) -> JobRun:
    """Hand the job to the cluster of this context, for this run of MLflow."""
    kubernetes.config.load_kube_config(context=context)
    namespace = job["metadata"]["namespace"]
    kubernetes.client.BatchV1Api().create_namespaced_job(namespace, job)
    return JobRun(run_id, job["metadata"]["name"], namespace)
