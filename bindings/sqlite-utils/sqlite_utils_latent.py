"""sqlite-utils-latent: latent on every connection of sqlite-utils, and four commands.

    sqlite-utils latent-index    DB TABLE COLUMN...     makes TABLE_latent, which follows TABLE
    sqlite-utils latent-search   DB TABLE QUESTION      its rows, the nearest in meaning first
    sqlite-utils latent-missing  DB TABLE QUESTION      texts that no row has
    sqlite-utils latent-between  DB A B                 the way from one text, or row, to another
"""
import csv as csv_lines
import json
import sqlite3
import sys

import click
import sqlite_latent
import sqlite_utils
import tabulate
from sqlite_utils import hookimpl


# ---- The extension ----
@hookimpl
def prepare_connection(conn):
    """Databases without latent tables are none of its business, so a failure is no error here.
    The commands below say why."""
    try:
        sqlite_latent.load(conn)
    except sqlite_latent.LatentError:
        pass


def opened(path):
    db = sqlite_utils.Database(path, execute_plugins=False)
    try:
        sqlite_latent.load(db.conn)
    except sqlite_latent.LatentError as e:
        raise click.ClickException(f"latent cannot be loaded: {e}")
    return db


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def rows_of(db, sql, parameters):
    """Dicts, or an error as click shows it."""
    try:
        cursor = db.conn.execute(sql, parameters)
        names = [c[0] for c in cursor.description or ()]
        return [dict(zip(names, row)) for row in cursor.fetchall()]
    except sqlite3.Error as e:
        raise click.ClickException(str(e))


# ---- What is printed ----
def output_options(command):
    for option in (click.option("--csv", is_flag=True, help="Output CSV"),
                   click.option("-t", "--table", "as_table", is_flag=True,
                                help="Output as a formatted table"),
                   click.option("--nl", is_flag=True, help="Output newline-delimited JSON")):
        command = option(command)
    return command


def output(rows, csv, as_table, nl):
    rows = [{k: shown(v) for k, v in row.items()} for row in rows]
    if as_table:
        click.echo(tabulate.tabulate(rows, headers="keys"))
    elif csv:
        writer = csv_lines.DictWriter(sys.stdout, rows[0] if rows else [])
        writer.writeheader()
        writer.writerows(rows)
    elif nl:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
    else:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))


def shown(value):
    if isinstance(value, float):
        return round(value, 4)
    return f"<picture, {len(value)} bytes>" if isinstance(value, bytes) else value


# ---- The commands ----
def latent_table(db, name):
    """The latent table of that name, or that which latent-index has made for a table."""
    for candidate in (name, f"{name}_latent"):
        found = rows_of(db, "SELECT sql FROM sqlite_master WHERE name = ? AND type = 'table'",
                        [candidate])
        if found and "using latent" in " ".join(found[0]["sql"].lower().split()):
            return candidate
    raise click.ClickException(f"there is no latent table {name} or {name}_latent: make one with "
                               f"sqlite-utils latent-index DB {name} COLUMN")


