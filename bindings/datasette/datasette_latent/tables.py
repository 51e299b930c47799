"""Which latent tables a database has, and what they hold: read from the schema alone."""
import re
from dataclasses import dataclass, field

DECLARED = re.compile(r"""\bUSING\s+("?)latent\1\s*(?:\((.*)\))?\s*;?\s*$""", re.I | re.S)
# A quoted word, or one without quotes; a comma, a bracket and "=" stand alone.
WORD = re.compile(r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^]]*\] |
                      --[^\n]*|/\*.*?\*/ | [\w$.+-]+ | \S""", re.X | re.S)


@dataclass
class LatentTable:
    name: str
    bodies: list = field(default_factory=list)          # names of content columns
    filters: dict = field(default_factory=dict)         # name: INTEGER, REAL or TEXT
    partitions: list = field(default_factory=list)      # filters that each search must give
    content_table: str = None
    content_rowid: str = None
    has_pages: bool = True      # of its rows: content_rowid is the key of the content table
    has_words: bool = False
    model: str = None           # a sentence encoder of its own
    width: int = 0              # holds vectors of another model


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def unquote(word):
    if word[0] in "'\"`":
        return word[1:-1].replace(word[0] * 2, word[0])
    return word[1:-1] if word[0] == "[" else word


def arguments_of(text):
    """What stands between the brackets: a list of words for each argument."""
    arguments, words = [], []
    for match in WORD.finditer(text):
        word = match[0]
        if word == ",":
            arguments.append(words)
            words = []
        elif not word.startswith(("--", "/*")):
            words.append(unquote(word))
    return [a for a in [*arguments, words] if a]


def from_sql(name, sql):
    """The table of a CREATE VIRTUAL TABLE statement; None where it is another module's."""
    declared = DECLARED.search(sql)
    if declared is None:
        return None
    table = LatentTable(name)
    for words in arguments_of(declared[2] or ""):
        if len(words) >= 3 and words[1] == "=":
            read_setting(table, words[0].lower(), words[2])
        elif words[-1].lower() in ("filter", "partition") and len(words) == 3:
            table.filters[words[0]] = "INTEGER" if words[1].upper() == "INT" else words[1].upper()
            if words[2].lower() == "partition":
                table.partitions.append(words[0])
        else:
            table.bodies.append(words[0])
    return table


def read_setting(table, key, value):
    if key == "content":
        table.content_table = value
    elif key == "content_rowid":
        table.content_rowid = value
    elif key == "words":
        table.has_words = value == "1"
    elif key == "model":
        table.model = value
    elif key == "width":
        table.width = int(value)


async def of_database(datasette, database):
    rows = await datasette.get_database(database).execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql LIKE '%latent%' "
        "AND sql LIKE 'CREATE VIRTUAL TABLE%' ORDER BY name")
    found = (from_sql(row["name"], row["sql"]) for row in rows)
    return [table for table in found if table is not None]


async def named(datasette, database, name):
    for table in await of_database(datasette, database):
        if table.name == name:
            return table
    return None
