import pytest

from _utils.pipeline.reuse import differences, digest_of_key


def key(files=None, **parameters):
    return {"entry_point": "main", "files": files or {"run.py": "1"}, "parameters": parameters}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (key(), key(), []),
        (
            key({"a": "1", "b": "1"}),
            key({"a": "2", "c": "1"}),
            ["a changed", "b is gone", "c is new"],
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
