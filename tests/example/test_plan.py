"""The plan of the repository's own config, with one thing changed at a time."""

import copy
import os

import mlflow
import pytest
import yaml
from conftest import ROOT
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser

from _utils.artifacts import log_artifact, set_alias
from _utils.errors import UserError
from _utils.pipeline import faults as find
from _utils.pipeline import plan as planning
from _utils.pipeline.alarm import retraining
from _utils.pipeline.config import read_config
from _utils.pipeline.plan import make_plan
from _utils.pipeline.record import as_record
from _utils.pipeline.reuse import cache_key
from _utils.variables import as_text

NAMES = {"input_artifact": "raw_data.parquet", "contract": "contract.yaml"}  # inputs of eda


@pytest.fixture(scope="module")
def experiment_id(scratch_store):
    """An experiment in which nothing was published yet."""
    return mlflow.create_experiment("plan")


@pytest.fixture(scope="module")
def composed():
    """The config with overrides; Hydra reads it once, which takes most of the time."""
    with initialize_config_dir(str(ROOT), version_base="1.3"):
        whole = compose("config")

    def composed(*overrides):
        config, parser = copy.deepcopy(whole), OverridesParser.create()
        ConfigLoaderImpl._apply_overrides_to_config(parser.parse_overrides([*overrides]), config)
        return config

    return composed


@pytest.fixture(scope="module")
def plan(experiment_id, composed):
    def plan(*overrides, experiment_id=experiment_id):
        config = read_config(composed(*overrides))
        with pytest.MonkeyPatch.context() as patch:  # a plan puts the store in the environment
            patch.setattr(os, "environ", os.environ.copy())
            return make_plan(config, ROOT, experiment_id)

    return plan


@pytest.fixture(scope="module")
def whole(plan):
    """The components of the whole pipeline, by name."""
    return {component.name: component for component in plan()}


def names(components):
    return [component.name for component in components]


def test_all_in_the_order_of_execute_steps(whole):
    planned = [*whole]
    assert planned[0] == "data_extraction" and planned[-2:] == ["batch_scoring", "monitoring"]


def test_inputs_and_outputs_are_told_by_the_types_of_parameters(whole):
    train, split = whole["train_random_forest"], whole["data_split"]
    contract = {"contract": "contract.yaml:latest"}
    assert train.inputs == {"train_artifact": "train_data.parquet:latest"} | contract
    assert train.outputs == {"model_artifact": "random_forest"}
    assert {*split.inputs} == {"input_artifact", "contract"}
    assert [*split.outputs] == ["train_artifact", "test_artifact"]


@pytest.mark.parametrize("steps", ["'eda, data_extraction'", "[eda,data_extraction]"])
def test_named_steps_keep_the_order_of_the_config(plan, steps):
    assert names(plan(f"main.steps={steps}")) == ["data_extraction", "eda"]


def test_one_outside_execute_steps_runs_only_when_named(plan):
    short = "main.execute_steps=[data_extraction]"
    assert names(plan(short)) == ["data_extraction"]
    assert names(plan(short, "main.steps='eda,download'")) == ["data_extraction", "eda"]


