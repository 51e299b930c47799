"""An SQLite connection that has latent, for any number of threads, one at a time."""
import os
import sqlite3
import threading


def connect(path=":memory:"):
    """The extension is where LATENT_EXTENSION says, or else that of the package sqlite_latent."""
    conn = sqlite3.connect(path, check_same_thread=False)
    load(conn)
    return conn


def load(conn):
    extension = os.environ.get("LATENT_EXTENSION")
    if not hasattr(conn, "enable_load_extension"):
        raise RuntimeError("this Python's sqlite3 cannot load extensions; use one that can, "
                           "as Debian's, Fedora's or Homebrew's")
    conn.enable_load_extension(True)
    try:
        if extension:
            conn.load_extension(os.path.splitext(extension)[0])
        else:
            import sqlite_latent
            sqlite_latent.load(conn)
    except ImportError as e:
        raise RuntimeError("latent is not installed: pip install sqlite-latent, or say where "
                           "latent.so is: LATENT_EXTENSION=/path/to/latent.so") from e
    finally:
        conn.enable_load_extension(False)


class Database:
    """A connection and its lock. Each call is a transaction: all of it, or nothing."""

    def __init__(self, connection):
        """connection: one that has latent, or the path of a file."""
        is_path = isinstance(connection, (str, os.PathLike))
        self.connection = connect(connection) if is_path else connection
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
