"""Tables of a database as artifacts: `postgresql://host/database/table`, or `.../schema.table`.

Any database that SQLAlchemy has a driver for; with PostgreSQL that is psycopg. A table's digest is
the same whatever order the database gives the rows in.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _utils.errors import UserError
from _utils.masking import masked

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Connection, CursorResult, Row, Select, Table

    from _utils.artifacts.index import Artifact

CHUNK_ROWS = 10_000
# Else the same values read otherwise by the settings of the session, such as PGTZ
SETTINGS = {
    "postgresql": "SET TIME ZONE 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; "
    "SET extra_float_digits = 1",
    **dict.fromkeys(("mysql", "mariadb"), "SET time_zone = '+00:00'"),
    "oracle": "ALTER SESSION SET TIME_ZONE = 'UTC'",
}
DATABASES = ("postgresql", "mysql", "mariadb", "mssql", "oracle", "sqlite")


def is_table(uri: str) -> bool:
    """Tell whether a URI names a table, by its scheme, which may name a driver too."""
    return uri.partition("://")[0].partition("+")[0] in DATABASES


def describe(uri: str) -> tuple[str, int]:
    """Read all rows.

    Returns:
        SHA-256 of the names of the columns and of the sum of the rows' own SHA-256; and the number
        of bytes of the rows as text.
    """
    with _connect(uri) as (connection, table):
        return _digest(table.columns.keys(), _stream(connection, table.select()))


def get(artifact: Artifact, folder: Path) -> tuple[Path, str]:
    """Write the rows into a parquet file, in the order of the primary key if there is one."""
    import pyarrow as pa
    from sqlalchemy import JSON

    from _utils.tabular.appending import common_type, fit
    from _utils.tabular.tables import write

    target = folder / f"{artifact.name.removesuffix('.parquet')}.parquet"
    with (
        _connect(artifact.uri) as (connection, table),
        tempfile.TemporaryFile(dir=folder) as spool,
    ):
        names = table.columns.keys()
        types = dict.fromkeys(names, pa.null())
        is_json = [isinstance(column.type, JSON) for column in table.columns]

        def spooled() -> Iterator[Row]:
            # Only when all rows have been read the types of their values are known
            rows = _stream(connection, table.select().order_by(*table.primary_key))
            for chunk in rows.partitions():
                columns = map(_to_array, zip(*chunk, strict=True), is_json)
                batch = pa.record_batch([*columns], names)
                for name, kind in zip(names, batch.schema.types, strict=True):
                    types[name] = common_type([types[name], kind])
                with pa.ipc.new_stream(spool, batch.schema) as stream:
                    stream.write_batch(batch)
                yield from chunk

        digest, _ = _digest(names, spooled())
        spool.seek(0)
        schema = pa.schema(types)
        write((fit(batch, schema) for batch in _batches(spool)), schema, target)
    return target, digest


def _stream(connection: Connection, query: Select) -> CursorResult:
    return connection.execution_options(yield_per=CHUNK_ROWS).execute(query)


def _to_array(values: tuple[Any, ...], is_json: bool) -> pa.Array:
    import pyarrow as pa

    text: Any = json.dumps if is_json else str
    try:
        if not is_json:
            return pa.array(values)
    except (pa.ArrowException, OverflowError):  # of several types, or one that Arrow has not
        pass
    return pa.array([value if value is None else text(value) for value in values], pa.string())


def _batches(spool: BufferedRandom) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    while spool.peek(1):
        with pa.ipc.open_stream(spool) as stream:
            yield from stream


def is_present(artifact: Artifact) -> bool:
    """Tell whether the table is still there; what is in it is verified when it is used."""
    try:
        with _connect(artifact.uri):
            return True
    except UserError:
        return False


@contextmanager
def _connect(uri: str) -> Iterator[tuple[Connection, Table]]:
    """Within this, read the table.

    Raises:
        UserError: There is no such table, no driver, no connection, or a password in the URI.
    """
    from sqlalchemy import MetaData, Table, create_engine
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import NoSuchModuleError, NoSuchTableError, SQLAlchemyError
    from sqlalchemy.pool import NullPool

    url = make_url(uri)
    if url.password or "password" in url.query:
        raise UserError(
            f"'{masked(uri)}' holds a password, which would be on record: leave it out and set the "
            "variable that the database's driver knows, such as PGPASSWORD."
        )
    database, _, name = (url.database or "").rpartition("/")
    schema, _, name = name.rpartition(".")
    try:
        engine = create_engine(url.set(database=database or None), poolclass=NullPool)
        with engine.connect() as connection:
            if statement := SETTINGS.get(engine.dialect.name):
                connection.exec_driver_sql(statement)
            yield connection, Table(name, MetaData(), schema=schema or None, autoload_with=engine)
    except NoSuchTableError as error:
        raise UserError(f"{uri}: there is no table '{name}'. Check its spelling.") from error
    except (ImportError, NoSuchModuleError) as error:
        raise UserError(
            f"{uri}: the database's driver is missing ({error}): add it to all conda.yml files, "
            "for PostgreSQL psycopg[binary]."
        ) from error
    except SQLAlchemyError as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{uri}: the database cannot be read ({reason}). Check the address and, in the "
            "environment, user and password (PGUSER, PGPASSWORD)."
        ) from error


def _digest(columns: list[str], rows: Iterable[Row]) -> tuple[str, int]:
    total = size = 0
    for row in rows:
        text = repr(tuple(row)).encode()
        size += len(text)
        total += int.from_bytes(hashlib.sha256(text).digest(), "big")
    return hashlib.sha256(f"{columns} {total}".encode()).hexdigest(), size
