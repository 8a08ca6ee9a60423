"""`cookiecutter cookie-mlflow-step -o src`, as a user calls it, in clones of their own."""

import ast
import json
import shlex
import shutil
import subprocess
import sys

import nbformat
import pytest
import yaml
from conftest import ENVIRONMENT, ROOT, clone, git, store_of, type_in
from cookiecutter.main import cookiecutter
from documents import changed, documented
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.projects.utils import load_project
from omegaconf import OmegaConf

ALL_TYPES = (
    'one, two:int=3, three:json={"a": [1, 2]}, four:bool=true, five:float=0.5, '
    "source:artifact=raw_data.parquet:latest, result:output=made.txt, tree:model_output=oak, "
    "model:model=models:/fuel_economy@champion, page:url=https://example.org/"
)
NAMES = ["one", "two", "three", "four", "five", "source", "result", "tree", "model", "page"]
KINDS = ["string", "int", "json", "bool", "float", "artifact", "output"]
KINDS += ["model_output", "model", "url"]
SCRIPTS = ["run.py", "run.ipynb", "run.sh"]
SLOW_SCRIPTS = [pytest.param(name, marks=pytest.mark.slow) for name in SCRIPTS[1:]]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A clone that nothing ran in; tests leave it as they found it."""
    return clone(tmp_path_factory.mktemp("fresh"))


@pytest.fixture
def scaffold(fresh, tmp_path):
    """Answers the template's questions on the command line; cleans up afterwards."""

    def scaffold(output="src", to="", **answers):
        given = " ".join(f"{key}={shlex.quote(value)}" for key, value in answers.items())
        command = documented("README.md", "cookiecutter cookie-mlflow-step")
        command = changed(command, {"-o src": f"-o {output}"})
        return type_in(fresh, f"{command} --no-input {given} {to}", HOME=str(tmp_path))

    yield scaffold
    git("checkout", "--quiet", ".", cwd=fresh)
    git("clean", "-fdqx", cwd=fresh)


