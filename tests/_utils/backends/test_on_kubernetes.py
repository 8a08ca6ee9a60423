"""Components as jobs of Kubernetes, with doubles of the engine and the cluster."""

import shlex
import shutil
import signal
import subprocess
import sys

import pytest
from conftest import Store, Typed, clone, type_in
from documents import changed, documented
from doubles.docker_engine import DockerEngine
from doubles.kubernetes_api import KubernetesApi
from small import make_small

pytestmark = [
    pytest.mark.slow,
    pytest.mark.nightly,
    pytest.mark.skipif(not shutil.which("docker"), reason="needs the command docker"),
]
CONFIG = (
    "main.backend_config={kube-context:test,kube-job-template-path:k8s/job.yaml,"
    "repository-uri:'registry:5000/cars'}"
)
ON_CLUSTER = f"python main.py {shlex.quote('+' + CONFIG)} +components.trial.backend=kubernetes"
# Prints what it was given, then does as the value says
TRIAL = """
import json, os, sys, time, urllib.request
print(sorted(os.environ), os.getcwd(), sys.argv[1:], flush=True)
x = sys.argv[1]
if x == "long":
    print("at work", flush=True)
    time.sleep(600)
if x == "memory":
    os.kill(os.getpid(), 9)
if x == "0":
    1 / 0
if x == "publish":
    sys.path.append(os.path.dirname(os.getcwd()))
    import mlflow
    from _utils.artifacts import log_artifact
    with open("data.txt", "w") as file:
        file.write("of a pod")
    with mlflow.start_run():
        log_artifact("data.txt", type="data", description="Made in a pod")
"""


