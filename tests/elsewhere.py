"""Components that run by themselves, as on a second machine."""

from conftest import clone, type_in

from _utils.artifacts.index import outputs_of


def version_of(name, store, experiment):
    """The version of an artifact that was published in an experiment."""
    made = [each for run in store.runs(experiment) for each in outputs_of(run)]
    return next(each.version for each in made if each.name == name)


def run_elsewhere(command, store, experiment, folder, **variables):
    """Run a component by itself, as on a second machine; returns its run."""
    home = folder / "another home"
    home.mkdir()
    options = f"--env-manager local --experiment-name {experiment}-second"
    ran = type_in(clone(folder / "second"), f"{command} {options}", HOME=str(home), **variables)
    assert ran.returncode == 0, ran.stdout
    (run,) = store.runs(f"{experiment}-second")
    return run
