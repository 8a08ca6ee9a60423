import importlib.util
import re
import shlex
import shutil
import subprocess

import pytest
import yaml
from conftest import ROOT

from _utils.backends import kubernetes
from _utils.internals import load_mlproject
from _utils.pipeline.component import Component

CONDA_FILES = [
    *ROOT.glob("src/*/conda.yml"),
    *ROOT.glob("cookie-mlflow-step/templates/conda.*.yml"),
]
CONFIG = {
    "kube-context": "minikube",
    "kube-job-template-path": "k8s/job.yaml",
    "repository-uri": "registry/cars",
}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "backend kubernetes needs the command docker"),
        ({}, "pip install 'kubernetes<37'"),
        ({}, "needs main.backend_config.kube-context; see"),
        ({"kube-job-template-path": "no.yaml"}, f"no job template '{ROOT}/no.yaml'."),
        (CONFIG, "raw_url: 'a.csv' is a file of this machine"),
    ],
)
def test_faults(monkeypatch, config, message):
    monkeypatch.setattr(shutil, "which", lambda command: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    folder, values = ROOT / "src/any", {"raw_url": "a.csv", "new_url": "s3://bucket/b.csv"}
    faults = [*kubernetes.faults(Component("any", folder, values, "", "kubernetes", config))]
    assert any(message in fault for fault in faults)
    assert not any("new_url" in fault for fault in faults)


def test_a_pod_gets_the_quotes_of_bash_whatever_machine_starts_it(tmp_path):
    parameters = {"x": "string", "y": {"type": "string", "default": "it's"}}
    main = {"parameters": parameters, "command": "python run.py --x={x} --y={y}"}
    project = {"name": "any", "entry_points": {"main": main}}
    (tmp_path / "MLproject").write_text(yaml.safe_dump(project))
    entry_point = load_mlproject(tmp_path).get_entry_point("main")
    value = '"two" words, $HOME; {a: 1}'
    command = kubernetes.command_for_bash(entry_point, {"x": value})
    assert shlex.split(command) == ["python", "run.py", f"--x={value}", "--y=it's"]


@pytest.mark.parametrize(
    "conda_file", CONDA_FILES, ids=lambda file: f"{file.parent.name}/{file.name}"
)
def test_the_image_of_a_component_has_its_packages(conda_file, tmp_path):
    dockerfile = (ROOT / "k8s/Dockerfile").read_text()
    (tmp_path / "conda.yml").write_text(conda_file.read_text())
    (command,) = re.findall(r"^RUN (sed .*)", dockerfile, re.MULTILINE)
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    python, _, pip = yaml.safe_load(conda_file.read_text())["dependencies"]
    assert (tmp_path / "requirements.txt").read_text().splitlines() == pip["pip"]
    images = {*re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)}
    assert images == {f"{python.replace('=', ':')}-slim"}


def test_the_job_template_has_what_the_pipeline_does_not_add():
    template = yaml.safe_load((ROOT / "k8s/job.yaml").read_text())
    assert (template["apiVersion"], template["kind"]) == ("batch/v1", "Job")
    assert template["metadata"]["namespace"]
    assert template["spec"]["template"]["spec"]["containers"][0]["name"]
