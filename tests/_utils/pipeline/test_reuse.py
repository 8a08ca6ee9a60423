from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from _utils.pipeline import reuse
from _utils.pipeline.component import Component
from _utils.pipeline.reuse import differences, digest_of_key, find_run, make_reusable, recent_runs


def key(files=None, **parameters):
    return {"entry_point": "main", "files": files or {"run.py": "1"}, "parameters": parameters}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (key(), key(), []),
        (
            key({"a": "1", "b": "1"}),
            key({"a": "2", "c": "1"}),
            ["a changed", "b is no longer an input", "c is new"],
        ),
        (key(limit="70"), key(limit="60"), ["parameter limit 70 -> 60"]),
        (key(), key(limit="60"), ["parameter limit unset -> 60"]),
        (
            key(forest='{"trees": 100, "depth": null}'),
            key(forest='{"trees": 10, "depth": null}'),
            ["parameter forest.trees 100 -> 10"],
        ),
        (key(codes='["a"]'), key(codes='["b"]'), ['parameter codes ["a"] -> ["b"]']),
    ],
)
def test_the_difference_is_told_by_file_and_parameter(old, new, told):
    assert differences(old, new) == told
    assert (digest_of_key(old) == digest_of_key(new)) == (not told)


def test_one_search_finds_the_runs_of_all_components(scratch_store, monkeypatch):
    searches, search = [], MlflowClient.search_runs
    monkeypatch.setattr(
        *(MlflowClient, "search_runs"), lambda *a, **k: searches.append(a) or search(*a, **k)
    )

    def ran(number, **tags):
        with mlflow.start_run(tags=tags) as run:
            pass
        make_reusable(run.info.run_id, key(n=number))
        return run.info.run_id

    def found(number, recent, sweep_id=""):
        run = find_run(Component("any", Path(), {}), key(n=number), sweep_id, recent)
        return run and run.info.run_id

    old, _, *newest = [ran(number) for number in (1, 2, 2, 3)]
    incomplete = ran(3, **{"output.gone": "0" * 12})
    of_sweep = ran(4, sweep="5")
    assert incomplete not in newest
    recent = recent_runs()
    assert len(searches) == 1
    assert [found(number, recent) for number in (1, 2, 3, 4)] == [old, *newest, of_sweep]
    assert found(4, recent, "5") == of_sweep
    assert len(searches) == 1
    assert [found(4, recent, "6"), found(5, recent)] == [None, None]
    assert len(searches) == 3
    monkeypatch.setattr(reuse, "RECENT", 2)
    recent = recent_runs()
    assert [run.info.run_id for run in recent] == [of_sweep, incomplete]
    assert [found(number, recent) for number in (1, 3)] == [old, newest[-1]]
