"""A sweep on Ray, on a cluster of two nodes that are both this machine."""

import subprocess
import sys

import psutil
import pytest
from conftest import ENVIRONMENT, Store, clone, store_of, type_in
from documents import changed, documented
from servers import free_port
from small import make_small

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make_small(clone(tmp_path_factory.mktemp("small")))


@pytest.fixture(scope="module")
def ray(small, tmp_path_factory):
    """What a user sets who sweeps on the cluster, and where it is."""
    packages = tmp_path_factory.mktemp("ray")
    install = documented("MLpipeline.md", "pip install hydra-ray-launcher").split()
    uv = [sys.executable, "-m", "uv", *install, "--quiet", "--target", str(packages)]
    subprocess.run(uv, check=True)
    variables = {"PYTHONPATH": str(packages), "RAY_AUTH_MODE": "disabled"}
    address = f"127.0.0.1:{free_port()}"
    small_node = ["--node-ip-address=127.0.0.1", "--num-cpus=1", "--object-store-memory=80000000"]
    head = documented("MLpipeline.md", "ray start").replace("6379", address.split(":")[1])
    _, _, *head = [*head.split(), "--include-dashboard=false"]
    for node in head, [f"--address={address}"]:
        start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--disable-usage-stats"]
        subprocess.run(
            [*start, *small_node, *node], cwd=small, env=ENVIRONMENT | variables, check=True
        )
    yield variables, address
    for process in psutil.process_iter(["cmdline"]):  # `ray stop` would end those of others too
        if str(packages) in " ".join(process.info["cmdline"] or []):
            process.kill()


def test_a_sweep_is_the_same_as_on_one_machine(small, ray, tracking_server):
    variables, address = ray
    command = changed(
        documented("MLpipeline.md", "hydra/launcher=ray"),
        {
            "--steps=train_random_forest": "--steps=all",
            "modeling.max_tfidf_features=10,30": "components.trial.parameters.x=left,right,0",
            "<host>:6379": address,
        },
    )
    refused = type_in(small, command, **variables)
    assert refused.stdout.startswith("hydra/launcher=ray runs on machines that cannot reach")
    server = {"MLFLOW_TRACKING_URI": tracking_server.url, "MLFLOW_EXPERIMENT_NAME": "ray"}
    ran = type_in(small, command, **variables, **server)
    assert ran.returncode == 1, ran.stdout
    assert "Sweep: 3 jobs, 1 failed" in ran.stdout
    assert "x=0: Component 'trial' failed with exit code 1." in ran.stdout
    store = Store(tracking_server.url)
    jobs = store.children(store.pipeline("ray"), "ray")
    assert sorted(job.info.status for job in jobs) == ["FAILED", "FINISHED", "FINISHED"]
    assert (small / "outputs/prepared.txt").read_text() == "once\n"
    assert not store_of(small).runs()
