"""Loads the extension on every connection of Datasette.

Where it is: the setting "extension" of this plugin, or else where sqlite_latent.load() finds it.
"""
import sqlite3
import sys

import sqlite_latent
from datasette.utils import StartupError

SETTINGS = {                    # of this plugin, with their defaults
    "extension": None,          # path of latent.so
    "encoders": [],             # folders for latent_load(): sentence encoders, or other weights
    "generate_ms": 20000,       # what the texts of one page may take; 0: nothing is generated
    "decoder": None,            # "exact" takes a third of the time, "writer" puts it better
    "picture_bytes": 262144,    # larger pictures are not shown
}
# What tells paths, or opens files, or changes the connection for those who come after.
NOT_FOR_VISITORS = {"latent_load": 1, "latent_info": 0}      # and how many arguments it has


def settings(datasette):
    given = datasette.plugin_config("datasette-latent") or {}
    unknown = sorted(set(given) - set(SETTINGS))
    if unknown:
        raise StartupError(f"datasette-latent has no setting {unknown[0]!r}; "
                           f"known settings: {', '.join(SETTINGS)}")
    return {**SETTINGS, **given}


def prepare(conn, datasette):
    sqlite_latent.load(conn, settings(datasette)["extension"])
    for folder in settings(datasette)["encoders"]:
        conn.execute("SELECT latent_load(?)", [folder]).fetchone()
    for name, n_arguments in NOT_FOR_VISITORS.items():
        conn.create_function(name, n_arguments, refuse)


def refuse(*_):
    """latent_load() of one visitor would count for the next one on the same connection.

    A value and no exception: Datasette logs each exception, and SQLite would not tell its text.
    """
    return "switched off in Datasette"


def check(datasette):
    """At the start: says, once, why the extension cannot be loaded. Reads the weights, too.

    The connection stays open, and with it the weights, so that the first search need not wait.
    """
    conn = sqlite3.connect(":memory:", check_same_thread=False)
    try:
        prepare(conn, datasette)
    except (sqlite3.Error, sqlite_latent.LatentError) as e:
        raise StartupError(f"datasette-latent: latent cannot be loaded: {e}") from None
    try:
        conn.execute("SELECT latent_distance('a', 'b')").fetchone()
    except sqlite3.Error as e:
        print(f"datasette-latent: {e}", file=sys.stderr)        # vectors need no weights
    datasette._latent_connection = conn
