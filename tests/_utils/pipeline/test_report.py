import pytest

from _utils.pipeline.report import console, print_ui_hint


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("https://me:secret@host:5000", "https://***@host:5000"),
        ("postgresql://me:sec@ret@host/db", "postgresql://***@host/db"),
    ],
)
def test_the_hint_keeps_secrets(uri, shown):
    with console.capture() as captured:
        print_ui_hint(uri)
    assert shown in captured.get()
    assert "ret@" not in captured.get()
