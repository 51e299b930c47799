"""latent, the SQLite extension that reads and writes a latent space, for Python.

    import sqlite3, sqlite_latent
    db = sqlite3.connect('notes.db')
    sqlite_latent.load(db)
    db.execute("SELECT latent_interp('It is warm.', 'It is snowing.', 0.5)").fetchone()

The extension lies in this package, and the weights in its folder latent/, where the packages
sqlite-latent-text, -pictures, -code and -writer put them: the extension looks there by itself. The
environment variables LATENT_EXTENSION (the path of the extension) and LATENT_MODEL go before them.
"""
from __future__ import annotations

import array as _array
import importlib
import importlib.metadata
import os
import sqlite3
import sys
import warnings
from typing import TYPE_CHECKING, Any, Iterable

if TYPE_CHECKING:
    import numpy

__all__ = ['LatentError', 'array', 'connect', 'load', 'loadable_path', 'vector', 'weights']
try:
    __version__ = importlib.metadata.version('sqlite-latent')
except importlib.metadata.PackageNotFoundError:
    __version__ = '0+source'            # PYTHONPATH leads to the source tree

_HERE = os.path.dirname(os.path.abspath(__file__))
_OLDEST = (3, 40, 1)                    # the oldest SQLite on which the extension loads
_ENDINGS = ('.so', '.dylib', '.dll')    # a wheel has the one of its platform
# What each package of weights brings to latent/.
_WEIGHTS = {'text': 'text.safetensors', 'pictures': 'picture.safetensors',
            'code': 'code.safetensors', 'writer': 'writer/config.json'}


class LatentError(RuntimeError):
    """The extension cannot be loaded here. The message says why, and what to do."""


# ---- Loading ----
def loadable_path() -> str:
    """The path of the extension, as sqlite3's .load and load_extension() take it: LATENT_EXTENSION,
    or that of this package, without its ending. Raises LatentError if there is none."""
    given = os.environ.get('LATENT_EXTENSION')
    if given:
        return _extension(given, 'LATENT_EXTENSION')
    path = os.path.join(_HERE, 'latent')
    if not _is_there(path):
        raise LatentError(f'sqlite_latent: no extension in {_HERE} (this is the source tree, or a '
                          'package for another platform): pip install sqlite-latent, or say where '
                          'it is: LATENT_EXTENSION=/path/to/latent.so')
    return path


def _extension(given: str | os.PathLike[str], what: str) -> str:
    """A path that somebody gave. Absolute: SQLite looks for a bare name in the system's folders."""
    path = os.path.abspath(given)
    if not _is_there(path):
        raise LatentError(f'sqlite_latent: {what} is {os.fspath(given)!r}, and there is no such '
                          'file; expected the path of the extension, as /path/to/latent.so')
    return path


def _is_there(path: str) -> bool:
    return any(os.path.isfile(path + ending) for ending in ('', *_ENDINGS))


def load(connection: Any, extension: str | os.PathLike[str] | None = None) -> None:
    """Loads the extension into a connection of sqlite3, pysqlite3 or apsw.

    The extension is the one of that path, or where loadable_path() says. Whether the connection may
    load extensions is afterwards as it was before. Raises LatentError where there is no such file,
    where the connection's library cannot load any (then see connect()), or has too old an SQLite.
    """
    path = _extension(extension, 'the extension') if extension else loadable_path()
    if not hasattr(connection, 'load_extension'):
        raise LatentError(
            f'sqlite_latent.load: the {type(connection).__module__} of this Python '
            f'({sys.executable}) is built without loadable extensions: pip install apsw, or '
            'pysqlite3-binary, and use sqlite_latent.connect(path); or take another Python')
    try:
        _load_enabled(connection, path)
    except Exception as e:              # each library has an error class of its own
        raise LatentError(f'sqlite_latent.load: {e}') from e


def _load_enabled(connection: Any, path: str) -> None:
    try:
        connection.load_extension(path)
    except Exception as e:
        if 'not authorized' not in str(e):
            raise
        connection.enable_load_extension(True)
        try:
            connection.load_extension(path)
        finally:
            connection.enable_load_extension(False)


