"""A SLURM cluster on this machine, for the tests that need one."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from servers import free_port

# Where Debian has daemons is on the path of root alone
PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
DAEMONS = ["munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd"]
SETTINGS = """
ClusterName=test
SlurmctldHost=localhost
SlurmctldPort={controller}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
ProctrackType=proctrack/linuxproc
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1
KillWait=5
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={accounting}
NodeName=n[1-2] NodeHostname=localhost Port={first},{second} CPUs=2 RealMemory=4000
PartitionName=debug Nodes=n[1-2] Default=YES
"""
ACCOUNTING = """
DbdHost=localhost
DbdPort={accounting}
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageUser=root
"""


def lacking() -> str:
    """Why there can be no cluster here; nothing if there can."""
    if not all(shutil.which(name, path=PATH) for name in DAEMONS):
        return "needs SLURM: apt-get install slurm-wlm slurmdbd munge mariadb-server"
    return "" if os.geteuid() == 0 else "only root can run a SLURM cluster"


class Slurm:
    """Nodes n1 and n2 of two CPUs each, and accounting; `environment` is what a user of it sets."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        # The database listens there only, and lets in the user who started it
        socket = {"MYSQL_UNIX_PORT": str(folder / "mysql.sock")}
        variables = {**os.environ, "PATH": PATH, **self.environment, **socket}
        self.within = {"cwd": folder, "env": variables}
        self.daemons = []

    def start(self) -> None:
        ports = {name: free_port() for name in ("controller", "accounting", "first", "second")}
        for name, settings in ("slurm", SETTINGS), ("slurmdbd", ACCOUNTING):
            file = self.folder / f"{name}.conf"
            file.touch(mode=0o600)
            file.write_text(settings.format(folder=self.folder, **ports))
        if not self.works("munge", "-n"):
            # It stays, for a machine has only one
            Path("/run/munge").mkdir(mode=0o755, exist_ok=True)
            shutil.chown("/run/munge", "munge", "munge")
            subprocess.run(["munged"], user="munge", group="munge", **self.within | {"cwd": "/"})
            self.until(lambda: self.works("munge", "-n"))
        data = ["--no-defaults", "--user=root", f"--datadir={self.folder / 'db'}"]
        self.run("mariadb-install-db", *data, "--auth-root-authentication-method=socket")
        self.daemon("mariadbd", *data, "--skip-networking")
        self.until(lambda: self.works("mariadb-admin", "--no-defaults", "ping"))
        self.daemon("slurmdbd", "-D")
        self.until(lambda: self.works("sacct"))
        self.daemon("slurmctld", "-D")
        self.until(lambda: self.works("sinfo"))
        self.daemon("slurmd", "-D", "-N", "n1")
        self.daemon("slurmd", "-D", "-N", "n2")
        self.until(lambda: self.run("sinfo", "--noheader", "--format=%D %T") == "2 idle")

    def stop(self) -> None:
        """End all jobs, then what runs them."""
        try:
            if len(self.daemons) > 2:
                self.run("scancel", "--user=root")
                self.until(lambda: not self.run("squeue", "--noheader"))
        finally:
            while self.daemons:
                last = self.daemons.pop()
                last.terminate()
                last.wait()

    def run(self, *command: str) -> str:
        """What a command such as `sbatch` prints."""
        ran = subprocess.run(command, capture_output=True, text=True, **self.within)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout.strip()

    def works(self, *command: str) -> bool:
        return subprocess.run(command, capture_output=True, **self.within).returncode == 0

    def daemon(self, *command: str) -> None:
        with (self.folder / "log").open("a") as log:
            output = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            started = subprocess.Popen(command, **output, **self.within, start_new_session=True)
        self.daemons.append(started)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for a condition while all daemons are alive, for a minute at most."""
        deadline = time.monotonic() + 60
        while not holds():
            alive = all(daemon.poll() is None for daemon in self.daemons)
            assert alive and time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.1)