# All faults of a config are told together: so each of these configs has many, by override
FAULTS = [
    {
        "main.steps='basic_clening,xyz,basic_cleaning'": (
            "'basic_clening': did you mean 'basic_cleaning'?",
            "unknown step 'xyz': choose from data_extraction, eda,",
            "'raw_data.parquet:latest' was never published",
        ),
        "data.file_url=${data.lost}": ("Interpolation key 'data.lost' not found",),
        "main.artifact_store=mlfow": ("no artifact store 'mlfow': use mlflow or",),
    },
    {"main.steps=''": ("main.steps is empty: choose from data_extraction, eda,",)},
    {"data=1": ("node `data` is not a container",)},
    {
        "main.execute_steps=[evaluation,batch_scoring]": ("'random_forest:latest' was never",),
        "scoring.input_artifact=x:latest": (
            "epa_fuel_economy_2021.csv' and input_artifact is 'x:latest': set one of them",
        ),
    },
    {
        "main.execute_steps=[data_extraction,eda,basic_cleaning,batch_scoring,lost]": (),
        "main.rerun=[basic_clening]": ("'basic_clening': did you mean 'basic_cleaning'?",),
        "split.seed=???": ("split.seed: Missing mandatory value",),
        "cleaning.unknown_codes=[${lost}]": ("unknown_codes.0: Interpolation key 'lost'",),
        "+components.lost={}": ("component 'lost' has no folder src/lost",),
        "data.file_url=nowhere.csv": ("nowhere.csv'. A path starts at the repository's folder",),
        f"components.data_extraction.parameters.artifact_description={'x' * 6001}": (
            "artifact_description: the value has 6001 characters, MLflow allows 6000",
        ),
        "components.eda.parameters.input_artifact=x:1": ("'x:1' was never published",),
        "+components.eda.parameters.colour=red": ("parameter 'colour' of components.eda",),
        "~components.basic_cleaning.parameters.output_artifact": (
            "no value: set components.basic_cleaning.parameters.output_artifact in config.yaml",
        ),
        "scoring.input_url=''": ("input_url is '' and input_artifact is '': set one of them",),
        'deployment.registered_model="o\'brien"': (
            "components.batch_scoring.parameters.model: 'o'brien' cannot be the name",
        ),
    },
    {
        "main.steps=eda": (),
        "components.eda=null": ("set components.eda.parameters.input_artifact in config.yaml",),
    },
]


@pytest.mark.parametrize("faults", FAULTS)
def test_all_faults_are_told_together_with_their_cures(plan, faults):
    with pytest.raises(UserError) as refused:
        plan(*faults)
    message = str(refused.value)
    assert [told for each in faults.values() for told in each if told not in message] == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a, b", "a, b"),
        (None, ""),
        (0.5, "0.5"),
        (True, "true"),
        ([1, "x"], '[1, "x"]'),
        ({"a": None}, '{"a": null}'),
    ],
)
def test_values_become_text(value, text):
    assert as_text(value) == text


def test_latest_is_what_this_pipeline_made_before_what_others_published(
    scratch_store, plan, tmp_path
):
    def publish(text):
        both = {}
        with mlflow.start_run(experiment_id=experiment_id):
            for key, name in NAMES.items():
                (tmp_path / name).write_text(text)
                both[key] = log_artifact(tmp_path / name, type="any").reference
        return both

    experiment_id = mlflow.create_experiment("pin")
    first = publish("published by another")
    from_outside, later = plan("main.steps='eda,basic_cleaning'", experiment_id=experiment_id)
    # Pinned when the plan is made, so it stays whatever is published in the meantime.
    publish("published by another in the meantime")
    assert from_outside.inputs == later.inputs == first
    own = plan("main.steps='data_extraction,eda'", experiment_id=experiment_id)[1]
    assert own.inputs == {key: f"{name}:latest" for key, name in NAMES.items()}
    made = {f"{name}:latest": "0123456789ab" for name in NAMES.values()}
    pinned = {key: f"{name}:0123456789ab" for key, name in NAMES.items()}
    assert own.pinned(made).inputs == pinned


def test_what_is_made_later_is_not_taken_from_an_earlier_pipeline(plan, tmp_path):
    experiment_id = mlflow.create_experiment("later")
    (tmp_path / "raw_data.parquet").write_text("there before")
    with mlflow.start_run(experiment_id=experiment_id):
        before = log_artifact(tmp_path / "raw_data.parquet", type="raw_data").reference
    order = "main.execute_steps=[eda,data_extraction,basic_cleaning]"
    told = (
        r"'eda' uses raw_data.parquet:latest, which 'data_extraction' publishes later: "
        r"move 'data_extraction' up in main.execute_steps, or set "
        r"components.eda.parameters.input_artifact to a version"
    )
    with pytest.raises(UserError, match=told):
        plan(order, experiment_id=experiment_id)
    # One outside execute_steps has its place in the section `components`
    steps = "main.execute_steps=[eda,data_check]", "main.steps='eda,basic_cleaning,download'"
    assert names(plan(*steps)) == ["data_extraction", "eda", "basic_cleaning"]
    # A version says what is meant
    given = [f"components.eda.parameters.{key}={before}" for key in NAMES]
    eda, *_ = plan("main.execute_steps=[eda,data_extraction]", *given, experiment_id=experiment_id)
    assert eda.inputs == dict.fromkeys(NAMES, before)
    # What a component makes itself is older when it uses it
    added = "components.data_extraction.parameters.add_to_artifact=raw_data.parquet:latest"
    (own,) = plan("main.steps=download", added, experiment_id=experiment_id)
    assert own.inputs == {"add_to_artifact": before}


