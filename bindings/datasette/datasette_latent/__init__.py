"""datasette-latent: latent tables in Datasette. This file has the hooks; each calls one of

    loading.py   the extension, on every connection
    tables.py    which latent tables there are, and what their columns are
    search.py    the statements: search, imagine, path
    pages.py     the pages, and the JSON of each
    pictures.py  pictures as pictures
"""
from datasette import hookimpl

from . import loading, pages, pictures, tables


@hookimpl
def startup(datasette):
    loading.check(datasette)


@hookimpl
def prepare_connection(conn, database, datasette):
    loading.prepare(conn, datasette)


@hookimpl
def register_routes():
    return [
        (r"^/-/latent/(?P<database>[^/]+)$", pages.database_page),
        (r"^/-/latent/(?P<database>[^/]+)/(?P<table>[^/]+?)(?P<json>\.json)?$",
         pages.search_page),
        (r"^/-/latent/(?P<database>[^/]+)/(?P<table>[^/]+)/path(?P<json>\.json)?$",
         pages.path_page),
    ]


@hookimpl
def render_cell(value, datasette):
    return pictures.cell(value, loading.settings(datasette)["picture_bytes"])


@hookimpl
def table_actions(datasette, actor, database, table):
    async def links():
        return [
            {"href": pages.address(datasette, database, found.name),
             "label": f"Search {found.name} by meaning"}
            for found in await tables.of_database(datasette, database)
            if table in (found.name, found.content_table)
            and await pages.may_see(datasette, actor, database, found)
        ]
    return links


@hookimpl
def database_actions(datasette, actor, database):
    async def links():
        if not await tables.of_database(datasette, database):
            return []
        return [{"href": pages.address(datasette, database), "label": "Search by meaning"}]
    return links
