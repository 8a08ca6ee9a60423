"""What of a command line and a config is refused, with what words."""

import pytest
import yaml
from conftest import ROOT, not_on_windows
from omegaconf import OmegaConf

from _utils.errors import UserError
from _utils.pipeline.compose import compose_config, hydra_arguments
from _utils.pipeline.config import read_config, unknown_key

CONFIG = """
defaults: [_self_, override hydra/job_logging: disabled]
main:
  project_name: p
  experiment_name: e
  execute_steps: [eda]
  steps: all
  reuse: true
  rerun: []
  artifact_store: mlflow
  storage_url: null
  backend: local
  backend_config: {}
  objective: {metric: eda.score, direction: minimize}
  on_alarm: report
  retrain: [data.url=x]
  plan: false
data: {url: ""}
components:
  eda: {parameters: {url: "${data.url}"}}
"""
HYDRA = "hydra: {output_subdir: null, run: {dir: .}}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a config, another one, and config groups."""
    folder = tmp_path_factory.mktemp("proj #1 %20")
    (folder / "config.yaml").write_text(CONFIG + HYDRA)
    (folder / "other.yaml").write_text(f"{CONFIG}{HYDRA}extra: {{a: 1}}\n")
    for name in ("model", "groups/size"):
        (folder / name).mkdir(parents=True)
        (folder / name / "small.yaml").write_text("depth: 1\n")
    return folder


@pytest.fixture
def faults(folder):
    def faults(*arguments):
        with pytest.raises(UserError) as refused:
            compose_config([*arguments], folder)
        assert "Traceback" not in str(refused.value)
        return str(refused.value)

    return faults


def test_the_templates_own_config_is_fine():
    compose_config([], ROOT)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config-name=other", "+model=small", "model.depth=2", "extra.a=2"],
        ["--config-dir={folder}/groups", "+size=small", "size.depth=2"],
        ["hydra.searchpath=['file://{folder}/groups']", "+size=small", "size.depth=2"],
        ["~data.url=''", "+data.url=x", "+new=1", "++main.reuse=false", "main.rerun=eda"],
        ["main.experiment_name='2026'", "main.plan=mermaid", "~components.eda"],
        ["main.experiment_name=${hydra:job.name}"],
    ],
)
def test_what_hydra_composes_is_fine(folder, arguments):
    compose_config([each.replace("{folder}", str(folder)) for each in arguments], folder)


@pytest.mark.parametrize(
    ("key", "meant"),
    [("n_estimators", "model.trees.n_estimators"), ("seeed", "model.seed"), ("max", "a.max")],
)
def test_the_last_part_of_a_key_is_enough_to_find_it(key, meant):
    keys = ["model", "model.trees", "model.trees.n_estimators", "model.seed", "a.max", "b.max"]
    assert unknown_key(key, keys) == f"unknown config key '{key}': did you mean '{meant}'?"


SHAPES = [
    ("main=1", "main=1: input should be a valid section"),
    ("main.stepps=1", "unknown config key 'main.stepps': did you mean 'main.steps'?"),
    ("main.foo=1", "unknown config key 'main.foo': allowed are project_name,"),
    ("main.experiment_name=''", "main.experiment_name=: string should have at least 1 character"),
    ("main.experiment_name=2026", "main.experiment_name=2026: write a text, in quotes ('...')"),
    ("main.experiment_name=${no}", "main.experiment_name: Interpolation key 'no' not found"),
    ("main.experiment_name=???", "main.experiment_name: Missing mandatory value"),
    ("main.execute_steps=1", "main.execute_steps=1: input should be a valid list"),
    ("main.steps=1", "main.steps=1: input should be a valid list"),
    ("main.rerun=true", "main.rerun=true: input should be a valid list"),
    ("main.reuse=maybe", "main.reuse=maybe: input should be a valid boolean"),
    ("main.objective.direction=up", "direction=up: input should be 'minimize' or 'maximize'"),
    ("main.objective.metrik=x", "did you mean 'main.objective.metric'?"),
    ("main.plan=x", "main.plan=x: input should be True, False or 'mermaid'"),
    ("main.retrain=[data]", "main.retrain.0=data: string should match pattern"),
    ("main.retrain=['data.ulr=x']", "main.retrain: unknown config key 'data.ulr': did you mean"),
    ("components=1", "components=1: input should be a valid section"),
    ("components.eda=1", "components.eda=1: input should be a valid section"),
    ("components.eda.params=1", "did you mean 'components.eda.parameters'?"),
    ("components.eda.cache=1", "components.eda.cache=1: input should be a valid boolean"),
    ("components.eda.parameters=[1]", "components.eda.parameters=[1]: input should be a valid sec"),
]


