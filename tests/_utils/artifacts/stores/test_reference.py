"""The user's own storage and databases."""

import re
import shutil
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from conftest import NO_LINKS
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem
from sqlalchemy import create_engine, text

from _utils.artifacts import is_present, log_artifact, log_reference, use_artifact
from _utils.artifacts.digests import digest_of
from _utils.artifacts.index import Artifact
from _utils.artifacts.stores import reference_store
from _utils.errors import UserError
from _utils.tabular import from_database
from _utils.tabular.tables import read_table


@pytest.fixture(scope="module", autouse=True)
def experiment(scratch_store):
    mlflow.set_experiment("reference")


def use(reference):
    with mlflow.start_run():
        return use_artifact(reference)


def refer(uri, name, **options):
    with mlflow.start_run():
        return log_reference(uri, type="raw_data", name=name, **options)


class TestFiles:
    def test_a_file_is_read_where_it_lies(self, tmp_path):
        file = tmp_path / "lies.csv"
        file.write_bytes(b"a,b\n1,2\n")
        artifact = refer(file.as_uri(), "lies.csv", description="there already")
        assert (artifact.digest, artifact.size, artifact.store) == (digest_of(file), 8, "reference")
        assert use(artifact.reference) == file
        file.write_text("a,b\n1,3\n")
        with pytest.raises(UserError, match="was changed after it was published"):
            use(artifact.reference)

    @pytest.mark.slow
    def test_a_folder_of_an_object_store(self, s3, monkeypatch, tmp_path):
        for name, value in s3.variables.items():
            monkeypatch.setenv(name, value)
        (tmp_path / "inner").mkdir()
        for path, content in {"a.txt": b"a", "inner/b.txt": b"bb"}.items():
            s3.files.pipe(f"bucket/theirs/{path}", content)
            (tmp_path / path).write_bytes(content)
        artifact = refer("s3://bucket/theirs", "folder")
        assert (artifact.digest, artifact.size) == (digest_of(tmp_path), 3)
        assert (use("folder:latest") / "inner/b.txt").read_text() == "bb"

    @NO_LINKS
    def test_a_linked_folder_that_was_added_is_noticed(self, tmp_path):
        """Whoever reads all files of the folder reads those too."""
        folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
        for each in (folder, elsewhere):
            each.mkdir()
            (each / "a.csv").write_text("a")
        artifact = refer(folder.as_uri(), "linked")
        assert use(artifact.reference) == folder
        (folder / "more").symlink_to(elsewhere)
        with pytest.raises(UserError, match="was changed after it was published"):
            use(artifact.reference)

    def test_with_a_snapshot_id_it_is_not_read(self, tmp_path):
        file = tmp_path / "big.csv"
        file.write_text("a")
        first = refer(file.as_uri(), "big.csv", snapshot="2026-11-01")
        again = refer(file.as_uri(), "big.csv", snapshot="2026-11-01")
        other = refer(file.as_uri(), "big.csv", snapshot="2026-11-02")
        assert first.version == again.version != other.version
        file.write_text("ab")
        assert use(first.reference) == file and is_present(first)
        file.unlink()
        assert not is_present(first)

    def test_a_file_that_cannot_be_written_whole_leaves_nothing(self, tmp_path, monkeypatch):
        monkeypatch.setenv("ARTIFACT_STORE", "reference")
        monkeypatch.setenv("STORAGE_URL", (tmp_path / "storage").as_uri())
        (tmp_path / "file.txt").write_text("abc")

        def disk_full(source, target, **options):
            Path(target).write_bytes(b"ab")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(shutil, "copyfile", disk_full)
        with mlflow.start_run() as run, pytest.raises(UserError, match="No space left on device"):
            log_artifact(tmp_path / "file.txt", type="text")
        assert not [each for each in (tmp_path / "storage").rglob("*") if each.is_file()]
        assert "output.file.txt" not in mlflow.get_run(run.info.run_id).data.tags

    @pytest.mark.parametrize("key", ["../evil", "inner/../../evil", "..\\evil", "/C:/x"])
    def test_keys_of_a_storage_write_nothing_outside(self, key, monkeypatch):
        """Nor inside: all are looked at before the first is written."""
        files = {f"/theirs/{name}": MemoryFile(None, name, b"evil") for name in ("a", key)}
        monkeypatch.setattr(MemoryFileSystem, "store", files)
        monkeypatch.setattr(MemoryFileSystem, "find", lambda system, path: [*files])
        monkeypatch.setattr(MemoryFileSystem, "get_file", lambda *arguments: pytest.fail())
        artifact = Artifact("x", "0" * 64, "memory://theirs", 8, "data", "", "", "reference")
        with pytest.raises(UserError, match="cannot be the name of a file in"):
            reference_store.get(artifact)
        with pytest.raises(UserError, match="cannot be the name of a file in"):
            refer("memory://theirs", "x")