@pytest.fixture(autouse=True)
def no_pod_is_left(api):
    yield
    for process in filter(None, api.processes.values()):
        process.kill()


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Where the client is that the guide says to install."""
    folder = tmp_path_factory.mktemp("packages")
    install = shlex.split(documented("MLpipeline.md", "pip install 'kubernetes"))
    uv = [sys.executable, "-m", "uv", *install, "--quiet", "--target", str(folder)]
    subprocess.run(uv, check=True)
    return folder


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    engine = DockerEngine(tmp_path_factory.mktemp("engine"))
    yield engine
    engine.stop()
    assert not engine.unknown


@pytest.fixture(scope="module")
def api(engine, tmp_path_factory):
    api = KubernetesApi(tmp_path_factory.mktemp("cluster"), engine.pushed)
    yield api
    api.stop()
    assert not api.unknown


@pytest.fixture(scope="module")
def cluster(engine, api, packages, tracking_server):
    """What a user of the cluster sets."""
    python = {"PYTHONPATH": str(packages), "MLFLOW_EXPERIMENT_NAME": "kubernetes"}
    server = {"MLFLOW_TRACKING_URI": tracking_server.url}
    return {**engine.variables, **api.variables, **python, **server}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = make_small(clone(tmp_path_factory.mktemp("small")))
    (folder / "src/trial/run.py").write_text(TRIAL)
    return folder


def newest_trial(cluster):
    store = Store(cluster["MLFLOW_TRACKING_URI"])
    return store.children(store.pipeline("kubernetes"), "kubernetes")[-1]


def test_the_command_and_the_environment_are_as_on_this_machine(small, cluster, api, engine):
    text = "\"two\" words, 'one', $HOME; {a: 1}"
    value = "components.trial.parameters.x='" + text.replace("'", r"\'") + "'"
    secret = {"WANDB_API_KEY": "secret", "KUBE_MLFLOW_TRACKING_URI": cluster["MLFLOW_TRACKING_URI"]}
    ran = type_in(small, f"{ON_CLUSTER} {shlex.quote(value)}", **cluster, **secret)
    assert ran.returncode == 0, ran.stdout
    assert repr([text]) in ran.stdout
    assert "/mlflow/projects/trial [" in ran.stdout
    assert "ARTIFACT_STORE" in ran.stdout and "WANDB_API_KEY" not in ran.stdout
    run = newest_trial(cluster)
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.project.env"] == "docker"
    (name,) = api.jobs
    assert name == f"trial-{run.info.run_id[:12]}"
    (image,) = engine.pushed
    assert image.startswith("registry:5000/cars@sha256:")
    job = api.jobs[name]["spec"]["template"]["spec"]["containers"][0]
    assert (job["name"], job["image"]) == ("component", image)
    assert engine.built["registry:5000/cars:trial"]["buildargs"] == ['{"component":"trial"}']


def test_a_failure_and_its_last_lines_are_told(small, cluster):
    ran = type_in(small, f"{ON_CLUSTER} components.trial.parameters.x=0", **cluster)
    assert ran.returncode == 1
    assert "Component 'trial' failed with exit code 1." in ran.stdout
    assert "ZeroDivisionError" in ran.stdout
    assert newest_trial(cluster).info.status == "FAILED"


def test_too_much_memory_is_told(small, cluster):
    ran = type_in(small, f"{ON_CLUSTER} components.trial.parameters.x=memory", **cluster)
    assert ran.returncode == 1
    assert "-pod: OOMKilled: it took too much memory" in ran.stdout


def test_ctrl_c_takes_the_pod_off_the_cluster(small, cluster, api):
    before = list(api.jobs)
    typed = Typed(small, f"{ON_CLUSTER} components.trial.parameters.x=long", **cluster)
    typed.until("at work")
    typed.signal(signal.SIGINT, "all")
    assert typed.end() == 130, typed.text
    # Here the pod is a process of this machine, which the pipeline would end in any case
    assert list(api.jobs) == before and not api.orphans
    assert newest_trial(cluster).info.status == "KILLED"


def test_a_job_that_somebody_else_deletes_has_failed(small, cluster, api):
    typed = Typed(small, f"{ON_CLUSTER} components.trial.parameters.x=long", **cluster)
    typed.until("at work")
    (name,) = [name for name, process in api.processes.items() if process.poll() is None]
    api.delete(name, {"propagationPolicy": "Background"})
    assert typed.end() == 1
    assert "Kubernetes: Not Found" in typed.text
    assert newest_trial(cluster).info.status == "FAILED"


def test_why_a_pod_does_not_start_is_told(small, cluster, api, monkeypatch):
    reason = {"reason": "ErrImagePull", "message": "no such host"}
    monkeypatch.setattr(api, "waiting", reason)
    typed = Typed(small, f"{ON_CLUSTER} components.trial.parameters.x=9", **cluster)
    typed.until("-pod: ErrImagePull: no such host")
    typed.signal(signal.SIGINT, "all")
    assert typed.end() == 130


def test_what_docker_says_is_told(small, cluster, engine, monkeypatch):
    monkeypatch.setattr(engine, "denied", True)
    ran = type_in(small, f"{ON_CLUSTER} components.trial.parameters.x=9", **cluster)
    assert ran.returncode == 1
    assert "denied: requested access to the resource is denied" in ran.stdout
    assert "Traceback" not in ran.stdout


def test_a_cluster_that_is_away_for_a_moment_costs_nothing(small, cluster, api, monkeypatch):
    typed = Typed(small, f"{ON_CLUSTER} components.trial.parameters.x=long", **cluster)
    typed.until("at work")
    monkeypatch.setattr(api, "away", True)
    (process,) = [each for each in api.processes.values() if each.poll() is None]
    process.terminate()
    typed.until("Kubernetes: Service Unavailable")
    monkeypatch.setattr(api, "away", False)
    assert typed.end() == 1
    assert "Component 'trial' failed with exit code 1." in typed.text


def test_artifacts_come_from_the_pod_and_are_reused(small, cluster):
    variables = {key: value for key, value in cluster.items() if key != "MLFLOW_TRACKING_URI"}
    server = documented("MLpipeline.md", "export MLFLOW_TRACKING_URI=")
    server = changed(server, {"http://<host>:5000": cluster["MLFLOW_TRACKING_URI"]})
    command = documented("MLpipeline.md", "backend=kubernetes")
    value = f"+{CONFIG} +components.trial.cache=true components.trial.parameters.x=publish"
    value += (
        " +components.trial"  # its source reads the environment, so nothing else lets it be reused
    )
    command = f"{server}\n{changed(command, {'+components.train_random_forest': value})}"
    ran = type_in(small, command, **variables)
    assert ran.returncode == 0, ran.stdout
    run = newest_trial(cluster)
    assert run.data.tags["mlflow.project.backend"] == "kubernetes-job"
    store = Store(cluster["MLFLOW_TRACKING_URI"])
    assert "output.data.txt" in run.data.tags
    assert {"artifacts", "log.txt"} <= store.files(run)
    again = type_in(small, command, **variables)
    assert "2/2 trial reused from" in again.stdout