def connect(database: str | os.PathLike[str] = ':memory:', **options: Any) -> Any:
    """A connection to the database, with the extension loaded.

    It is of the first of these that can load extensions and has SQLite 3.40.1 or newer: Python's
    own sqlite3, pysqlite3, apsw. A warning says so if it is not the first; an apsw.Connection has
    methods of its own (execute() is the same). The options are given to its constructor. Raises
    LatentError where none will do, and says why of each.
    """
    refused = []
    for name in ('sqlite3', 'pysqlite3', 'apsw'):
        try:
            module = importlib.import_module(name)
        except ImportError:
            refused.append(f'{name} is not installed')
            continue
        why = _refusal(module)
        if why:
            refused.append(f'{name} {why}')
            continue
        connection = _open(module, database, options)
        if refused:
            warnings.warn(f'sqlite_latent.connect: this is a connection of {name}, since '
                          f'{", ".join(refused)}', stacklevel=2)
        return connection
    raise LatentError(f'sqlite_latent.connect: {", ".join(refused)}: pip install apsw, or '
                      'pysqlite3-binary')


def _refusal(module: Any) -> str | None:
    """Why a module cannot load the extension."""
    if module.__name__ == 'apsw':
        version = module.sqlite_lib_version()
        loads = hasattr(module.Connection, 'load_extension')
    else:
        version = module.sqlite_version
        loads = hasattr(module.Connection, 'enable_load_extension')
    if not loads:
        return 'is built without loadable extensions'
    if tuple(int(n) for n in version.split('.')[:3]) < _OLDEST:
        return f'has SQLite {version}, 3.40.1 or newer is needed'
    return None


def _open(module: Any, database: str | os.PathLike[str], options: dict[str, Any]) -> Any:
    opener = module.Connection if module.__name__ == 'apsw' else module.connect
    connection = opener(os.fspath(database), **options)
    try:
        load(connection)
    except LatentError:
        connection.close()
        raise
    return connection


def weights() -> dict[str, str]:
    """The weights that are installed with this package: {'text': its file, ...}, of text,
    pictures, code and writer. Missing ones are pip install 'sqlite-latent[text]', and so on."""
    folder = os.path.join(_HERE, 'latent')
    paths = {kind: os.path.join(folder, file) for kind, file in _WEIGHTS.items()}
    return {kind: path for kind, path in paths.items() if os.path.exists(path)}


# ---- Vectors ----
def vector(numbers: 'numpy.ndarray | Iterable[float]') -> bytes:
    """An array as the BLOB that latent_from_vector(), and a table latent(width=N), take: its
    numbers as little-endian f32, row after row.

    numbers is a numpy array of one or two dimensions (segments, numbers), or any sequence of
    numbers. Raises ValueError if it is empty, has more dimensions, or holds what is not finite.
    """
    if hasattr(numbers, '__array__'):
        import numpy
        numbers = numpy.asarray(numbers)
        if numbers.ndim not in (1, 2):
            raise ValueError(f'sqlite_latent.vector: an array of {numbers.ndim} dimensions, '
                             'expected 1 (numbers) or 2 (segments, numbers)')
        with numpy.errstate(over='ignore'):     # what is too large for f32 is refused below
            packed = numbers.astype('<f4')
        finite = bool(numpy.isfinite(packed).all())
        blob = packed.tobytes()
    else:
        packed = _array.array('f', numbers)
        finite = all(x - x == 0 for x in packed)
        if sys.byteorder == 'big':
            packed.byteswap()
        blob = packed.tobytes()
    if not blob:
        raise ValueError('sqlite_latent.vector: there are no numbers')
    if not finite:
        raise ValueError('sqlite_latent.vector: a number is not finite as f32')
    return blob


def array(blob: bytes, width: int | None = None) -> 'numpy.ndarray':
    """The BLOB of latent_vector() or latent_embed() as a numpy array of float32.

    Its shape is (numbers,), or with a width (segments, width): latent_vector(z) of a text is 512
    wide, latent_vector(z, 's') 256. It shares the bytes of the BLOB, so it is read-only: copy() it
    to write. Raises ValueError if the length of the BLOB does not fit.
    """
    import numpy
    if not isinstance(blob, (bytes, bytearray, memoryview)):
        raise TypeError(f'sqlite_latent.array: a {type(blob).__name__}, expected the bytes of a '
                        'BLOB')
    n_bytes = memoryview(blob).nbytes
    if n_bytes % (4*(1 if width is None else width)) != 0:
        raise ValueError(f'sqlite_latent.array: {n_bytes} bytes are no '
                         + ('numbers of 4 bytes' if width is None else f'rows of {width} numbers'))
    numbers = numpy.frombuffer(blob, dtype='<f4')
    return numbers if width is None else numbers.reshape(-1, width)