class TestWhatIsMade:
    @pytest.mark.parametrize("script", [SCRIPTS[0], *SLOW_SCRIPTS])
    def test_the_files(self, scaffold, fresh, script):
        ran = scaffold(step_name="my_step", script_name=script, parameters=ALL_TYPES)
        assert ran.returncode == 0, ran.stdout
        made = git("ls-files", "--others", "--exclude-standard", cwd=fresh).split()
        files = [f"src/my_step/{name}" for name in ("MLproject", "conda.yml", script)]
        assert made == [*files, "tests/src/test_my_step.py"]
        assert git("diff", "--name-only", cwd=fresh).split() == ["config.yaml"]
        assert "src/my_step with MLproject, conda.yml, " in ran.stdout
        assert "mlflow run . -P steps=my_step" in ran.stdout
        entry_point = load_project(str(fresh / "src/my_step")).get_entry_point("main")
        assert [*entry_point.parameters] == NAMES
        assert [parameter.type for parameter in entry_point.parameters.values()] == KINDS
        assert entry_point.parameters["two"].default == "3"
        own = (fresh / "src/my_step/conda.yml").read_text()
        kind = "notebook" if script.endswith(".ipynb") else "script"
        assert own == (ROOT / f"cookie-mlflow-step/templates/conda.{kind}.yml").read_text()
        # Nothing but its own lines was added to config.yaml
        diff = git("diff", "--unified=0", "config.yaml", cwd=fresh).splitlines()[4:]
        assert not [line for line in diff if line.startswith("-")]
        config = yaml.safe_load((fresh / "config.yaml").read_text())
        assert config["main"]["execute_steps"][-1] == "my_step"
        assert config["components"]["my_step"]["parameters"] == {
            "one": "",
            "two": 3,
            "three": {"a": [1, 2]},
            "four": True,
            "five": 0.5,
            "source": "raw_data.parquet:latest",
            "result": "made.txt",
            "tree": "oak",
            "model": "models:/fuel_economy@champion",
            "page": "https://example.org/",
        }

    @pytest.mark.slow
    def test_they_pass_the_projects_linters(self, scaffold, fresh):
        for number, script in enumerate(SCRIPTS):
            for name, parameters in {"all": ALL_TYPES, "none": ""}.items():
                step = f"step_{number}_{name}"
                scaffold(step_name=step, script_name=script, parameters=parameters)
                assert (fresh / "src" / step / script).exists()
        ran = type_in(fresh, "ruff check . && ruff format --check .")
        assert ran.returncode == 0, ran.stdout

    @pytest.mark.slow
    def test_the_six_questions(self, fresh, scaffold, tmp_path):
        answers = "my_step\nrun.py\nkind\nShort\nLong\none,two\n"
        ran = subprocess.run(
            [sys.executable, "-m", "cookiecutter", "cookie-mlflow-step", "-o", "src"],
            cwd=fresh,
            input=answers,
            env=ENVIRONMENT | {"HOME": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "Name of the component" in ran.stdout
        asked = " ".join(ran.stdout.split())
        assert "(An example of a step using MLflow and Weights & Biases)" in asked
        config = yaml.safe_load((fresh / "config.yaml").read_text())
        assert "my_step" in config["main"]["execute_steps"] and "my_step" in config["components"]
        assert (fresh / "src/my_step/run.py").read_text().startswith('"""Short.\n\nLong\n"""')


class TestRegistering:
    @pytest.mark.slow
    def test_windows_line_ends_stay(self, scaffold, fresh):
        text = (fresh / "config.yaml").read_text()
        (fresh / "config.yaml").write_bytes(text.replace("\n", "\r\n").encode())
        scaffold(step_name="my_step")
        edited = (fresh / "config.yaml").read_bytes()
        assert edited.count(b"\n") == edited.count(b"\r\n") > text.count("\n")

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "text",
        [
            "main: {execute_steps: [eda]}\ncomponents: {eda: {}}\n",
            "main: [\n",
        ],
    )
    def test_what_cannot_be_edited_is_told(self, scaffold, fresh, text):
        (fresh / "config.yaml").write_text(text)
        ran = scaffold(step_name="my_step", parameters="one")
        assert ran.returncode == 0, ran.stdout
        assert (fresh / "config.yaml").read_text() == text
        assert (fresh / "src/my_step/run.py").exists()
        assert "    - my_step\n" in ran.stdout
        assert "  my_step:\n" in ran.stdout and "      one: ''\n" in ran.stdout

    @pytest.mark.slow
    def test_what_a_removed_component_left_is_replaced(self, scaffold, fresh):
        scaffold(step_name="my_step", parameters="one,two")
        scaffold(step_name="later")
        shutil.rmtree(fresh / "src/my_step")
        scaffold(step_name="my_step", parameters="three", short_description="Other words")
        text = (fresh / "config.yaml").read_text()
        assert text.count("\n  my_step:") == text.count("- my_step\n") == 1
        assert "# My step\n  my_step" not in text and "  # Other words\n  my_step:\n" in text
        config = OmegaConf.load(fresh / "config.yaml")  # which refuses keys that are there twice
        assert config.main.execute_steps[-2:] == ["my_step", "later"]
        assert config.components.my_step == {"parameters": {"three": ""}}
        assert "later" in config.components

    @pytest.mark.slow
    def test_what_fails_leaves_nothing_behind(self, scaffold, fresh):
        assert scaffold(step_name="my_step", to="> /dev/full").returncode != 0
        assert git("status", "--porcelain", cwd=fresh) == ""

    @pytest.mark.slow
    def test_it_can_be_switched_off(self, scaffold, fresh):
        ran = scaffold(step_name="my_step", _register="no")
        assert "    - my_step\n" in ran.stdout
        assert git("diff", "--name-only", cwd=fresh) == ""

    @pytest.mark.slow
    def test_another_folder_is_not_registered(self, scaffold, fresh, tmp_path):
        ran = scaffold(output=str(tmp_path / "elsewhere"), step_name="my_step")
        assert "is not the src folder of a pipeline" in ran.stdout
        assert (tmp_path / "elsewhere/my_step/run.py").exists()
        assert git("status", "--porcelain", cwd=fresh) == ""

    @pytest.mark.slow
    def test_from_a_remote_repository(self, git_url, tmp_path):
        command = f"cookiecutter {git_url} --directory cookie-mlflow-step -o src --no-input"
        ran = type_in(tmp_path, f"{command} step_name=my_step", HOME=str(tmp_path / "home"))
        assert ran.returncode == 0, ran.stdout
        assert (tmp_path / "src/my_step/run.py").exists()
        assert "is not the src folder of a pipeline" in ran.stdout


@pytest.mark.slow
class TestBadInput:
    @pytest.mark.parametrize(
        ("answers", "told"),
        [
            ({"step_name": "a b", "parameters": "c,c"}, ["'a b'", "'c' is given 2 times"]),
            ({"step_name": "../a"}, ["'../a'"]),
            ({"step_name": "my_step", "script_name": "/tmp/run.py"}, ["'/tmp/run.py'"]),
            ({"step_name": "serving"}, ['"src/serving" directory already exists']),
        ],
    )
    def test_nothing_is_made(self, scaffold, fresh, answers, told):
        ran = scaffold(**answers)
        assert ran.returncode != 0
        for text in told:
            assert text in ran.stdout, ran.stdout
        assert "Traceback" not in ran.stdout
        assert git("status", "--porcelain", cwd=fresh) == ""


TYPED = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('\n\t"\\%#{}:'))
COMPONENT = st.fixed_dictionaries(
    {
        "step_name": st.just("my_step"),
        "script_name": st.sampled_from(SCRIPTS),
        "job_type": TYPED,
        "short_description": TYPED | st.sampled_from(['"""', "%(prog)s", "'''\\", "a\\"]),
        "long_description": TYPED,
        "parameters": st.lists(
            st.from_regex(
                r"[a-z]_[a-z]{2,8}(:int=[1-9]|:str=[a-z.]+|:json=\[1, 2\])?", fullmatch=True
            ),
            max_size=5,
            unique_by=lambda text: text.partition(":")[0],
        ),
    }
)


