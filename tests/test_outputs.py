"""What a component makes and what its parameters say that it makes, as a user gets it wrong."""

import pytest
from conftest import clone, store_of, type_in

STEPS = "python main.py --steps=load,train main.experiment_name=outputs"
ADD = "cookiecutter cookie-mlflow-step -o src --no-input step_name="


def component(folder, name, parameters):
    made = type_in(folder, f"{ADD}{name} parameters={parameters}")
    assert made.returncode == 0, made.stdout


@pytest.mark.slow
def test_an_output_that_no_parameter_names_is_told_instead_of_an_older_one_used(tmp_path):
    folder = clone(tmp_path)
    component(folder, "load", "output_artifact:output=customers.txt")
    component(folder, "train", "input_artifact:artifact=customers.txt:latest")
    first = type_in(folder, STEPS)
    assert first.returncode == 0, first.stdout
    for file in ("src/load/MLproject", "src/load/run.py", "config.yaml"):
        text = (folder / file).read_text()
        (folder / file).write_text(text.replace("output_artifact", "output_name"))
    ran = type_in(folder, STEPS)
    assert ran.returncode == 1, ran.stdout
    told = "'load' published 'customers.txt', which none of its parameters names"
    assert told in ran.stdout and "Traceback" not in ran.stdout
    store = store_of(folder)
    assert len(store.children(store.pipeline("outputs"), "outputs")) == 1