class TestFaults:
    @pytest.mark.parametrize(
        ("url", "fault"),
        [
            ("", "say where, with main.storage_url="),
            ("s3://key:secret@bucket", "holds a password or a query"),
            ("nonsense://bucket", "Protocol not known"),
            ("az://container/folder", "adlfs.*add it to all conda.yml"),
            (Path(__file__).as_uri(), "cannot be written"),
            pytest.param("s3://nobodys/folder", "Check its spelling", marks=pytest.mark.slow),
        ],
    )
    def test_each_is_told_with_its_cure(self, request, monkeypatch, url, fault):
        monkeypatch.setenv("STORAGE_URL", url)
        if "nobodys" in url:
            for name, value in request.getfixturevalue("s3").variables.items():
                monkeypatch.setenv(name, value)
        (found,) = reference_store.faults()
        assert re.search(fault, found)
        assert "secret" not in found

    @pytest.mark.parametrize(
        ("uri", "fault"),
        [
            ("file:///nowhere/cars.csv", "there is no such file or folder"),
            ("https://example.org/cars.csv?signature=secret", "holds a password or a query"),
            ("postgresql://user:secret@127.0.0.1/postgres/cars", "holds a password"),
            ("postgresql://127.0.0.1/postgres/cars?password=secret", "holds a password"),
            ("postgresql://127.0.0.1:1/postgres/cars", "Check its spelling and.* PGPASSWORD"),
            ("oracle://127.0.0.1/database/cars", "driver is missing"),
        ],
    )
    def test_what_cannot_be_referred_to(self, uri, fault):
        with pytest.raises(UserError, match=fault) as raised:
            refer(uri, "cars.csv")
        assert "secret" not in str(raised.value)

    @pytest.mark.slow  # it tries again for 8 seconds
    def test_a_server_that_does_not_answer(self, monkeypatch, s3):
        for name, value in s3.variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        monkeypatch.setenv("STORAGE_URL", "s3://bucket/folder")
        type(s3.files).clear_instance_cache()
        (fault,) = reference_store.faults()
        assert "s3://bucket/folder cannot be used: " in fault
        artifact = refer("s3://bucket/folder", "folder", snapshot="unread")
        with pytest.raises(UserError, match=r"folder cannot be used: .* the network"):
            use(artifact.reference)