def test_an_alias_is_pinned_to_the_version_that_has_it(plan, scratch_store, tmp_path):
    experiment_id = mlflow.create_experiment("alias")
    (tmp_path / "aliased.parquet").write_text("aliased")
    with mlflow.start_run(experiment_id=experiment_id):
        artifact = log_artifact(tmp_path / "aliased.parquet", type="raw_data")
    set_alias(artifact.reference, "baseline")
    overrides = [f"components.eda.parameters.{key}=aliased.parquet:baseline" for key in NAMES]
    (eda,) = plan("main.steps=eda", *overrides, experiment_id=experiment_id)
    assert eda.inputs == dict.fromkeys(NAMES, artifact.reference)


def test_a_model_that_this_pipeline_does_not_train_is_not_evaluated(plan, scratch_store, tmp_path):
    experiment_id = mlflow.create_experiment("another model")
    with mlflow.start_run(experiment_id=experiment_id):
        for name in ("train_data.parquet", "test_data.parquet", "contract.yaml", "random_forest"):
            (tmp_path / name).write_text(name)
            kind = "model" if name == "random_forest" else "data"
            reference = log_artifact(tmp_path / name, type=kind).reference
    steps = "main.steps='train_gradient_boosting,evaluation'"
    told = r"'evaluation' uses random_forest:latest, but this pipeline trains gradient_boosting: se"
    with pytest.raises(UserError, match=told):
        plan(steps, experiment_id=experiment_id)
    *_, evaluation = plan(steps, "modeling.model=gradient_boosting", experiment_id=experiment_id)
    assert evaluation.inputs["model_artifact"] == "gradient_boosting:latest"
    pinned = f"components.evaluation.parameters.model_artifact={reference}"
    *_, evaluation = plan(steps, pinned, experiment_id=experiment_id)
    assert evaluation.inputs["model_artifact"] == reference


def test_a_component_may_have_a_backend_of_its_own(plan, monkeypatch):
    monkeypatch.setattr(find, "in_backend", lambda component: [])
    common = ["main.steps='download,eda'", "main.backend=slurm", "+main.backend_config={a:1,b:2}"]
    own = ["+components.eda.backend_config={b:3}", "+components.data_extraction.backend=local"]
    download, eda = plan(*common, *own)
    assert (download.backend, download.backend_config) == ("local", {})
    assert (eda.backend, eda.backend_config) == ("slurm", {"a": 1, "b": 3})
    # Nothing is told to `local`, so what main says is for those that run elsewhere
    _, eda = plan(common[0], common[2], "+components.eda.backend=kubernetes")
    assert (eda.backend, eda.backend_config) == ("kubernetes", {"a": 1, "b": 2})


def test_what_cannot_be_known_of_a_source_has_to_run(plan, monkeypatch):
    told = (["src/eda/eda.ipynb"], ["src/eda/eda.ipynb has code that cannot be parsed"])
    monkeypatch.setattr(planning, "sources_of", lambda folder: told)
    _, eda = plan("main.steps='download,eda'")
    assert eda.must_run == "always runs: src/eda/eda.ipynb has code that cannot be parsed"
    # The user may know better
    _, eda = plan("main.steps='download,eda'", "+components.eda.cache=true")
    assert eda.must_run == ""


