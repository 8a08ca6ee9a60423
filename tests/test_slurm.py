import re
import shlex
import signal

import psutil
import pytest
from conftest import Store, Typed, clone, type_in
from documents import changed, documented
from servers import TrackingServer
from small import make_small
from test_sweep import command, wait_for

pytestmark = pytest.mark.slow


def state(slurm, job: str) -> str:
    return slurm.run("sacct", "--noheader", "--allocations", f"--job={job}", "--format=State%30")


def test_array_runs_on_both_nodes(slurm, tmp_path):
    all_at_once = f"""
    touch {tmp_path}/$SLURM_ARRAY_TASK_ID.$SLURMD_NODENAME
    until [ $(ls {tmp_path} | wc -l) = 4 ]; do sleep 0.1; done
    """
    slurm.run("sbatch", "--wait", "--array=0-3", "--time=1", f"--wrap={all_at_once}")
    found = sorted(file.name for file in tmp_path.iterdir())
    assert [name.split(".")[0] for name in found] == ["0", "1", "2", "3"]
    assert sorted(name.split(".")[1] for name in found) == ["n1", "n1", "n2", "n2"]


def test_cancelled_job_is_told(slurm):
    job = slurm.run("sbatch", "--parsable", "--wrap=sleep 600")
    slurm.until(lambda: state(slurm, job) == "RUNNING")
    slurm.run("scancel", job)
    slurm.until(lambda: state(slurm, job).startswith("CANCELLED"))


@pytest.fixture(scope="module")
def cluster(slurm, postgresql, tmp_path_factory):
    """What a user of the cluster sets: where it is, and a server that its nodes can reach."""
    database = postgresql.url.replace("postgresql:", "postgresql+psycopg:")
    server = TrackingServer(tmp_path_factory.mktemp("server"), database)
    yield slurm.environment | {"MLFLOW_TRACKING_URI": server.url}
    server.stop()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make_small(clone(tmp_path_factory.mktemp("small")))


def on_slurm(values: str, *options: str) -> str:
    launcher = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=debug"]
    few = ["hydra.launcher.timeout_min=5", "hydra.launcher.array_parallelism=3"]
    return command(values, *launcher, *few, *options)


def is_long(process: psutil.Process) -> bool:
    return (process.info["cmdline"] or [])[-2:] == ["run.py", "long"]  # none: it has ended


class TestSweep:
    def test_is_the_same_as_on_one_machine(self, small, cluster, slurm):
        server = documented("MLpipeline.md", "export MLFLOW_TRACKING_URI=")
        server = changed(server, {"http://<host>:5000": cluster["MLFLOW_TRACKING_URI"]})
        command = documented("MLpipeline.md", "hydra/launcher=submitit_slurm")
        changes = {
            "steps=train_random_forest": "steps=all",
            "modeling.max_tfidf_features=10,15,30": "components.trial.parameters.x=left,right,4,0",
            "modeling.random_forest.max_features=range(1,100,2) ": "",
        }
        ran = type_in(small, f"{server}\n{changed(command, changes)}", **slurm.environment)
        assert ran.returncode == 1, ran.stdout
        assert "Sweep: 4 jobs, 1 failed" in ran.stdout
        assert "x=0: Component 'trial' failed with exit code 1." in ran.stdout
        store = Store(cluster["MLFLOW_TRACKING_URI"])
        jobs = store.children(store.pipeline())
        assert sorted(job.info.status for job in jobs) == ["FAILED"] + ["FINISHED"] * 3
        prepared = [store.children(job)[0].data.tags.get("reused_from") for job in jobs]
        assert sorted(map(bool, prepared)) == [False, True, True, True]
        assert (small / "outputs/prepared.txt").read_text() == "once\n"

    def test_a_killed_job_costs_itself_only(self, small, cluster, slurm):
        typed = Typed(small, on_slurm("long,4,5"), **cluster)
        store = Store(cluster["MLFLOW_TRACKING_URI"])
        wait_for((small / "outputs/started-long").exists)
        wait_for(lambda: len(store.children(store.pipeline())) == 3)
        (component,) = [each for each in psutil.process_iter(["cmdline"]) if is_long(each)]
        (task,) = [
            each for each in component.parents() if "submitit.core._submit" in each.cmdline()
        ]
        task.kill()
        assert typed.end() == 1
        assert "SLURM ended a job." in typed.text
        assert "x=long: its process was killed" in typed.text
        assert "Traceback" not in typed.text
        statuses = {
            job.info.run_name[-1]: job.info.status for job in store.children(store.pipeline())
        }
        assert statuses == {"g": "KILLED", "4": "FINISHED", "5": "FINISHED"}
        assert not [run for run in store.runs() if run.info.status == "RUNNING"]

    def test_ctrl_c_takes_all_jobs_off_the_queue(self, small, cluster, slurm):
        (small / "outputs/started-long").unlink(missing_ok=True)
        typed = Typed(small, on_slurm("long,longer,7,8,9,10,11", "main.reuse=false"), **cluster)
        wait_for((small / "outputs/started-long").exists)
        typed.signal(signal.SIGINT, "all")
        assert typed.end() == 130
        wait_for(lambda: not slurm.run("squeue", "-h"), patience=30)
        assert "scancel" not in typed.text
        store = Store(cluster["MLFLOW_TRACKING_URI"])
        sweep = store.pipeline()
        jobs = store.children(sweep)
        below = [run for job in jobs for run in store.children(job)]
        statuses = {run.info.status for run in [sweep, *jobs, *below]}
        assert statuses - {"FINISHED"} == {"KILLED"}


