"""The statements behind the pages. All read; none writes.

A search takes milliseconds and runs under Datasette's own limit (sql_time_limit_ms). What is
generated takes seconds, so it has a limit of its own (the setting generate_ms), and one page at a
time generates: the other threads stay free for everybody else.
"""
import asyncio
import json
import sqlite3

from datasette.database import QueryInterrupted
from datasette.utils import sqlite_timelimit

from .loading import settings
from .tables import quote

WAITING_MOST = 8                # pages that wait for their turn to generate


class Refused(Exception):
    """A request that cannot be met. The text says what came and what was expected."""


# ---- One statement ----
async def rows_of(datasette, database, sql, parameters):
    """Under Datasette's time limit."""
    try:
        found = await datasette.get_database(database).execute(sql, parameters,
                                                               log_sql_errors=False)
        return found.rows
    except OverflowError:
        raise Refused("A number is too large: SQLite's have 64 bits")
    except (QueryInterrupted, sqlite3.Error) as e:
        if not is_interrupted(e):
            raise Refused(str(e))
        ms = datasette.setting("sql_time_limit_ms")
        raise Refused(f"This took longer than {ms:,} ms, the time that this Datasette gives a "
                      f"query. To give more: datasette --setting sql_time_limit_ms {5 * ms}")


def is_interrupted(e):
    return isinstance(e, QueryInterrupted) or str(e) == "interrupted"


async def generated_rows(datasette, database, sql, parameters):
    """Under the limit of this plugin, one at a time."""
    ms = settings(datasette)["generate_ms"]
    if ms == 0:
        raise Refused("Nothing is generated here: the setting generate_ms of datasette-latent is 0")
    turn = turn_of(datasette)
    if turn.n_waiting == WAITING_MOST:
        raise Refused(f"{WAITING_MOST} pages wait for their turn to generate. Try again later")

    def within_limit(conn):
        with sqlite_timelimit(conn, ms):
            return conn.execute(sql, parameters).fetchall()

    async with turn:
        try:
            return await datasette.get_database(database).execute_fn(within_limit)
        except sqlite3.Error as e:
            if not is_interrupted(e):
                raise Refused(str(e))
            raise Refused(
                f"This took longer than {ms:,} ms, the time that texts and pictures of this page "
                f"may take. To give more: the setting generate_ms of datasette-latent")


class Turn:
    """One page at a time generates; n_waiting others wait."""

    def __init__(self):
        self.lock, self.n_waiting = asyncio.Lock(), 0

    async def __aenter__(self):
        self.n_waiting += 1
        try:
            await self.lock.acquire()
        finally:
            self.n_waiting -= 1

    async def __aexit__(self, *_):
        self.lock.release()


def turn_of(datasette):
    if not hasattr(datasette, "_latent_turn"):
        datasette._latent_turn = Turn()
    return datasette._latent_turn


# ---- Search ----
async def search(datasette, database, table, query, n, where, by=None):
    """The n rows nearest to the query: dicts of rowid, distance, passage and the columns."""
    columns = ["rowid", "distance"] + (["passage"] if table.bodies else []) + [
        *table.bodies, *table.filters]
    conditions = [f"{quote(name)} = ?" for name in where]
    sql = "SELECT {} FROM {}(?, ?){} LIMIT ?".format(
        ", ".join(map(quote, columns)), quote(table.name),
        " WHERE " + " AND ".join(conditions) if conditions else "")
    options = json.dumps({"by": by} if by else {})
    found = await rows_of(datasette, database, sql, [query, options, *where.values(), n])
    return [dict(zip(columns, row)) for row in found]


async def content_of(datasette, database, table, rowid):
    """What stands for a row: its first content; in a table of vectors, its vector."""
    columns = ", ".join(map(quote, table.bodies or ["latent"]))
    found = await rows_of(datasette, database,
                          f"SELECT {columns} FROM {quote(table.name)} WHERE rowid = ?", [rowid])
    contents = [value for row in found for value in row if value is not None]
    if not contents:
        raise Refused(f"{table.name} has no row {rowid} with content")
    return contents[0]


# ---- What no row says ----
async def imagine(datasette, database, table, query, n, where):
    """Texts or pictures between rows that fit the query. The table's own best row is left out."""
    sql = ("SELECT content, distance, fidelity, parents, weights "
           "FROM latent_imagine(?, ?, ?, ?)")
    options = generating(datasette, **({"where": where} if where else {}))
    found = await generated_rows(datasette, database, sql, [table.name, query, n + 1, options])
    made = [dict(row) for row in found]
    for item in made:
        item["parents"] = json.loads(item["parents"])
        item["weights"] = json.loads(item["weights"])
    return [item for item in made if len(item["parents"]) > 1][:n]


async def path(datasette, database, a, b, n):
    """The way from a to b: at most n contents, none twice in a row."""
    sql = "SELECT t, content, fidelity, distance_a, distance_b FROM latent_path(?, ?, ?, ?)"
    options = generating(datasette, distinct=True)
    return [dict(row) for row in await generated_rows(datasette, database, sql, [a, b, n, options])]


def generating(datasette, **options):
    """Options with the decoder of the settings, where these name one."""
    decoder = settings(datasette)["decoder"]
    return json.dumps({**options, **({"decoder": decoder} if decoder else {})})


def merged(found, made):
    """Rows in their order, and before each what was made that is nearer to the query."""
    left, together = list(made), []
    for row in found:
        while left and row["distance"] is not None and left[0]["distance"] < row["distance"]:
            together.append(left.pop(0))
        together.append(row)
    return together + left
