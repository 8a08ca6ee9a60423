"""tasks.py: what it reads, installs and starts; nothing is installed here."""

import ast
import re
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from conftest import ROOT

import tasks

PACKAGES = ["a==1", "b[x]>=2,<3"]


def test_an_old_python_can_read_it():
    ast.parse((ROOT / "tasks.py").read_text("utf-8"), feature_version=(3, 6))


def test_make_has_all_tasks():
    text = (ROOT / "Makefile").read_text("utf-8")
    assert re.search("^TASKS := (.*)", text, re.MULTILINE)[1].split() == [*tasks.TASKS]


@pytest.mark.parametrize(
    "text",
    [
        "dependencies:\n  - python=3.11\n  - pip:\n      - a==1\n      - b[x]>=2,<3\n",
        "dependencies:\n- pip:\n  # why\n  - a==1 # because\n\n  - 'b[x]>=2,<3'\n- numpy=1\n",
        'dependencies:\r\n - pip :\r\n   - "a==1"\r\n   - b[x]>=2,<3\r\nchannels:\r\n - c\r\n',
        "dependencies:\n  -   pip:\n    -   a==1\n    -   b[x]>=2,<3\nvariables:\n  - d\n",
    ],
)
def test_packages_of_an_environment(text):
    assert tasks.read_packages(text.replace("pip :", "pip:")) == PACKAGES


def test_the_packages_are_those_that_yaml_has():
    import yaml

    text = (ROOT / "environment.yml").read_text("utf-8")
    assert tasks.read_packages(text) == yaml.safe_load(text)["dependencies"][-1]["pip"]


class TestRunning:
    @pytest.fixture
    def started(self, monkeypatch):
        """What is started, each with success."""
        started = []
        monkeypatch.setattr(tasks, "set_up", lambda task: None)
        monkeypatch.setattr(tasks, "execute", lambda words, variables: started.append(words))
        return started

    @pytest.mark.parametrize(
        ("typed", "passed"),
        [
            ([], ["--env-manager", "local"]),
            (["-P", "steps=a,b"], ["--env-manager", "local", "-P", "steps=a,b"]),
            (["-e", "plan", "--env-manager=uv"], ["-e", "plan", "--env-manager=uv"]),
            (["--env-manager", "uv"], ["--env-manager", "uv"]),
        ],
    )
    def test_run_takes_what_mlflow_run_takes(self, started, typed, passed):
        assert tasks.main("run", *typed) == 0
        assert started == [["mlflow", "run", ".", *passed]]

    def test_more_words_go_to_pytest(self, started):
        tasks.main("test", "tests/test_files.py", "-k", "two words")
        assert started[0][-4:] == ["not nightly", "tests/test_files.py", "-k", "two words"]

    def test_the_first_failure_ends_a_task(self, started, monkeypatch):
        monkeypatch.setattr(tasks, "execute", lambda words, _: started.append(words[:2]) or 3)
        assert tasks.main("lint") == 3
        assert started == [["ruff", "check"]]

    def test_alone_it_lists_the_tasks(self, started, capsys):
        assert (tasks.main(), tasks.main("--help"), tasks.main("what")) == (0, 0, 2)
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == [*tasks.TASKS] * 3
        assert not started

    def test_a_status_is_that_of_the_command(self):
        assert tasks.execute([sys.executable, "-c", "raise SystemExit(7)"], None) == 7


def test_the_page_is_that_of_the_newest_run(tmp_path):
    assert tasks.page_of_last_run(tmp_path / "mlflow.db") == ""
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as store:
        store.execute("CREATE TABLE runs (experiment_id INTEGER, start_time BIGINT)")
        assert tasks.page_of_last_run(tmp_path / "mlflow.db") == ""
        store.executemany("INSERT INTO runs VALUES (?, ?)", [(0, 10), (7, 12), (1, 11)])
        store.commit()
    page = tasks.page_of_last_run(tmp_path / "mlflow.db")
    assert page == "#/experiments/7/runs?workflowType=machine_learning"


def move_to(root, monkeypatch):
    """Let this folder be the repository."""
    for name, path in {"ROOT": root, "VENV": root / ".venv", "BIN": root / ".venv/bin"}.items():
        monkeypatch.setattr(tasks, name, path)


