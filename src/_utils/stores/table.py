"""Tables of a database as artifacts: `postgresql://host/database/table`, or `.../schema.table`.

Any database that SQLAlchemy has a driver for; with PostgreSQL that is psycopg. A table's digest is
the same whatever order the database gives the rows in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from _utils.errors import UserError
from _utils.masking import masked

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, Table

    from _utils.index import Artifact

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
        rows = connection.execution_options(yield_per=10_000).execute(table.select())
        return _digest(table.columns.keys(), rows)


def get(artifact: Artifact, folder: Path) -> tuple[Path, str]:
    """Write the rows into a parquet file, in the order of the primary key if there is one."""
    import pandas as pd

    with _connect(artifact.uri) as (connection, table):
        columns = table.columns.keys()
        rows = connection.execute(table.select().order_by(*table.primary_key)).all()
    target = folder / f"{artifact.name.removesuffix('.parquet')}.parquet"
    pd.DataFrame(rows, columns=columns).to_parquet(target)
    return target, _digest(columns, rows)[0]


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
