import os

import pytest
from omegaconf import OmegaConf

from _utils.errors import UserError
from _utils.sweeps import sweep


@pytest.mark.parametrize(
    ("launcher", "sweeper", "jobs", "at_once", "share"),
    [
        ({"n_jobs": -1}, {}, 150, 8, "1"),
        ({"n_jobs": -1}, {}, 2, 2, "4"),  # two jobs on eight cores
        ({"n_jobs": 3}, {}, 150, 3, "2"),
        ({"n_jobs": -1}, {"n_jobs": 4}, 20, 4, "2"),  # an optimiser that asks for four at a time
        ({"cpus_per_task": 2}, {}, 150, None, "2"),
        ({"cpus_per_task": None}, {}, 150, None, "1"),
        ({"_target_": "one after the other"}, {}, 150, None, None),
    ],
)
def test_jobs_share_the_cores(monkeypatch, launcher, sweeper, jobs, at_once, share):
    monkeypatch.setattr(sweep, "cpu_count", lambda: 8)
    monkeypatch.setattr(sweep, "effective_n_jobs", lambda n: 8 if n == -1 else n)
    monkeypatch.setattr(os, "environ", {})
    hydra = OmegaConf.create({"launcher": launcher, "sweeper": sweeper})
    sweep.share_cores(hydra, jobs)
    assert hydra.launcher.get("n_jobs") == at_once
    assert os.environ.get("LOKY_MAX_CPU_COUNT") == os.environ.get("OMP_NUM_THREADS") == share


def test_no_job_at_a_time_is_refused():
    hydra = OmegaConf.create({"launcher": {"n_jobs": 0}, "sweeper": {}})
    with pytest.raises(UserError, match=r"n_jobs=0: write how many jobs"):
        sweep.share_cores(hydra, 2)