class TestSettingUp:
    @pytest.fixture(autouse=True)
    def folder(self, monkeypatch, tmp_path):
        """A repository with a space in its path, and a stand-in for making its environment."""
        root = tmp_path / "a clone"
        (root / ".venv/bin").mkdir(parents=True)
        (root / "environment.yml").write_text("- pip:\n  - a==1\n")
        move_to(root, monkeypatch)
        self.installed = []
        monkeypatch.setattr(tasks, "install", self.install)
        return root

    def install(self, packages):
        self.installed.append(packages)
        python = tasks.BIN / ("python.exe" if sys.platform == "win32" else "python")
        python.touch()
        python.chmod(0o755)
        (tasks.VENV / "lib/python3/site-packages").mkdir(parents=True, exist_ok=True)

    def test_once_and_again_when_the_list_changes(self, folder):
        for _ in range(2):
            tasks.set_up("run")
        assert self.installed == [["a==1"]]
        (folder / "environment.yml").write_text("- pip:\n  - a==2\n")
        tasks.set_up("run")
        assert self.installed == [["a==1"], ["a==2"]]

    def test_again_for_a_folder_that_was_moved(self, folder, monkeypatch):
        tasks.set_up("run")
        moved = folder.rename(folder.with_name("moved"))
        move_to(moved, monkeypatch)
        tasks.set_up("run")
        assert len(self.installed) == 2

    @pytest.mark.parametrize(
        "error", [KeyboardInterrupt(), subprocess.CalledProcessError(1, "uv"), OSError("full")]
    )
    def test_one_that_fails_is_made_again(self, monkeypatch, error):
        def fail(packages):
            raise error

        with monkeypatch.context() as patch, pytest.raises(SystemExit, match=r"tasks\.py lint"):
            patch.setattr(tasks, "install", fail)
            tasks.set_up("lint")
        assert not (tasks.VENV / "ready").exists()
        tasks.set_up("lint")
        assert self.installed

    @pytest.mark.parametrize("version", [(3, 9, 1), (3, 10, 0), (3, 15, 0)])
    def test_a_python_that_does_not_fit_installs_nothing(self, monkeypatch, version):
        monkeypatch.setattr(sys, "version_info", version)
        with pytest.raises(SystemExit, match=r"take one of 3\.11 to 3\.14"):
            tasks.set_up("run")
        assert not self.installed


@pytest.mark.parametrize("failing", ["", "uv", "pip"])
def test_pip_takes_the_place_of_a_uv_that_fails(monkeypatch, tmp_path, failing):
    started = []

    def run(words, check=False):
        started.append([words[0], *words[1:4]])
        failed = failing == words[0] or (failing == "pip" and "-r" in words)
        if check and failed:
            raise subprocess.CalledProcessError(1, words)
        return subprocess.CompletedProcess(words, int(failed))

    monkeypatch.setattr(tasks, "VENV", tmp_path)
    monkeypatch.setattr("subprocess.run", run)
    monkeypatch.setattr("shutil.which", lambda name, path=None: name)
    (tmp_path / "ready").touch()
    if failing == "pip":
        monkeypatch.setattr(
            "shutil.which", lambda name, path=None: name if name == "python" else None
        )
        with pytest.raises(subprocess.CalledProcessError):
            tasks.install(PACKAGES)
    else:
        tasks.install(PACKAGES)
    pip = ["python", "-m", "pip", "install"]
    uv = ["uv", "pip", "install", "--compile-bytecode"]
    expected = {"": [uv], "uv": [uv, pip], "pip": [pip, pip]}
    assert started == [[sys.executable, "-m", "venv", "--clear"], *expected[failing]]
    assert not (tmp_path / "ready").exists()


class TestWithoutConda:
    @pytest.fixture
    def passed(self, monkeypatch):
        """What a program of .venv is given, after what was typed and what the machine has."""

        def passed(typed, conda="", **variables):
            words = typed.split()
            monkeypatch.setattr(sys, "orig_argv", ["python", *words])
            is_module = words[0] == "-m"
            monkeypatch.setattr(sys, "argv", ["-m", *words[2:]] if is_module else words)
            monkeypatch.setattr("shutil.which", lambda name: conda)
            for name in ("CONDA_EXE", "MLFLOW_CONDA_HOME"):
                monkeypatch.delenv(name, raising=False)
            for name, value in variables.items():
                monkeypatch.setenv(name, value)
            tasks.without_conda()
            return " ".join(sys.argv[1:])

        return passed

    @pytest.mark.parametrize(
        "typed",
        [
            "/venv/bin/mlflow run . -P a=run",
            r"C:\venv\Scripts\mlflow.exe run . -P a=run",
            "-m mlflow run . -P a=run",
        ],
    )
    def test_mlflow_run_is_local_and_says_so(self, passed, capsys, typed):
        assert passed(typed) == "run --env-manager local . -P a=run"
        assert capsys.readouterr().err.count("\n") == 1

    def test_options_before_run(self, passed):
        assert passed("mlflow --env-file f run .") == "--env-file f run --env-manager local ."

    @pytest.mark.parametrize(
        "typed",
        [
            *("mlflow run . --env-manager local", "mlflow run . --env-manager=conda"),
            *("mlflow run --help", "mlflow ui", "pytest run", "main.py --steps=run"),
        ],
    )
    def test_the_rest_is_as_it_was_typed(self, passed, capsys, typed):
        assert passed(typed) == typed.partition(" ")[2]
        assert not capsys.readouterr().err

    @pytest.mark.parametrize(
        "machine",
        [{"conda": "/bin/conda"}, {"CONDA_EXE": "/conda"}, {"MLFLOW_CONDA_HOME": "/conda"}],
    )
    def test_conda_is_used_where_it_is(self, passed, machine):
        assert passed("mlflow run .", **machine) == "run ."

    @pytest.mark.parametrize("typed", ["--env-manager virtualenv", "--env-manager=virtualenv"])
    def test_a_manager_that_is_not_there_is_told(self, passed, capsys, monkeypatch, typed):
        def leave(status):
            raise SystemExit(status)

        monkeypatch.setattr(tasks.os, "_exit", leave)
        with pytest.raises(SystemExit, match="2"):
            passed(f"mlflow run . {typed}")
        assert "--env-manager virtualenv needs pyenv, which is not" in capsys.readouterr().err
        assert passed(f"mlflow run . {typed}", conda="/bin/pyenv") == f"run . {typed}"
