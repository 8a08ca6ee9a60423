"""What a component may use."""

import mlflow
import pytest

from _utils.artifacts import log_artifact, set_alias, use_artifact
from _utils.component import shell
from _utils.errors import UserError


@pytest.mark.usefixtures("scratch_store")
def test_under_main_only_what_the_plan_pinned_is_used(tmp_path, monkeypatch, capsys):
    (tmp_path / "used.txt").write_text("abc")
    with mlflow.start_run(experiment_id=mlflow.create_experiment("pinned")):
        made = log_artifact(tmp_path / "used.txt", type="text")
    set_alias(made.reference, "best")
    with mlflow.start_run(experiment_id=mlflow.get_experiment_by_name("pinned").experiment_id):
        for reference in (made.reference, "used.txt:latest", "used.txt:best"):
            assert use_artifact(reference).read_text() == "abc"
        monkeypatch.setenv("ARTIFACTS_PINNED", "true")  # as a plan does
        for reference in ("used.txt:latest", "used.txt:best"):
            told = f"'{reference}' has no version from main.py.* parameter ..._artifact"
            with pytest.raises(UserError, match=told):
                use_artifact(reference)
            with pytest.raises(UserError, match=told):
                shell.main(["use", reference])
        shell.main(["use", made.reference])
    assert capsys.readouterr().out.strip().endswith("used.txt")
