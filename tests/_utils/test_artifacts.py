import mlflow
import pytest

from _utils.artifacts import digest_of, find_artifact, log_artifact, parse_reference, use_artifact
from _utils.errors import UserError

ABC = "ba7816bf8f01"  # SHA-256 of "abc", the first 12 digits


@pytest.fixture(scope="module", autouse=True)
def experiment(scratch_store):
    mlflow.set_experiment("artifacts")


@pytest.fixture
def publish(tmp_path):
    def publish(name, text, status="FINISHED"):
        mlflow.start_run()
        path = tmp_path / name
        path.write_text(text)
        artifact = log_artifact(path, type="text", description="a text")
        mlflow.end_run(status)
        return artifact

    return publish


def read(reference):
    with mlflow.start_run():
        return use_artifact(reference).read_text()


def test_a_file_is_known_by_its_content(publish):
    artifact = publish("file.txt", "abc")
    assert artifact.reference == f"file.txt:{ABC}"
    assert artifact.size == 3
    assert read(artifact.reference) == read("file.txt:latest") == "abc"


def test_latest_is_the_newest_also_when_it_was_there_before(publish):
    first, second, third = (publish("turns.txt", text) for text in ["one", "two", "one"])
    assert first.version == third.version != second.version
    assert read("turns.txt:latest") == "one"
    assert read(second.reference) == "two"


def test_a_folder_is_one_artifact(tmp_path):
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner/file.txt").write_text("abc")
    with mlflow.start_run():
        artifact = log_artifact(folder, type="folder")
    with mlflow.start_run():
        assert (use_artifact(artifact.reference) / "inner/file.txt").read_text() == "abc"
    (folder / "inner/file.txt").rename(folder / "inner/other.txt")
    assert digest_of(folder) != artifact.digest


def test_what_a_failed_run_published_is_not_seen(publish):
    publish("failed.txt", "abc", status="FAILED")
    with pytest.raises(UserError, match="never published"):
        read("failed.txt:latest")


def test_a_digest_is_found_in_any_experiment_and_latest_in_its_own(publish):
    artifact = publish("far.txt", "far")
    other = mlflow.create_experiment("other")
    assert find_artifact("far.txt", artifact.version) == artifact
    with pytest.raises(UserError, match=r"'far.txt:latest' was never published"):
        find_artifact("far.txt", "latest", other)


def test_tampered_bytes_are_refused(publish):
    artifact = publish("tampered.txt", "abc")
    with mlflow.start_run():
        use_artifact(artifact.reference).write_text("abd")
        with pytest.raises(UserError, match=rf"'tampered.txt:{ABC}'.*expected.*{ABC}.*found"):
            use_artifact(artifact.reference)


def test_a_missing_version_lists_those_there_are(publish):
    artifact = publish("listed.txt", "abc")
    with pytest.raises(UserError, match=rf"'listed.txt:0{{12}}'.*{artifact.version}"):
        read("listed.txt:000000000000")


def test_inputs_and_outputs_are_tags_of_the_runs(publish):
    artifact = publish("lineage.txt", "lineage")
    with mlflow.start_run() as run:
        use_artifact("lineage.txt:latest")
    user = mlflow.get_run(run.info.run_id)
    assert user.data.tags["input.lineage.txt"] == artifact.version
    assert [(data.dataset.name, data.dataset.digest) for data in user.inputs.dataset_inputs] == [
        ("lineage.txt", artifact.version)
    ]


@pytest.mark.parametrize("name", ["", "a b.txt", "../a", "ä.txt", ".hidden", "a:b"])
def test_a_name_that_is_not_allowed(name, tmp_path):
    with mlflow.start_run(), pytest.raises(UserError, match="cannot be an artifact's name"):
        log_artifact(tmp_path, name=name or " ", type="text")


@pytest.mark.parametrize("reference", ["", "a", "a:", ":latest", "a:1", "a:LATEST", "a:b:latest"])
def test_a_reference_that_is_none(reference):
    with pytest.raises(UserError, match="names no artifact"):
        parse_reference(reference)
