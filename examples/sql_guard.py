"""A database that takes nothing from an old leader: one row with the highest token, in the same transaction.

Works with every driver of Python's DB-API; tried with SQLite and PostgreSQL. The guarding UPDATE locks the
row until the transaction ends, so that whoever was let in is done before a newer token gets in.
"""

from typing import Any

# The placeholders of the two drivers: sqlite3 has ?, psycopg has %s.
_ADD = "INSERT INTO leaderd_guard (name, token) VALUES ({0}, 0) ON CONFLICT (name) DO NOTHING"
_LET_IN = "UPDATE leaderd_guard SET token = {0} WHERE name = {0} AND token <= {0}"


class StaleTokenError(Exception):
    """Somebody with a newer token has been here before."""


def prepare(connection: Any, name: str, mark: str = "?") -> None:
    """Make the table and the row of an election, once; commits."""
    cursor = connection.cursor()
    cursor.execute(
        "CREATE TABLE IF NOT EXISTS leaderd_guard (name TEXT PRIMARY KEY, token BIGINT NOT NULL)"
    )
    cursor.execute(_ADD.format(mark), (name,))
    connection.commit()


def guard(connection: Any, name: str, token: int, mark: str = "?") -> None:
    """Let this transaction go on only if nobody with a newer token has been here. Call it first.

    Raises:
        StaleTokenError: Roll back, and stop working as leader.
    """
    cursor = connection.cursor()
    cursor.execute(_LET_IN.format(mark), (token, name, token))
    if cursor.rowcount != 1:
        raise StaleTokenError(f"token {token} is not the newest for {name}")
