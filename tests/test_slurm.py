import pytest

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
