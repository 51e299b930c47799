"""An SQLite connection that has latent, for any number of threads, one at a time."""
import os
import sqlite3
import threading

import sqlite_latent


class Database:
    """A connection and its lock. Each call is a transaction: all of it, or nothing."""

    def __init__(self, connection):
        """connection: one that has latent, or the path of a file."""
        if isinstance(connection, (str, os.PathLike)):
            connection = sqlite3.connect(connection, check_same_thread=False)
            sqlite_latent.load(connection)
        self.connection = connection
        self.lock = threading.RLock()

    def __enter__(self):
        self.lock.acquire()
        self.connection.__enter__()
        return self.connection

    def __exit__(self, *error):
        try:
            return self.connection.__exit__(*error)
        finally:
            self.lock.release()


def quote(name):
    return '"' + name.replace('"', '""') + '"'
