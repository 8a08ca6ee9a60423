"""Tables of a database as artifacts: `postgresql://host/database/table`, or `.../schema.table`.

Any database that SQLAlchemy has a driver for; with PostgreSQL that is psycopg. The digest of a
table does not depend on the order in which the database returns the rows.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _utils.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Connection, Row, Table

    from _utils.artifacts.index import Artifact

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


def describe(uri: str) -> tuple[str, int]:
    """Read all rows; returns the table's digest, and the number of bytes of the rows as text."""
    with _connect(uri) as (connection, table):
        rows = connection.execution_options(yield_per=CHUNK_ROWS).execute(table.select())
        return _digest(table.columns.keys(), rows)


def get(artifact: Artifact) -> tuple[Path, str]:
    """Write the rows into a Parquet file, in the order of the primary key if there is one."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from sqlalchemy import JSON

    name = f"{artifact.name.removesuffix('.parquet')}.parquet"
    target = Path(tempfile.mkdtemp(prefix="artifact-")) / name
    with _connect(artifact.uri) as (connection, table):
        names, chunks = table.columns.keys(), []
        is_json = [isinstance(column.type, JSON) for column in table.columns]

        def rows() -> Iterator[Row]:
            query = table.select().order_by(*table.primary_key)
            result = connection.execution_options(yield_per=CHUNK_ROWS).execute(query)
            for chunk in result.partitions():
                columns = map(_to_array, zip(*chunk, strict=True), is_json)
                chunks.append(pa.table([*columns], names))
                yield from chunk

        digest, _ = _digest(names, rows())
    empty = pa.table({name: pa.nulls(0) for name in names})
    pq.write_table(pa.concat_tables([empty, *chunks], promote_options="permissive"), target)
    return target, digest


def _to_array(values: tuple[Any, ...], is_json: bool) -> pa.Array:
    import pyarrow as pa

    if not is_json:
        try:
            return pa.array(values)
        except (pa.ArrowException, OverflowError):  # of several types, or one that Arrow lacks
            pass
    text = json.dumps if is_json else str
    return pa.array([None if value is None else text(value) for value in values], pa.string())


def is_present(artifact: Artifact) -> bool:
    """Tell whether the table still exists."""
    from sqlalchemy.exc import NoSuchTableError

    try:
        with _connect(artifact.uri):
            return True
    except UserError as error:
        if isinstance(error.__cause__, NoSuchTableError):
            return False
        raise


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


def _digest(columns: list[str], rows: Iterable[Row]) -> tuple[str, int]:
    total = size = 0
    for row in rows:
        text = repr(tuple(row)).encode()
        size += len(text)
        total += int.from_bytes(hashlib.sha256(text).digest(), "big")
    return hashlib.sha256(f"{columns} {total}".encode()).hexdigest(), size