def test_what_has_to_run_says_why(plan, whole):
    def reasons(*overrides):
        return {component.name: component.must_run for component in plan(*overrides)}

    assert whole["data_extraction"].must_run == ""
    assert whole["eda"].must_run == ""
    assert whole["batch_scoring"].must_run == ""  # a file of this machine is in the cache key
    remote = "data.new_file_url=https://example.org/2021.csv"
    other = "components.evaluation.parameters.scores_by=s3://bucket/cars.csv"
    found = reasons(remote, other, "main.rerun='train_model, eda'")
    assert found["batch_scoring"] == found["evaluation"] == "always runs: it reads a URL"
    assert found["eda"] == found["train_random_forest"] == "named in main.rerun"
    # The user may know better
    immutable = "+components.batch_scoring.cache=true"
    assert reasons(remote, immutable)["batch_scoring"] == ""
    assert {*reasons("main.reuse=false").values()} == {"main.reuse is false"}
    off = reasons("main.reuse=false", "+components.eda.cache=false")
    assert off["eda"] == "always runs (caching is off)"


def test_what_takes_from_the_environment_is_handed_on_as_written(plan, monkeypatch):
    monkeypatch.setenv("PW", "s3cret")
    monkeypatch.setenv("FILES", "resources/data")
    monkeypatch.setenv("RAW", "raw_data.parquet")
    url = "data.file_url='https://${oc.env:PW}@host/data.csv'"
    extraction = plan(url, "main.steps=data_extraction")[0]
    assert extraction.parameters["file_url"] == "https://${oc.env:PW}@host/data.csv"
    assert extraction.must_run
    extraction, eda = plan(
        "main.steps=[data_extraction,eda]",
        "data.file_url='${oc.env:FILES}/epa_fuel_economy_2012.csv'",
        "components.data_extraction.parameters.artifact_name='${oc.env:RAW}'",
        "components.eda.parameters.input_artifact='${oc.env:RAW}:latest'",
    )
    assert {*extraction.outputs.values()} == {"raw_data.parquet", "contract.yaml"}
    pinned = eda.pinned({"raw_data.parquet:latest": "0123456789ab"})
    assert pinned.parameters["input_artifact"] == "raw_data.parquet:0123456789ab"
    assert "resources/data/epa_fuel_economy_2012.csv" in cache_key(extraction)["files"]


@pytest.mark.parametrize(
    "url",
    [
        "https://me:s3cret@host/data.csv",
        "https://me:s3/cret@host/data.csv",
        "https://${oc.env:USERNAME}:s3cret@host/data.csv",
        "https://s3cret@host/data.csv",
        "https://host/data.csv?a=${oc.env:USERNAME}&X-Amz-Signature=s3cret",
        "postgresql://me@host/cars?password=s3cret",
        "jdbc:sqlserver://host;user=me;password=s3cret",
    ],
)
def test_a_password_that_would_be_recorded_is_refused(plan, monkeypatch, url):
    monkeypatch.setenv("USERNAME", "me")
    with pytest.raises(UserError) as raised:
        plan(f"data.file_url='{url}'", "main.steps=data_extraction")
    assert "holds a password" in str(raised.value) and "s3" not in str(raised.value)


def test_the_record_of_the_config_has_no_secrets(composed, monkeypatch):
    monkeypatch.setenv("PW", "s3cret")
    url = "https://me:${oc.env:PW}@host/data.csv"
    config = composed(
        f"data.new_file_url='{url}'",
        f"main.storage_url='{url}'",
        "data.file_url='https://host/data.csv?token=s3cret'",
    )
    text = as_record(read_config(config).values)
    record = yaml.safe_load(text)
    assert "s3cret" not in text
    assert record["components"]["batch_scoring"]["parameters"]["input_url"] == url
    assert record["main"]["storage_url"] == "https://***@host/data.csv"
    assert record["main"]["retrain"][0] == f"data.file_url={url}"
    second = retraining(config)
    assert read_config(second).components["data_extraction"].parameters["file_url"] == url
    assert second.data.file_url == "https://me:s3cret@host/data.csv"
