"""Whether components start warm or as new processes, they have the same results."""

import pytest
from conftest import clone, store_of, type_in

pytestmark = pytest.mark.nightly


def results(store, folder):
    """What each component recorded, but for times, and for the model, which has its run's id."""
    found = {}
    for run in store.children(store.pipeline()):
        tags = {k: v for k, v in run.data.tags.items() if k.startswith(("output.", "input."))}
        packages = store.text(run, "requirements.txt", folder)
        facts = [run.data.params, run.data.metrics, tags, sorted(store.files(run)), packages]
        found[run.info.run_name] = facts
    model = found["train_random_forest"][2]["output.random_forest"]
    return {name: str(facts).replace(model, "<model>") for name, facts in found.items()}


def test_a_warm_start_changes_no_result(ran_once, tmp_path):
    folder = clone(tmp_path / "cold")
    ran = type_in(folder, "python main.py main.warm_start=false")
    assert ran.returncode == 0, ran.stdout
    cold = results(store_of(folder), tmp_path)
    for name, warm in results(store_of(ran_once), tmp_path).items():
        assert warm == cold[name]