def test_a_store_that_nodes_cannot_reach_is_refused(small):
    ran = type_in(small, on_slurm("1,2"))
    assert ran.returncode == 1
    assert ran.stdout.startswith("hydra/launcher=submitit_slurm runs on machines that cannot reach")
    assert "start `mlflow server` with a PostgreSQL database" in ran.stdout
    assert not (small / "mlflow.db").exists()
    ran = type_in(small, "python main.py main.backend=slurm")
    assert ran.returncode == 1
    assert "main.backend=slurm runs on machines that cannot reach" in ran.stdout


class TestComponent:
    """One component on a node, through srun."""

    ON_NODE = "python main.py main.backend=slurm +main.backend_config.partition=debug"

    def test_its_log_and_its_parameters_are_as_on_this_machine(self, small, cluster):
        script = small / "src/trial/run.py"
        original = script.read_text()
        told = "import os, sys; print(os.environ['SLURMD_NODENAME'], sys.argv[1:])"
        script.write_text(f"{told}\n")
        text = '"two" words, $HOME; x'
        value = shlex.quote(f"components.trial.parameters.x='{text}'")
        ran = type_in(small, f"{self.ON_NODE} {value}", **cluster)
        script.write_text(original)
        assert ran.returncode == 0, ran.stdout
        assert re.search(r"^n[12] " + re.escape(repr([text])), ran.stdout, re.MULTILINE)
        store = Store(cluster["MLFLOW_TRACKING_URI"])
        trial = store.children(store.pipeline())[1]
        assert trial.data.tags["mlflow.project.backend"] == "slurm"

    def test_its_failure_is_told(self, small, cluster):
        failed = type_in(small, f"{self.ON_NODE} components.trial.parameters.x=0", **cluster)
        assert failed.returncode == 1
        assert "Component 'trial' failed with exit code 1." in failed.stdout
        assert "ZeroDivisionError" in failed.stdout

    @pytest.mark.parametrize(("end", "status"), [("scancel", 1), ("Ctrl-C", 130)])
    def test_it_can_be_cancelled(self, small, cluster, slurm, end, status):
        typed = Typed(small, f"{self.ON_NODE} components.trial.parameters.x=long", **cluster)
        typed.until("at work")
        if end == "scancel":
            slurm.run("scancel", "--user=root")
        else:
            typed.signal(signal.SIGINT, "all")
        assert typed.end() == status
        slurm.until(lambda: not slurm.run("squeue", "-h"))
        store = Store(cluster["MLFLOW_TRACKING_URI"])
        trial = store.children(store.pipeline())[1]
        assert trial.info.status == ("FAILED" if end == "scancel" else "KILLED")