@pytest.mark.parametrize(("value", "told"), SHAPES)
def test_a_section_of_another_shape(value, told):
    config = OmegaConf.create(CONFIG)
    key, _, text = value.partition("=")
    OmegaConf.update(config, key, yaml.safe_load(text), merge=False)
    with pytest.raises(UserError) as refused:
        read_config(config)
    assert told in str(refused.value)


def test_what_a_new_project_has_is_fine():
    values = {"execute_steps": None, "aliases": None, "retrain": None, "objective.metric": None}
    config = OmegaConf.create(CONFIG)
    for key, value in values.items():
        OmegaConf.update(config, f"main.{key}", value)
    read_config(config)


def test_a_key_that_is_missing():
    config = OmegaConf.create(CONFIG)
    del config.main.steps
    with pytest.raises(UserError, match=r"main\.steps is missing"):
        read_config(config)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("hydra=1", "The config cannot be composed: Config group override must be"),
        ("hydra.job.chdir=x", "hydra.job.chdir=x: Value 'x' is not a valid bool"),
        ("model=small", "To append to your default list use +model=small"),
        ("main.storage_url=~/x", "override main.storage_url=~/x cannot be read"),
        ("data.url=1,2", "data.url=1,2: add -m for a sweep, or write [a,b]."),
        pytest.param(
            *(f"+{'x' * 300}=1", "The config cannot be composed"),
            marks=not_on_windows("a file that has such a name is not looked for"),
        ),
    ],
)
def test_an_override_that_cannot_work(faults, override, told):
    assert told in faults(override)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--config-name=other", "+model=small", "model.dept=2"], "did you mean 'model.depth'?"),
        (["--config-name=nope"], "Cannot find primary config 'nope'"),
        (hydra_arguments(["--hydra-options=main.reuse = false"]), "no spaces around the ="),
        (["main.reuse"], "no spaces around the ="),
    ],
)
def test_a_command_line_that_cannot_work(faults, arguments, told):
    assert told in faults(*arguments)


def test_unknown_keys_are_told_together(faults):
    told = faults("main.objective.metrik=x", "mian.x=1", "main.steps=all", "+new=1")
    assert "did you mean 'main.objective.metric'?" in told
    assert len(told.splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"main:\n  x 1\n  y: 2\n", 'mapping values are not allowed .*config.yaml", line 3'),
        (b"main: \xff\n", "cannot be composed: 'utf-8' codec can't decode"),
        (b"[1]\n", "must be a DictConfig"),
        (b"", "main=null: input should be a valid section"),
    ],
)
def test_a_config_that_cannot_be_read(tmp_path, text, told):
    (tmp_path / "config.yaml").write_bytes(text)
    with pytest.raises(UserError, match=told):
        compose_config([], tmp_path)


def test_what_cannot_be_resolved_is_told_once_and_is_null():
    config = OmegaConf.create(CONFIG)
    config.data.url = "${lost}"
    read = read_config(config)
    assert read.faults == ["config.yaml, data.url: Interpolation key 'lost' not found"]
    assert read.components["eda"].parameters == {"url": None}


def test_variables_stay_as_written_in_parameters_only(monkeypatch):
    monkeypatch.setenv("PW", "s3cret")
    config = OmegaConf.create(CONFIG)
    config.data.url = "https://${oc.env:PW}@host"
    config.main.storage_url = "${data.url}"
    config.components.eda.backend = "${oc.env:PW}"
    config.main.retrain = ["data.url=${data.url}"]
    read = read_config(config)
    written = "https://${oc.env:PW}@host"
    assert read.components["eda"].parameters == {"url": written}
    assert read.components["eda"].backend == "s3cret"
    assert read.values["components"]["eda"]["backend"] == "${oc.env:PW}"
    assert read.main.storage_url == "https://s3cret@host"
    assert read.values["data"]["url"] == written
    assert read.values["main"]["storage_url"] == "https://s3cret@host"
    assert read.values["main"]["retrain"] == [f"data.url={written}"]


@pytest.mark.parametrize(
    ("arguments", "runs_here"),
    [
        ([], True),
        (["--cfg", "job"], False),
        (["hydra.run.dir=outputs"], False),
    ],
)
def test_hydra_itself_runs_what_is_more_than_one_run_in_this_folder(folder, arguments, runs_here):
    config = compose_config(arguments, folder)
    assert (config is not None) == runs_here
    assert not runs_here or "hydra" not in config


def test_a_variable_that_is_not_set_is_told_by_the_plan():
    config = OmegaConf.create(CONFIG)
    config.data.url = "https://${oc.env:NO_SUCH}@host"
    read = read_config(config)
    assert "NO_SUCH" in read.faults[0] and read.components["eda"].parameters == {"url": None}