@pytest.mark.slow
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(answers=COMPONENT)
def test_whatever_is_answered_it_can_be_read(tmp_path_factory, answers):
    folder = tmp_path_factory.mktemp("any")
    # A replay takes the answers as they are; as overrides cookiecutter would render them.
    questions = json.loads((ROOT / "cookie-mlflow-step/cookiecutter.json").read_text())
    parameters = ", ".join(answers["parameters"])
    context = {**questions, **answers, "parameters": parameters, "__checked": "yes"}
    (folder / "replay.json").write_text(json.dumps({"cookiecutter": context}))
    made = cookiecutter(
        str(ROOT / "cookie-mlflow-step"),
        replay=str(folder / "replay.json"),
        output_dir=str(folder),
        accept_hooks=False,
    )
    project = load_project(made)
    declared = [text.partition(":")[0] for text in answers["parameters"]]
    assert [*project.get_entry_point("main").parameters] == declared
    assert yaml.safe_load((folder / "my_step/conda.yml").read_text())["dependencies"]
    script = folder / "my_step" / answers["script_name"]
    text = script.read_text(encoding="utf-8")
    if script.suffix == ".py":
        told = ast.get_docstring(ast.parse(text))
        wanted = f"{answers['short_description']} {answers['long_description']}"
    elif script.suffix == ".ipynb":
        cells = nbformat.reads(text, as_version=4).cells
        for cell in cells[1:]:
            compile(cell.source, "cell", "exec")
        told, wanted = cells[0].source, answers["long_description"]
    else:
        ran = subprocess.run(["bash", script, "--help"], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        told = ran.stdout
        wanted = "".join(filter(str.isprintable, answers["long_description"]))
    for word in wanted.split():
        assert word in "".join(told.split())


@pytest.mark.slow
def test_components_of_each_kind_run(tmp_path):
    folder = clone(tmp_path / "clone")
    declared = {
        "none": ("run.sh", ""),
        "two": ("run.ipynb", " b:int=7 , a:model_output=elm"),
        "five": ("run.py", "c:json=[1, 2], a, e:output=made.txt, f:model_output=oak, b:int=7"),
    }
    for name, (script, parameters) in declared.items():
        given = shlex.quote(f"parameters={parameters}")
        ran = type_in(
            folder,
            "cookiecutter cookie-mlflow-step -o src --no-input "
            f"step_name={name} script_name={script} {given}",
            HOME=str(tmp_path),
        )
        assert ran.returncode == 0, ran.stdout
    ran = type_in(folder, f"python main.py --steps={','.join(declared)}")
    assert ran.returncode == 0, ran.stdout
    store = store_of(folder)
    children = store.children(store.pipeline())
    assert [run.info.run_name for run in children] == [*declared]
    assert {run.info.status for run in children} == {"FINISHED"}