@pytest.mark.slow
class TestTables:
    @pytest.fixture
    def execute(self, postgresql):
        """Sends statements to a database with the table `cars`."""
        engine = create_engine(postgresql.url)

        def execute(*statements):
            with engine.begin() as connection:
                for statement in statements:
                    connection.execute(text(statement))

        execute(
            "DROP TABLE IF EXISTS cars",
            "CREATE TABLE cars (id int PRIMARY KEY, name text, mpg float, price numeric, day date)",
            "INSERT INTO cars VALUES (2, NULL, 20.25, 1.1, '2012-01-01'), (1, 'a', 10.5, 2, NULL)",
        )
        yield execute
        engine.dispose()

    def test_it_is_used_as_a_parquet_file(self, postgresql, execute):
        artifact = refer(f"{postgresql.url}/cars", "cars.parquet")
        assert artifact.uri == f"{postgresql.url}/cars"
        assert is_present(artifact)
        path = use("cars.parquet:latest")
        cars = pd.read_parquet(path)
        assert path.name == "cars.parquet" and cars["id"].tolist() == [1, 2]  # the primary key
        assert cars["name"].tolist()[0] == "a" and cars["name"].isna().tolist() == [False, True]
        assert cars["mpg"].tolist() == [10.5, 20.25]

    def test_the_same_rows_in_any_order_are_the_same_version(self, postgresql, execute):
        artifact = refer(f"{postgresql.url}/public.cars", "cars")
        execute("UPDATE cars SET mpg = mpg WHERE id = 2")  # it comes last from now on
        assert refer(f"{postgresql.url}/cars", "cars").version == artifact.version

    def test_a_changed_row_is_refused(self, postgresql, execute):
        artifact = refer(f"{postgresql.url}/cars", "cars")
        execute("UPDATE cars SET mpg = mpg + 1 WHERE id = 2")
        with pytest.raises(UserError, match=rf"was changed .* found \w+ at {postgresql.url}/"):
            use(artifact.reference)
        snapshot = refer(f"{postgresql.url}/cars", "cars", snapshot="the 1st")
        execute("UPDATE cars SET mpg = mpg + 1 WHERE id = 2")
        assert pd.read_parquet(use(snapshot.reference))["mpg"].tolist() == [10.5, 22.25]

    @pytest.mark.parametrize("name", ["PGTZ", "PGDATESTYLE"])
    def test_the_session_makes_no_difference(self, postgresql, execute, monkeypatch, name):
        execute(
            "ALTER TABLE cars ADD at timestamptz DEFAULT '2012-05-06 00:00+02'",
            "ALTER TABLE cars ADD more jsonb DEFAULT '{\"a\": [1]}'",
            "ALTER TABLE cars ADD code int",
            "UPDATE cars SET code = 5 WHERE id = 1",
        )
        artifact = refer(f"{postgresql.url}/cars", "cars")
        monkeypatch.setenv(name, {"PGTZ": "Asia/Tokyo", "PGDATESTYLE": "German"}[name])
        cars = read_table(use(artifact.reference))
        assert cars["at"].dt.tz_convert("UTC").dt.hour.tolist() == [22, 22]
        assert cars["code"].astype("object").tolist() == [5, pd.NA]
        assert cars["more"].tolist() == ['{"a": [1]}'] * 2

    def test_types_are_those_of_all_chunks(self, postgresql, execute, monkeypatch):
        monkeypatch.setattr(from_database, "CHUNK_ROWS", 1)
        execute("INSERT INTO cars VALUES (3, NULL, 1, 123456789012345678901.25, NULL)")
        cars = read_table(use(refer(f"{postgresql.url}/cars", "cars").reference))
        assert cars["price"].map(str).tolist() == ["2.00", "1.10", "123456789012345678901.25"]
        assert cars["day"].astype("str").tolist()[1] == "2012-01-01"

    def test_a_table_without_rows(self, postgresql, execute):
        execute("DELETE FROM cars")
        cars = read_table(use(refer(f"{postgresql.url}/cars", "cars").reference))
        assert cars.empty and "mpg" in cars.columns

    def test_a_dropped_table_is_gone(self, postgresql, execute):
        artifact = refer(f"{postgresql.url}/cars", "cars")
        execute("DROP TABLE cars")
        assert not is_present(artifact)
        with pytest.raises(UserError, match="is gone from postgresql://"):
            use(artifact.reference)
        with pytest.raises(UserError, match="the table 'cars' cannot be read: NoSuchTableError"):
            refer(f"{postgresql.url}/cars", "cars")
