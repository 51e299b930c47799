"""The pages: one of a database, one of a search, one of a path. Each has a JSON twin but the first.

Whoever may see a latent table and the table that it follows may see its pages.
"""
import base64
from urllib.parse import urlencode

from datasette.utils import tilde_decode, tilde_encode
from datasette.utils.asgi import Forbidden, NotFound, Response

from . import pictures, search, tables
from .loading import settings

QUESTION_MOST = 2000            # characters
FOUND, FOUND_MOST = 10, 100
MADE, MADE_MOST = 3, 10
STEPS, STEPS_MOST = 7, 15


# ---- Addresses and permissions ----
def address(datasette, database, table=None, page="", **query):
    path = "/-/latent/" + "/".join(tilde_encode(x) for x in (database, table) if x is not None)
    path += page + ("?" + urlencode(query) if query else "")
    return datasette.urls.path(path)


async def may_see(datasette, actor, database, table=None):
    """The database; or the table and the one that it follows, as Datasette asks for each."""
    if table is None:
        return await is_allowed(datasette, actor, database)
    names = [name for name in (table.name, table.content_table) if name]
    return all([await is_allowed(datasette, actor, database, name) for name in names])


async def is_allowed(datasette, actor, database, name=None):
    if hasattr(datasette, "allowed"):           # Datasette 1.0
        from datasette.resources import DatabaseResource, TableResource
        resource = TableResource(database, name) if name else DatabaseResource(database)
        action = "view-table" if name else "view-database"
        return await datasette.allowed(action=action, resource=resource, actor=actor)
    asked = [("view-database", database), "view-instance"]
    if name:
        asked.insert(0, ("view-table", (database, name)))
    try:
        await datasette.ensure_permissions(actor, asked)
    except Forbidden:
        return False
    return True


async def table_asked_for(datasette, request):
    """(database, table) of the address."""
    database = tilde_decode(request.url_vars["database"])
    name = tilde_decode(request.url_vars["table"])
    if database not in datasette.databases:
        raise NotFound(f"There is no database {database}")
    table = await tables.named(datasette, database, name)
    if table is None:
        raise NotFound(f"{database} has no latent table {name}")
    if not await may_see(datasette, request.actor, database, table):
        raise Forbidden("view-table")
    if table.content_table and table.content_rowid:
        keys = await datasette.get_database(database).primary_keys(table.content_table)
        table.has_pages = keys == [table.content_rowid]
    return database, table


# ---- What was asked ----
def whole(request, name, default, least, most):
    text = request.args.get(name) or ""
    if text == "":
        return default
    try:
        x = int(text)
    except ValueError:
        x = None
    if x is None or not least <= x <= most:
        raise search.Refused(f"{name} is {text[:40]!r}, expected a whole number "
                             f"from {least} to {most}")
    return x


def question(request, name):
    text = (request.args.get(name) or "").strip()
    if len(text) > QUESTION_MOST:
        raise search.Refused(f"{name} has {len(text):,} characters; {QUESTION_MOST:,} is the most")
    return text


def conditions(request, table):
    """{"mood": "low"} of ?where_mood=low, each value of its column's type."""
    where = {}
    for name, kind in table.filters.items():
        text = request.args.get(f"where_{name}") or ""
        if text == "":
            if name in table.partitions:
                raise search.Refused(f"{table.name} is searched within one value of {name}: "
                                     f"say which")
            continue
        try:
            where[name] = {"INTEGER": int, "REAL": float}.get(kind, str)(text)
        except ValueError:
            raise search.Refused(f"{name} is {text[:40]!r}, expected a number")
    return where


async def end_of_path(datasette, request, database, table, name):
    """(content, rowid or None) of ?from=12 or ?from_text=..."""
    text = question(request, f"{name}_text")
    if text:
        return text, None
    rowid = whole(request, name, None, -2**63, 2**63 - 1)
    if rowid is None:
        return None, None
    return await search.content_of(datasette, database, table, rowid), rowid


# ---- How it is shown ----
class View:
    """What the templates ask for."""

    def __init__(self, datasette, database, table):
        self.datasette, self.database, self.table = datasette, database, table
        self.most = settings(datasette)["picture_bytes"]

    def shown(self, value):
        """{"picture": address} or {"text": text}"""
        if isinstance(value, bytes):
            source = pictures.address(value, self.most)
            return {"picture": source} if source else {"text": f"({len(value):,} bytes)"}
        return {"text": "" if value is None else str(value)}

    def row(self, rowid):
        """The page of a row, in the table that the content comes from; rows of a view have none."""
        of = self.table.content_table or self.table.name
        if self.table.has_pages:
            return self.datasette.urls.row(self.database, of, tilde_encode(str(rowid)))
        return self.datasette.urls.table(self.database, of) + "?" + urlencode(
            {self.table.content_rowid + "__exact": rowid})

    def search(self, **query):
        return address(self.datasette, self.database, self.table.name, **query)

    def path(self, **query):
        return address(self.datasette, self.database, self.table.name, "/path", **query)


