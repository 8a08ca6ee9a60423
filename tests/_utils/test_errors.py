"""What is told about an error is about its cause."""

import errno

import pytest
from mlflow.exceptions import MlflowException
from requests.exceptions import ConnectionError as NoConnection

from _utils.errors import UserError, explain

DENIED = PermissionError(errno.EACCES, "Permission denied", "/data")
DOWN = NoConnection("host:5000 refused")


def raised(error, handled, cause=None):
    """An error that is raised while another is handled."""
    try:
        try:
            raise handled
        except BaseException:
            if cause:
                raise error from cause
            raise error  # noqa: B904
    except BaseException as caught:
        return caught


@pytest.mark.parametrize("handled", [DENIED, DOWN, KeyboardInterrupt()])
def test_what_was_being_handled_is_not_the_cause(handled):
    message = explain(raised(KeyError("column"), handled))
    assert message.startswith("Traceback") and "KeyError: 'column'" in message
    assert "run the same command again" not in message


@pytest.mark.parametrize("error", [DENIED, raised(ValueError("no data"), DENIED, DENIED)])
def test_a_place_that_cannot_be_written(error):
    assert explain(error) == (
        "[Errno 13] Permission denied: '/data'. Make it writable, then run the same command again."
    )


def test_a_file_that_another_program_has_open():
    error = PermissionError(errno.EACCES, "Sharing violation", "a.db")
    error.winerror = 32  # Windows sets it
    assert explain(error).endswith(
        "'a.db'. Close the program that has it open, then run the same command again."
    )


def test_what_mlflow_says_of_a_server_that_is_down():
    """It quotes the cause, and forgets to name it with `from`."""
    error = raised(MlflowException(f"API request failed with exception {DOWN}"), DOWN)
    assert explain(error).startswith("A server does not answer: host:5000 refused. Start it")


def test_secrets_stay_out_of_messages_and_tracebacks():
    url = "htp://me:s3cret@host"
    for error in (UserError(f"{url} is down"), raised(ValueError(url), DENIED)):
        assert "htp://***@host" in explain(error) and "s3cret" not in explain(error)
