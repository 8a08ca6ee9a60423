import importlib.util
import re
import shlex
import shutil
import subprocess

import pytest
import yaml
from conftest import ROOT, needs

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
        ({"kube-job-template-path": "no.yaml"}, f"no job template '{ROOT / 'no.yaml'}'."),
        (CONFIG, "raw_url: 'a.csv' is a file of this machine"),
        (CONFIG, "src/any/MLproject: backend kubernetes needs conda_env: conda.yml."),
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
    "text",
    [
        (ROOT / "src/eda/conda.yml").read_text(),
        "dependencies:\n- python=3.11\n- pip:\n  - 'x[y]==1'\n  - z; a < '3'\nchannels: [x]",
        "dependencies: [python=3.11]\nname: without pip",
    ],
)
def test_the_image_of_a_component_has_its_packages(text, tmp_path):
    needs("sh")
    dockerfile = (ROOT / "k8s/Dockerfile").read_text()
    (tmp_path / "conda.yml").write_text(text)
    (command,) = re.findall(r"^RUN (python .*)", dockerfile, re.MULTILINE)
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    listed = [each for each in yaml.safe_load(text)["dependencies"] if isinstance(each, dict)]
    packages = listed[0]["pip"] if listed else [""]
    assert (tmp_path / "requirements.txt").read_text().splitlines() == packages


def test_the_image_has_the_python_of_the_components():
    images = re.findall(r"^FROM (\S+)", (ROOT / "k8s/Dockerfile").read_text(), re.MULTILINE)
    pythons = {yaml.safe_load(file.read_text())["dependencies"][0] for file in CONDA_FILES}
    assert {image.replace(":", "=") for image in images} == {f"{each}-slim" for each in pythons}


def test_the_job_template_has_what_the_pipeline_does_not_add():
    template = yaml.safe_load((ROOT / "k8s/job.yaml").read_text())
    assert (template["apiVersion"], template["kind"]) == ("batch/v1", "Job")
    assert template["metadata"]["namespace"]
    assert template["spec"]["template"]["spec"]["containers"][0]["name"]