def as_json(value):
    """Pictures become {"$base64": true, "encoded": ...}, as Datasette has them."""
    if isinstance(value, dict):
        return {k: as_json(v) for k, v in value.items()}
    if isinstance(value, list):
        return [as_json(v) for v in value]
    if isinstance(value, bytes):
        return {"$base64": True, "encoded": base64.b64encode(value).decode()}
    return value


async def answer(datasette, request, template, context, status):
    if request.url_vars.get("json"):
        return Response.json(as_json(context["json"]), status=status)
    html = await datasette.render_template(template, context, request=request)
    return Response.html(html, status=status)


# ---- The pages ----
async def database_page(datasette, request):
    database = tilde_decode(request.url_vars["database"])
    if database not in datasette.databases:
        raise NotFound(f"There is no database {database}")
    if not await may_see(datasette, request.actor, database):
        raise Forbidden("view-database")
    found = [t for t in await tables.of_database(datasette, database)
             if await may_see(datasette, request.actor, database, t)]
    views = [View(datasette, database, t) for t in found]
    return await answer(datasette, request, "latent_database.html",
                        {"database": database, "views": views}, 200)


async def search_page(datasette, request):
    """?q=words or ?row=12. With _generate=1 what is missing stands between the rows."""
    database, table = await table_asked_for(datasette, request)
    context = {"database": database, "table": table, "view": View(datasette, database, table),
               "q": request.args.get("q") or "", "row": request.args.get("row") or "",
               "by": request.args.get("by") or "", "args": request.args, "items": [],
               "error": None, "not_made": None, "asked": False, "may_generate": False}
    try:
        await find(datasette, request, database, table, context)
    except search.Refused as e:
        context["error"] = str(e)
    context["json"] = {"ok": not context["error"], "error": context["error"],
                       "not_generated": context["not_made"], "items": context["items"]}
    return await answer(datasette, request, "latent_search.html", context,
                        400 if context["error"] else 200)


async def find(datasette, request, database, table, context):
    query = question(request, "q")
    rowid = whole(request, "row", None, -2**63, 2**63 - 1)
    if rowid is not None:
        query = await search.content_of(datasette, database, table, rowid)
    if query == "":
        return
    if table.width and rowid is None:
        raise search.Refused(f"{table.name} holds vectors of another model: no text can be looked "
                             f"for, but what is near to a row (?row=1)")
    by = request.args.get("by") or None
    if by and (not table.has_words or by not in ("both", "meaning", "words")):
        raise search.Refused(f"by is {by[:40]!r}, expected both, meaning or words, "
                             f"of a table with words=1")
    where = conditions(request, table)
    n = whole(request, "n", FOUND, 1, FOUND_MOST)
    n_made = whole(request, "missing", MADE, 0, MADE_MOST)
    found = await search.search(datasette, database, table, query, n, where, by)
    context.update(items=found, asked=True,
                   may_generate=bool(table.bodies and found and n_made
                                     and settings(datasette)["generate_ms"]))
    if request.args.get("_generate") and context["may_generate"]:
        try:
            made = await search.imagine(datasette, database, table, query, n_made, where)
        except search.Refused as e:
            context["not_made"] = str(e)
            return
        await name_parents(datasette, database, table, made)
        # Under an encoder of its own a table's distances are not those of what was made.
        context["items"] = [*found, *made] if table.model else search.merged(found, made)


async def name_parents(datasette, database, table, made):
    """Each parent as a dict of rowid, weight and content."""
    for item in made:
        item["generated"] = True
        item["parents"] = [
            {"rowid": rowid, "weight": weight,
             "content": await search.content_of(datasette, database, table, rowid)}
            for rowid, weight in zip(item["parents"], item.pop("weights"))]


async def path_page(datasette, request):
    """?from=12 or ?from_text=..., and likewise to and to_text."""
    database, table = await table_asked_for(datasette, request)
    context = {"database": database, "table": table, "view": View(datasette, database, table),
               "args": request.args, "items": [], "error": None, "ends": {}}
    try:
        await walk(datasette, request, database, table, context)
    except search.Refused as e:
        context["error"] = str(e)
    context["json"] = {"ok": not context["error"], "error": context["error"],
                       "items": context["items"]}
    return await answer(datasette, request, "latent_path.html", context,
                        400 if context["error"] else 200)


async def walk(datasette, request, database, table, context):
    if table.width:
        raise search.Refused(f"{table.name} holds vectors of another model, which say nothing")
    ends = {name: await end_of_path(datasette, request, database, table, name)
            for name in ("from", "to")}
    context["ends"] = ends
    missing = [name for name, (content, _) in ends.items() if content is None]
    if len(missing) == 2:
        return
    if missing:
        raise search.Refused(f"{missing[0]} is missing: a row ({missing[0]}=12) or a text "
                             f"({missing[0]}_text=...)")
    n = whole(request, "n", STEPS, 2, STEPS_MOST)
    items = await search.path(datasette, database, ends["from"][0], ends["to"][0], n)
    for item in items:
        item["rowid"] = next((rowid for content, rowid in ends.values()
                              if rowid is not None and item["content"] == content), None)
        item["given"] = any(item["content"] == content for content, _ in ends.values())
    context["items"] = items
