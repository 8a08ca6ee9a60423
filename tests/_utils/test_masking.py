"""No secret of a URL is left in what is shown, logged or recorded."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from _utils.masking import has_password, masked, masked_text

MASKED = {
    "https://user:s3cret@host:80/data.csv": "https://***@host:80/data.csv",
    "https://s3cret@host/data.csv": "https://***@host/data.csv",
    "https://user:s3%20cret@host/data.csv": "https://***@host/data.csv",
    "postgresql://host/base?user=me&password=s3cret": "postgresql://host/base?***",
    "https://host/data.csv?s3cret": "https://host/data.csv?***",
    "https://host/data.csv?s3cret==": "https://host/data.csv?***",
    "https://host/data.csv#access_token=s3cret": "https://host/data.csv#***",
    "jdbc:sqlserver://host:1433;user=me;password=s3cret": "jdbc:sqlserver://host:1433;***",
    "postgresql://me:s3/cret@host/base": "postgresql://***@host/base",
    "postgresql://me:s3?cret@host/base?a=b": "postgresql://***",
    "postgresql://me:s3#cret@host/base": "postgresql://***",
    "postgresql://me:s3@cret@host/base": "postgresql://***@host/base",
    "postgresql://me:12/s3cret@host/base": "postgresql://***@host/base",
    "postgresql://me:[s3cret@host/base": "postgresql://***@host/base",
    "https://host/data.csv?token=me@s3cret": "https://***",
    "zip://a.csv::https://me:s3cret@host/a.zip": "zip://***@host/a.zip",
    "htp://me:s3cret@host/base": "htp://***@host/base",
    "htp:/me:s3cret@host/base": "htp:/***@host/base",
    "https//me:s3cret@host/base": "https//***@host/base",
    "https:me:s3cret@host/base": "***@host/base",
    "me:s3cret@host/base": "***@host/base",
    "htp://me:s3cret": "htp://***",
}
KEPT = [
    "https://host:80/data/2021.csv",
    "http://[::1]:5000/",
    "mongodb://one:27017,two:27017/base",
    "s3://bucket/data.csv",
    "sqlite:////srv/project #2/me@home/mlflow.db",
    "file:///srv/me@home/data.csv",
    "C:/srv/me@home/data.csv",
    "models:/fuel_economy@champion",
    "raw_data.parquet:latest",
    "resources/data/me@home.csv",
    "data.file_url=models:/fuel_economy@champion",
    "git@github.com:me/base.git",
    "",
]


def test_secrets_of_a_url_are_masked() -> None:
    assert {url: masked(url) for url in MASKED} == MASKED


def test_what_is_not_secret_stays() -> None:
    assert [*map(masked, KEPT)] == [*map(masked_text, KEPT)] == KEPT


@pytest.mark.parametrize("text", ["{}", "data.file_url={}", "'{}': not found (404).", "a {}\n{} b"])
def test_urls_within_a_text_are_masked(text: str) -> None:
    for url, shown in MASKED.items():
        found = masked_text(text.format(url, url))
        assert "cret" not in found
        if "/" in url.partition("@")[0]:  # else what precedes the URL may be masked, too
            assert found == text.format(shown, shown)


# Without white space, which ends a URL, and what separates names from values in a query
secrets = st.text(st.characters(exclude_categories=["Z", "C"], exclude_characters="=&"))
places = ["s://{}@host/a", "s://me:{}@host/a", "s://host/a?b={}", "s://host?{}", "s://host/a#{}"]


@given(secret=secrets.map(lambda text: f"S3{text}CRET"), url=st.sampled_from(places))
@example(secret="S3//CRET", url=places[0])
@example(secret="S3?a@CRET", url=places[1])
def test_no_character_of_a_secret_lets_it_through(secret: str, url: str) -> None:
    for text in masked(url.format(secret)), masked_text(f"In {url.format(secret)}: no file."):
        assert not re.search("S3|CRET", text)
    assert masked(masked(url.format(secret))) == masked(url.format(secret))


@given(st.text())
def test_every_text_can_be_masked(text: str) -> None:
    masked(text)
    masked_text(text)


def test_the_path_of_the_own_tracking_server_is_masked(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:4321/a-secret-path")
    text = "Max retries exceeded with url: /a-secret-path/api/2.0/mlflow"
    assert masked_text(text) == text  # a server of the user's own
    monkeypatch.setenv("SERVED_STORE", "sqlite")
    assert masked_text(text) == "Max retries exceeded with url: /***/api/2.0/mlflow"
    assert masked("http://127.0.0.1:4321/a-secret-path/#/x") == "http://127.0.0.1:4321/***/#***"


@pytest.mark.parametrize(
    "url", ["https://h/x.csv?design=1&key=mpg", "https://h/x?password=", "https://h/x;token=?a=b"]
)
def test_what_is_no_password(url):
    assert not has_password(url)