@hookimpl
def register_commands(cli):
    db_path = click.argument("path", metavar="DB", type=click.Path(exists=True, dir_okay=False))

    @cli.command(name="latent-index")
    @db_path
    @click.argument("table")
    @click.argument("columns", metavar="COLUMN...", nargs=-1, required=True)
    @click.option("--name", help="Of the latent table; TABLE_latent if not given")
    @click.option("--filter", "filters", multiple=True, metavar="COLUMN",
                  help="Another column, for conditions inside the index: --filter year")
    @click.option("--words", is_flag=True, help="Rows are found by their words, too")
    @click.option("--no-triggers", is_flag=True,
                  help="Programs without latent write to TABLE: update by 'sync', not by triggers")
    @click.option("--replace", is_flag=True, help="Makes it anew if it is there")
    def latent_index(path, table, columns, name, filters, words, no_triggers, replace):
        """Makes a latent table that follows TABLE, and finds its rows by these columns.

        TABLE needs an INTEGER PRIMARY KEY. From then on programs that write to TABLE need latent,
        because of its triggers, unless --no-triggers.
        """
        db = opened(path)
        if table not in db.table_names():
            raise click.ClickException(f"there is no table {table}")
        kinds = {c.name: c.type for c in db[table].columns}
        for column in (*columns, *filters):
            if column not in kinds:
                raise click.ClickException(f"{table} has no column {column}; it has "
                                           f"{', '.join(kinds)}")
        name = name or f"{table}_latent"
        keys = db[table].pks
        arguments = [quote(c) for c in columns]
        arguments += [f"{quote(c)} {filter_type(kinds[c])} filter" for c in filters]
        arguments.append("content=" + quote(table))
        if keys != ["rowid"]:
            arguments.append("content_rowid=" + quote(keys[0]))
        arguments += ["words=1"] * words + ["triggers=0"] * no_triggers
        with db.conn:
            if replace:
                rows_of(db, f"DROP TABLE IF EXISTS {quote(name)}", [])
            rows_of(db, f"CREATE VIRTUAL TABLE {quote(name)} USING latent({', '.join(arguments)})",
                    [])
            if no_triggers:
                rows_of(db, f"INSERT INTO {quote(name)}({quote(name)}) VALUES ('sync')", [])
        n = rows_of(db, f"SELECT count(*) AS n FROM {quote(name)}", [])[0]["n"]
        click.echo(f"{name}: {n} rows")

    @cli.command(name="latent-search")
    @db_path
    @click.argument("table")
    @click.argument("question")
    @click.option("-n", "--limit", type=click.IntRange(1), default=10, help="Rows, 10")
    @click.option("-c", "--column", "columns", multiple=True, help="Columns to return")
    @click.option("--where", help="Condition on columns of the latent table: \"year > 2020\"")
    @output_options
    def latent_search(path, table, question, limit, columns, where, csv, as_table, nl):
        """The rows of TABLE nearest in meaning to the question, the nearest first.

        TABLE is a latent table, or one that latent-index was called for.
        """
        db = opened(path)
        name = latent_table(db, table)
        chosen = ", ".join(map(quote, columns)) if columns else "*"
        condition = f" WHERE {where}" if where else ""
        output(rows_of(db, f"SELECT rowid, distance, {chosen} FROM {quote(name)}(?){condition} "
                           f"LIMIT ?", [question, limit]), csv, as_table, nl)

    @cli.command(name="latent-missing")
    @db_path
    @click.argument("table")
    @click.argument("question")
    @click.option("-n", "--limit", type=click.IntRange(1, 100), default=5, help="Texts, 5")
    @output_options
    def latent_missing(path, table, question, limit, csv, as_table, nl):
        """Texts that fit the question and that no row has; the nearest row stands among them.

        Each says between which rows (parents) it lies. Takes some seconds.
        """
        db = opened(path)
        output(rows_of(db, "SELECT content, distance, parents FROM latent_imagine(?, ?, ?)",
                       [latent_table(db, table), question, limit]), csv, as_table, nl)

    @cli.command(name="latent-between")
    @db_path
    @click.argument("a")
    @click.argument("b")
    @click.option("--of", "table", help="A and B are ids of rows of this table, not texts")
    @click.option("-n", "--points", type=click.IntRange(2, 64), default=7,
                  help="Points of the way, 7")
    @output_options
    def latent_between(path, a, b, table, points, csv, as_table, nl):
        """The way from A to B: each text once, both ends included."""
        db = opened(path)
        if table:
            a, b = content_of(db, table, a), content_of(db, table, b)
        output(rows_of(db, "SELECT t, content FROM latent_path(?, ?, ?, '{\"distinct\":true}')",
                       [a, b, points]), csv, as_table, nl)


def filter_type(declared):
    """INTEGER, REAL or TEXT, as the column's type has it by SQLite's rules of affinity."""
    declared = declared.upper()
    if "INT" in declared:
        return "INTEGER"
    return "REAL" if any(x in declared for x in ("REAL", "FLOA", "DOUB")) else "TEXT"


def content_of(db, table, rowid):
    """The first content of a row of a latent table."""
    name = latent_table(db, table)
    found = rows_of(db, f"SELECT * FROM {quote(name)} WHERE rowid = ?", [rowid])
    for value in (v for row in found for v in row.values()):
        if value is not None:
            return value
    raise click.ClickException(f"{name} has no row {rowid}")
