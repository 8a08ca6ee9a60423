"""Convert a table of a database to Parquet.

Its URI is `postgresql://host/database/table`, or `postgresql://host/database/schema.table`. Any
database that SQLAlchemy has a driver for; with PostgreSQL that is psycopg. The digest of a table
does not depend on the order in which the database returns the rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from _utils.errors import UserError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, Table

CHUNK_ROWS = 10_000
# Settings that a machine may have of its own, such as PGTZ; the same values would be read otherwise
SETTINGS = {
    "postgresql": "SET TIME ZONE 'UTC'; SET DateStyle = 'ISO'",
    "mysql": "SET time_zone = '+00:00'",
    "mariadb": "SET time_zone = '+00:00'",
}
DATABASES = {*SETTINGS, "mssql", "oracle", "sqlite"}


def is_table(uri: str) -> bool:
    """Tell whether a URI names a table, by its scheme, which may name a driver too."""
    return uri.partition("://")[0].partition("+")[0] in DATABASES


def table_exists(uri: str) -> bool:
    """Tell whether the table still exists.

    Raises:
        UserError: The database cannot be asked.
    """
    from sqlalchemy.exc import NoSuchTableError

    try:
        with _connect(uri):
            return True
    except UserError as error:
        if isinstance(error.__cause__, NoSuchTableError):
            return False
        raise


def digest_of_table(uri: str) -> str:
    """The digest of a table, for which all rows are read."""
    with _connect(uri) as (connection, table):
        total = sum(map(_sum_of_digests, _chunks(connection, table.select())))
        return _digest(table.columns.keys(), total)


def table_to_parquet(uri: str, target: Path) -> str:
    """Write a table to a Parquet file, in the order of the primary key if there is one.

    Returns:
        The digest of what was written.
    """
    from sqlalchemy import JSON

    with _connect(uri) as (connection, table):
        names, total = table.columns.keys(), 0
        is_json = [isinstance(column.type, JSON) for column in table.columns]
        parts = [pa.table({name: pa.nulls(0) for name in names})]
        for rows in _chunks(connection, table.select().order_by(*table.primary_key)):
            columns = map(_to_array, zip(*rows, strict=True), is_json)
            parts.append(pa.table([*columns], names))
            total += _sum_of_digests(rows)
    pq.write_table(pa.concat_tables(parts, promote_options="permissive"), target)
    return _digest(names, total)


@contextmanager
def _connect(uri: str) -> Iterator[tuple[Connection, Table]]:
    """A connection to the database, and its table; errors of the database become UserErrors."""
    from sqlalchemy import MetaData, NullPool, Table, create_engine
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    url = make_url(uri)
    database, _, name = (url.database or "").rpartition("/")
    schema, _, name = name.rpartition(".")
    try:
        engine = create_engine(url.set(database=database or None), poolclass=NullPool)
        with engine.connect() as connection:
            if statement := SETTINGS.get(engine.dialect.name):
                connection.exec_driver_sql(statement)
            yield connection, Table(name, MetaData(), schema=schema or None, autoload_with=engine)
    except (ImportError, SQLAlchemyError) as error:
        raise UserError(
            f"{uri}: the table '{name}' cannot be read: {type(error).__name__}: {error}. Check its "
            "spelling and, in the environment, user and password (PGUSER, PGPASSWORD); if the "
            "driver is missing, add it to all conda.yml files (for PostgreSQL psycopg[binary])."
        ) from error


def _chunks(connection: Connection, query: Any) -> Iterator[Sequence[Row]]:
    options = connection.execution_options(yield_per=CHUNK_ROWS)
    yield from options.execute(query).partitions()


def _to_array(values: tuple[Any, ...], is_json: bool) -> pa.Array:
    if not is_json:
        try:
            return pa.array(values)
        except (pa.ArrowException, OverflowError):  # of several types, or one that Arrow lacks
            pass
    text = json.dumps if is_json else str
    return pa.array([None if value is None else text(value) for value in values], pa.string())


def _sum_of_digests(rows: Sequence[Row]) -> int:
    """A sum, so that the order of rows makes no difference."""
    digests = (hashlib.sha256(repr(tuple(row)).encode()).digest() for row in rows)
    return sum(int.from_bytes(digest, "big") for digest in digests)


def _digest(columns: list[str], total: int) -> str:
    return hashlib.sha256(f"{columns} {total}".encode()).hexdigest()
