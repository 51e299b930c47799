#!/usr/bin/python3
"""A page on which pictures and sentences are bred: pick parents, mix them, click a child, go on.

    python3 examples/artbreeder/artbreeder.py                   then open http://127.0.0.1:8020/
    ... --db FILE           where the garden is kept (garden.db); one can go on with it any time
    ... --port 0            another port; 0: one that is free
    ... --extension PATH    where latent is, without .so (build/latent of this repository)

Python's standard library serves it, to this machine alone. SQLite and latent do all the work, and
each child is made by one SELECT, which the page shows. Three parts:

1. Recipes: what a child is made of, and the SELECT that this comes to.
2. Garden: the SQLite file. Its rows are examples, what was drawn from words, and children, each
   with its recipe. What can be asked of it is a method.
3. The server: requests as JSON, each checked before it reaches the garden.

Use a Python whose sqlite3 can load extensions: that of Debian and Fedora can.
"""
import argparse
import glob
import http.server
import json
import math
import os
import random
import re
import signal
import sqlite3
import sys
import threading
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
KINDS = ('picture', 'text')
ORIGINS = ('example', 'words', 'child')
PARENTS_MOST = 8                # of a child
GENES_MOST = 24                 # of a kind
WALL_MOST = 600                 # rows that the wall shows
TREE_MOST = 200                 # members of a family that are shown
NEAREST = 12                    # rows that stand for words
WORDS_MOST = 200                # characters
BODY_MOST = 65536               # bytes of a request


class Refused(Exception):
    """A request that cannot be met. The text says what came and what was expected."""


# ======== 1. Recipes ========
#
# A recipe is a dict of plain values, kept as JSON:
#   kind, parents: [id], weights: [share], genes: {name: amount}, style: id or None,
#   style_amount: how much of the content stays, mutation, seed       of a child
#   kind, words, seed                                                 of what words were drawn as

def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def statement(recipe, file=None):
    """The SELECT that makes what the recipe says. file: it writes it there, in the sqlite3 shell.

    Everything a child depends on stands in it, so that it can be copied into the shell, and so that
    the same recipe always gives the same bytes, as long as the weights are the same.
    """
    if 'words' in recipe:
        made = f"latent_image({quoted(recipe['words'])}, {recipe['seed']})"
        return f'SELECT {written(made, file)};'
    kind, point = quoted(recipe['kind']), 'mix'
    family = ',\n  '.join(f'({i}, {w})' for i, w in zip(recipe['parents'], recipe['weights']))
    steps = [f'family(id, weight) AS (VALUES\n  {family})',
             'mix(z) AS (\n  SELECT latent_mean(latent, weight)\n'
             '  FROM family CROSS JOIN garden USING (id))']
    for n, (name, amount) in enumerate(sorted(recipe['genes'].items()), 1):
        steps += [f'gene{n}(z) AS (\n  SELECT latent_add(z, latent_scale(latent, {amount}))\n'
                  f'  FROM {point}, genes\n  WHERE kind = {kind} AND name = {quoted(name)})']
        point = f'gene{n}'
    if recipe['style'] is not None:
        steps += [f"styled(z) AS (\n  SELECT latent_cross(z, latent, {recipe['style_amount']})\n"
                  f"  FROM {point}, garden WHERE id = {recipe['style']})"]
        point = 'styled'
    if recipe['mutation'] > 0:
        made = f"latent_vary(z, {recipe['mutation']}, {recipe['seed']})"
    else:
        made = 'z' if point == 'styled' else 'latent_decode(z)'
    steps = ',\n'.join(steps)
    return f'WITH {steps}\nSELECT {written(made, file)}\nFROM {point};'


def written(made, file):
    return f'writefile({quoted(file)},\n  {made})' if file else made


def drawn_weights(weights, wander, seed, number):
    """Shares near those of the sliders. The first child of a batch has exactly theirs."""
    draw = random.Random(seed * 1000 + number)
    shares = [w * math.exp(wander * draw.gauss(0, 1) if number else 0) for w in weights]
    return [round(s / sum(shares), 4) for s in shares]


# ======== 2. The garden ========

SCHEMA = """
CREATE TABLE garden(
  id         INTEGER PRIMARY KEY,
  kind       TEXT NOT NULL,                 -- 'picture' or 'text'
  content    NOT NULL,                      -- a PNG or a text
  latent     BLOB NOT NULL,                 -- where it lies
  origin     TEXT NOT NULL,                 -- 'example', 'words' or 'child'
  name       TEXT NOT NULL,
  tags       TEXT NOT NULL DEFAULT '',      -- of an example: ' noto animal '
  parents    TEXT NOT NULL DEFAULT '[]',    -- ids, as JSON
  weights    TEXT NOT NULL DEFAULT '[]',    -- of each parent
  generation INTEGER NOT NULL DEFAULT 0,
  recipe     TEXT,                          -- of what was made: JSON
  model      TEXT,                          -- fingerprint of the weights that made it
  made       TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX garden_recipe ON garden(recipe);
CREATE TABLE genes(
  id     INTEGER PRIMARY KEY,
  kind   TEXT NOT NULL,
  name   TEXT NOT NULL,
  source TEXT NOT NULL,         -- 'tag': from the other examples to those with this tag
                                -- 'words': to those that are nearest to the name
  latent BLOB NOT NULL,         -- a direction
  UNIQUE(kind, name)
);
CREATE TABLE models(kind TEXT PRIMARY KEY, fingerprint TEXT NOT NULL);
CREATE VIRTUAL TABLE garden_latent USING latent(content, kind TEXT filter, origin TEXT filter,
                                                content='garden', content_rowid='id');
"""
# Groups of the example pictures, by words of their names. The set is a tag too.
GROUPS = {
    'face': 'face clown alien robot ghost',
    'animal': 'bat bear bug butterfly cat chicken cow dog dolphin dragon duck elephant fish fox '
              'frog giraffe hedgehog honeybee horse beetle lion monkey mouse octopus owl panda '
              'penguin pig rabbit snake tiger turtle unicorn whale',
    'food': 'banana beer cake bread carrot cheese cherries cookie grapes apple hamburger beverage '
            'hot-dog ice-cream lemon pineapple pizza strawberry tomato watermelon wine',
    'plant': 'cactus tree clover maple mushroom rose sunflower tulip',
    'vehicle': 'airplane automobile bicycle bus helicopter motorcycle rocket sailboat train',
    'sky': 'cloud moon rainbow star sun snowflake',
}
TAG_GENES = {'picture': ('fluent', *GROUPS),
             'text': ('glad', 'low', 'sea', 'food', 'weather', 'work')}
WORD_GENES = {'picture': ('something round and yellow',), 'text': ('at night',)}
DIRECTIONS = {
    'tag': """SELECT latent_direction(latent, instr(tags, ' ' || :name || ' ') > 0)
              FROM garden WHERE kind = :kind AND origin = 'example'""",
    'words': f"""SELECT latent_direction(latent, id IN (
                   SELECT rowid FROM garden_latent(:name)
                   WHERE kind = :kind AND origin = 'example' LIMIT {NEAREST}))
                 FROM garden WHERE kind = :kind AND origin = 'example'""",
}
FAMILY = """
WITH RECURSIVE family(id, depth) AS (
  VALUES (:id, 0)
  UNION
  SELECT value, depth + 1 FROM family JOIN garden USING (id), json_each(parents)
)
SELECT g.*, max(depth) AS depth FROM family JOIN garden g USING (id)
  GROUP BY id ORDER BY depth, id LIMIT :most
"""


def example_pictures():
    """Rows (kind, content, name, tags)."""
    for path in sorted(glob.glob(f'{ROOT}/examples/pictures/*/*.png')):
        name = os.path.basename(path)[:-4]
        words = {name, *name.split('-'), *re.findall('hot-dog|ice-cream', name)}
        tags = [os.path.basename(os.path.dirname(path)).split('-')[0]]
        tags += [group for group, members in GROUPS.items() if words & set(members.split())]
        with open(path, 'rb') as f:
            yield 'picture', f.read(), name.replace('-', ' '), f" {' '.join(tags)} "


def example_texts():
    notes = sqlite3.connect(':memory:')
    with open(f'{ROOT}/sql/notes.sql', encoding='utf8') as f:
        notes.executescript(f.read())
    yield from notes.execute("SELECT 'text', body, topic, ' ' || topic || ' ' || mood || ' ' "
                             'FROM notes ORDER BY id')
    notes.close()


class Garden:
    """The SQLite file. One connection with one lock: a statement takes a second at most, and the
    weights stay loaded as long as the connection is open."""

    def __init__(self, file, extension):
        self.file = file
        self.lock = threading.Lock()
        self.db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.enable_load_extension(True)
        self.db.load_extension(extension)
        self.db.enable_load_extension(False)
        if not self.ask("SELECT 1 FROM sqlite_schema WHERE name = 'garden'"):
            self.plant_examples()
        self.models = self.present_models()
        kept = dict(map(tuple, self.ask('SELECT kind, fingerprint FROM models')))
        if kept != self.models:
            self.renew()

    def close(self):
        self.db.interrupt()
        with self.lock:
            self.db.close()

    # ---- Statements ----
    def ask(self, sql, **values):
        with self.lock:
            return self.db.execute(sql, values).fetchall()

    def ask_one(self, sql, **values):
        rows = self.ask(sql, **values)
        return rows[0][0] if rows else None

    def change(self, *statements):
        """(sql, values) each, all of them or none. Gives the last id."""
        with self.lock:
            self.db.execute('BEGIN IMMEDIATE')
            try:
                for sql, values in statements:
                    cursor = self.db.execute(sql, values)
                self.db.execute('COMMIT')
                return cursor.lastrowid
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute('ROLLBACK')
                raise

    # ---- How it begins ----
    def plant_examples(self):
        rows = [dict(zip(('kind', 'content', 'name', 'tags'), row))
                for row in (*example_pictures(), *example_texts())]
        print(f'A new garden: {len(rows)} examples are encoded, which takes some seconds.',
              flush=True)
        insert = ('INSERT INTO garden(kind, content, latent, origin, name, tags) VALUES '
                  "(:kind, :content, latent_encode(:content), 'example', :name, :tags)")
        schema = [(sql, {}) for sql in SCHEMA.split(';\n') if sql.strip()]
        genes = [self.gene_row(kind, name, source) for source, all_genes in
                 (('tag', TAG_GENES), ('words', WORD_GENES))
                 for kind in KINDS for name in all_genes[kind]]
        self.change(*schema, *((insert, row) for row in rows), *genes)

    def gene_row(self, kind, name, source):
        return (f'INSERT INTO genes(kind, name, source, latent) VALUES '
                f'(:kind, :name, :source, ({DIRECTIONS[source]}))',
                {'kind': kind, 'name': name, 'source': source})

    def present_models(self):
        """The fingerprint of each kind's weights: a latent that they make has it."""
        return {kind: self.ask_one(
                    "SELECT latent_json(latent_encode(content)) ->> '$.model' FROM garden "
                    'WHERE kind = :kind ORDER BY id LIMIT 1', kind=kind) for kind in KINDS}

    def renew(self):
        """After other weights: all content stays, its points and the genes are made anew."""
        known = self.ask('SELECT count(*) FROM models')[0][0]
        if known:
            print('The weights are others than those of this garden: its points are made anew.',
                  flush=True)
            self.change(('UPDATE garden SET latent = latent_encode(content)', {}),
                        ("INSERT INTO garden_latent(garden_latent) VALUES ('rebuild')", {}))
            for gene in self.ask('SELECT kind, name, source FROM genes'):
                self.change((f"UPDATE genes SET latent = ({DIRECTIONS[gene['source']]}) "
                             'WHERE kind = :kind AND name = :name',
                             {'kind': gene['kind'], 'name': gene['name']}))
        self.change(*(('REPLACE INTO models VALUES (?, ?)', pair) for pair in self.models.items()))

    # ---- What the page asks ----
    def state(self, kind):
        genes = self.ask('SELECT name, source FROM genes WHERE kind = :kind ORDER BY id', kind=kind)
        counts = self.ask('SELECT origin, count(*) AS n, max(generation) AS generation FROM garden '
                          'WHERE kind = :kind GROUP BY origin', kind=kind)
        return {'file': os.path.basename(self.file), 'model': self.models[kind],
                'genes': [dict(g) for g in genes], 'counts': {r['origin']: r['n'] for r in counts},
                'generations': max(r['generation'] for r in counts)}

    def wall(self, kind, origin, words):
        """All rows, the newest children first; with words the nearest to them first."""
        values = {'kind': kind, 'origin': origin, 'most': WALL_MOST}
        if words:
            rows = self.ask('SELECT g.*, l.distance FROM garden_latent(:words) l '
                            'JOIN garden g ON g.id = l.rowid WHERE l.kind = :kind '
                            "AND :origin IN ('all', l.origin) LIMIT :most", words=words, **values)
        else:
            rows = self.ask('SELECT * FROM garden WHERE kind = :kind '
                            "AND :origin IN ('all', origin) "
                            "ORDER BY origin = 'example', iif(origin = 'example', id, -id) "
                            'LIMIT :most', **values)
        return [self.shown(row) for row in rows]

    @staticmethod
    def shown(row):
        keys = ('id', 'kind', 'origin', 'name', 'generation', 'distance', 'depth')
        out = {key: row[key] for key in keys if key in row.keys()}
        if row['kind'] == 'text':
            out['text'] = row['content']
        return out

    def row(self, number):
        rows = self.ask('SELECT * FROM garden WHERE id = :id', id=number)
        if not rows:
            raise Refused(f'the garden has no row {number}')
        return rows[0]

    def picture(self, number):
        row = self.row(number)
        if row['kind'] != 'picture':
            raise Refused(f'row {number} is a text, expected a picture')
        return row['content']

    def about(self, number):
        """A row with its recipe, the statement that made it, and its family."""
        row = self.row(number)
        out = self.shown(row) | {'model': row['model'], 'made': row['made'], 'recipe': None}
        if row['recipe']:
            out['recipe'] = json.loads(row['recipe'])
            file = f'{number}.png' if row['kind'] == 'picture' else None
            out['sql'] = statement(out['recipe'], file)
        family = self.ask(FAMILY, id=number, most=TREE_MOST)
        known = {r['id'] for r in family}
        out['family'] = [self.shown(r) for r in family]
        out['lines'] = [{'child': r['id'], 'parent': parent, 'weight': weight}
                        for r in family for parent, weight
                        in zip(json.loads(r['parents']), json.loads(r['weights']))
                        if parent in known]
        return out

    def grow_again(self, number):
        """Runs the recipe of a row once more. Are the bytes the same?"""
        row = self.row(number)
        if not row['recipe']:
            raise Refused(f"row {number} has no recipe: it came as it is")
        if row['model'] != self.models[row['kind']]:
            raise Refused(f"row {number} was made by the weights {row['model']}, and those of "
                          f"today are {self.models[row['kind']]}: the recipe would give something "
                          'else')
        return {'same': self.ask_one(statement(json.loads(row['recipe']))) == row['content']}

    # ---- What the page changes ----
    def make(self, recipe, name, origin, generation):
        """A row of what the recipe gives: its id. What is there already is not made twice."""
        text = json.dumps(recipe, sort_keys=True)
        model = self.models[recipe['kind']]
        there = self.ask_one('SELECT id FROM garden WHERE recipe = :recipe AND model = :model',
                             recipe=text, model=model)
        if there:
            return there
        parents, weights = list(recipe.get('parents', [])), list(recipe.get('weights', []))
        if recipe.get('style') not in (None, *parents):
            parents.append(recipe['style'])
            weights.append(0)
        values = {'kind': recipe['kind'], 'content': self.ask_one(statement(recipe)),
                  'origin': origin, 'name': name, 'generation': generation, 'recipe': text,
                  'model': model, 'parents': json.dumps(parents), 'weights': json.dumps(weights)}
        return self.change((
            'INSERT INTO garden(kind, content, latent, origin, name, parents, weights, generation, '
            'recipe, model) VALUES (:kind, :content, latent_encode(:content), :origin, :name, '
            ':parents, :weights, :generation, :recipe, :model)', values))

    def breed(self, recipe):
        """One child: its id."""
        known = {g['name'] for g in self.state(recipe['kind'])['genes']}
        for name in recipe['genes']:
            if name not in known:
                raise Refused(f'there is no gene {name!r} of the kind {recipe["kind"]}')
        parents = [self.row(number) for number in recipe['parents']]
        style = [self.row(recipe['style'])] if recipe['style'] is not None else []
        for row in parents + style:
            if row['kind'] != recipe['kind']:
                raise Refused(f"row {row['id']} is of the kind {row['kind']}, expected "
                              f"{recipe['kind']}")
        names = []
        for _, row in sorted(zip(recipe['weights'], parents), key=lambda p: -p[0]):
            names += [name for name in row['name'].split(' + ') if name not in names]
        generation = 1 + max(row['generation'] for row in parents + style)
        return self.make(recipe, ' + '.join(names[:3]), 'child', generation)

    def plant(self, kind, words, seed):
        """A picture drawn from words, or the words themselves as a text: the id."""
        if kind == 'picture':
            return self.make({'kind': kind, 'words': words, 'seed': seed}, words, 'words', 0)
        there = self.ask_one("SELECT id FROM garden WHERE kind = 'text' AND content = :words",
                             words=words)
        return there or self.change((
            'INSERT INTO garden(kind, content, latent, origin, name) VALUES '
            "('text', :words, latent_encode(:words), 'words', 'yours')", {'words': words}))

    def add_gene(self, kind, words):
        names = [g['name'] for g in self.state(kind)['genes']]
        if words not in names and len(names) >= GENES_MOST:
            raise Refused(f'there are {len(names)} genes, which is as many as can be')
        if words not in names:
            self.change(self.gene_row(kind, words, 'words'))


# ======== 3. The server ========

class Fields:
    """The fields of a request, each read once. What is wrong is Refused; so is what is left."""

    def __init__(self, values):
        if not isinstance(values, dict):
            raise Refused(f'the request is {shortened(values)}, expected an object')
        self.values = dict(values)

    def take(self, key, default=None):
        value = self.values.pop(key, default)
        if value is None:
            raise Refused(f'{key!r} is missing')
        return value

    def end(self):
        if self.values:
            raise Refused(f'{next(iter(self.values))!r} is no field of this request')

    def number(self, key, least, most, default=None):
        return checked_number(key, self.take(key, default), least, most)

    def whole(self, key, least, most, default=None):
        value = self.take(key, default)
        if isinstance(value, str) and re.fullmatch('-?[0-9]{1,15}', value):
            value = int(value)                  # in an address everything is text
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Refused(f'{key!r} is {shortened(value)}, expected a whole number from {least} '
                          f'to {most}')
        return value

    def row(self, key):
        return self.whole(key, 1, 10**15)

    def one_of(self, key, names, default=None):
        value = self.take(key, default)
        if value not in names:
            raise Refused(f'{key!r} is {shortened(value)}, expected one of {", ".join(names)}')
        return value

    def words(self, key, default=None):
        value = self.take(key, default)
        text = ' '.join(value.split()) if isinstance(value, str) else None
        if text is None or len(text) > WORDS_MOST or not text and default is None:
            raise Refused(f'{key!r} is {shortened(value)}, expected a text of 1 to {WORDS_MOST} '
                          'characters')
        if re.search('[\0-\x1f\ud800-\udfff]', text):
            raise Refused(f'{key!r} has characters that no text has')
        return text

    def recipe(self):
        """That of a child, from the page's sliders."""
        kind = self.one_of('kind', KINDS)
        parents, weights = self.take('parents'), self.take('weights')
        genes = self.take('genes', {})
        if not (isinstance(parents, list) and 1 <= len(parents) <= PARENTS_MOST):
            raise Refused(f"'parents' is {shortened(parents)}, expected a list of 1 to "
                          f'{PARENTS_MOST} rows')
        if not (isinstance(weights, list) and len(weights) == len(parents)):
            raise Refused(f"'weights' is {shortened(weights)}, expected a number for each parent")
        parents = [Fields({'parents': p}).row('parents') for p in parents]
        weights = [checked_number('weights', w, 0, 100) for w in weights]
        if len(set(parents)) < len(parents):
            raise Refused("'parents' has a row twice")
        if not sum(weights) > 0:
            raise Refused("'weights' are all 0, expected one that is more")
        if not (isinstance(genes, dict) and len(genes) <= GENES_MOST):
            raise Refused(f"'genes' is {shortened(genes)}, expected amounts by name")
        genes = {name: round(checked_number(f'gene {name}', amount, -5, 5), 4)
                 for name, amount in genes.items()}
        style = self.values.pop('style', None)
        seed, number = self.whole('seed', 0, 10**9), self.whole('number', 0, 1000, 0)
        wander = self.number('wander', 0, 2, 0)
        recipe = {
            'kind': kind, 'parents': parents,
            'weights': drawn_weights(weights, wander, seed, number),
            'genes': {name: amount for name, amount in genes.items() if amount},
            'style': None if style is None else Fields({'style': style}).row('style'),
            'style_amount': round(self.number('style_amount', 0, 1, 1), 4),
            'mutation': round(self.number('mutation', 0, 1, 0), 4),
            'seed': seed * 1000 + number,
        }
        if recipe['style'] is None:
            recipe['style_amount'] = 1
        return recipe


def checked_number(key, value, least, most):
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (good and least <= value <= most):           # false for NaN
        raise Refused(f'{key!r} is {shortened(value)}, expected a number from {least} to {most}')
    return value


def shortened(value):
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + '...'


def get_state(garden, f):
    return lambda kind=f.one_of('kind', KINDS): garden.state(kind)


def get_wall(garden, f):
    arguments = (f.one_of('kind', KINDS), f.one_of('origin', (*ORIGINS, 'all'), 'all'),
                 f.words('words', ''))
    return lambda: garden.wall(*arguments)


def get_about(garden, f):
    return lambda number=f.row('id'): garden.about(number)


def post_breed(garden, f):
    return lambda recipe=f.recipe(): garden.about(garden.breed(recipe))


def post_plant(garden, f):
    arguments = f.one_of('kind', KINDS), f.words('words'), f.whole('seed', 0, 10**9, 0)
    return lambda: garden.about(garden.plant(*arguments))


def post_gene(garden, f):
    kind, words = f.one_of('kind', KINDS), f.words('words')
    return lambda: garden.add_gene(kind, words) or garden.state(kind)


def post_again(garden, f):
    return lambda number=f.row('id'): garden.grow_again(number)


# Each reads its fields, and gives what is to be done once all of them are known to be good.
REQUESTS = {('GET', '/api/state'): get_state, ('GET', '/api/wall'): get_wall,
            ('GET', '/api/about'): get_about, ('POST', '/api/breed'): post_breed,
            ('POST', '/api/plant'): post_plant, ('POST', '/api/gene'): post_gene,
            ('POST', '/api/again'): post_again}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    timeout = 60
    garden = None               # set by serve()

    def do_GET(self):
        self.answer('GET')

    def do_POST(self):
        self.answer('POST')

    def answer(self, method):
        """Every request ends here. Its body is read first, so that the connection can go on."""
        try:
            body = self.body() if method == 'POST' else None
            self.check_sender()
            path, _, query = self.path.partition('?')
            self.route(method, path, query, body)
        except Refused as e:
            self.send(400, 'text/plain; charset=utf-8', f'{e}\n'.encode('utf8', 'replace'))
        except ConnectionError:
            self.close_connection = True
        except Exception as e:
            self.send(500, 'text/plain; charset=utf-8', f'{e}\n'.encode('utf8', 'replace'))

    def route(self, method, path, query, body):
        if method == 'GET' and path == '/':
            with open(f'{HERE}/page.html', 'rb') as f:
                return self.send(200, 'text/html; charset=utf-8', f.read())
        if method == 'GET' and (m := re.fullmatch('/picture/([0-9]{1,15})', path)):
            return self.send(200, 'image/png', self.garden.picture(int(m[1])))
        if (method, path) not in REQUESTS:
            return self.send(404, 'text/plain; charset=utf-8', b'there is no such page\n')
        if method == 'GET':
            fields = Fields(dict(urllib.parse.parse_qsl(query, keep_blank_values=True)))
        else:
            fields = Fields(body)
        do = REQUESTS[method, path](self.garden, fields)
        fields.end()
        self.send(200, 'application/json', json.dumps(do()).encode())

    def check_sender(self):
        """Other sites that the browser has open may send requests here, under a name of theirs
        that leads to this machine, or as a form. Neither is answered."""
        port = self.server.server_address[1]
        names = [f'{name}:{port}' for name in ('127.0.0.1', 'localhost')]
        host, origin = self.headers.get('Host'), self.headers.get('Origin')
        if host not in names:
            raise Refused(f'the Host is {host!r}, expected {names[0]}')
        if origin is not None and origin not in [f'http://{name}' for name in names]:
            raise Refused(f'the request comes from {origin!r}, expected this page')

    def body(self):
        length = self.headers.get('Content-Length') or ''
        if not re.fullmatch('[0-9]{1,9}', length) or int(length) > BODY_MOST:
            self.close_connection = True
            raise Refused(f'the Content-Length is {length!r}, expected up to {BODY_MOST}')
        data = self.rfile.read(int(length))
        kind = (self.headers.get('Content-Type') or '').partition(';')[0].strip()
        if kind != 'application/json':
            raise Refused(f'the Content-Type is {kind!r}, expected application/json')
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as e:
            raise Refused(f'the request is no JSON: {e}')

    def send(self, status, kind, data):
        self.send_response(status)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(data)))
        # A row's picture never changes; another garden may be served at the same port.
        self.send_header('Cache-Control', 'no-cache' if kind != 'image/png' else 'max-age=60')
        self.send_header('X-Content-Type-Options', 'nosniff')
        self.send_header('Content-Security-Policy', "default-src 'none'; img-src 'self' data:; "
                         "connect-src 'self'; style-src 'unsafe-inline'; "
                         "script-src 'unsafe-inline'; frame-ancestors 'none'")
        self.end_headers()
        self.wfile.write(data)

    def log_request(self, code='-', size='-'):
        if int(code) >= 500:            # what is refused is told to the page
            super().log_request(code, size)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request, address):
        if not isinstance(sys.exc_info()[1], ConnectionError):          # the browser has gone
            super().handle_error(request, address)


def serve(garden, port):
    Handler.garden = garden
    with Server(('127.0.0.1', port), Handler) as server:
        print(f'{garden.file} is at http://127.0.0.1:{server.server_address[1]}/ (Ctrl-C ends it)',
              flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
    parser.add_argument('--db', default='garden.db', metavar='FILE',
                        help='the garden, made if there is none (garden.db)')
    parser.add_argument('--port', type=int, default=8020, help='8020; 0: one that is free')
    parser.add_argument('--extension', default=f'{ROOT}/build/latent', metavar='PATH',
                        help='latent without .so (build/latent of this repository)')
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):      # started with & it would ignore Ctrl-C
        signal.signal(number, signal.default_int_handler)
    if not hasattr(sqlite3.Connection, 'enable_load_extension'):
        sys.exit("artbreeder: this Python's sqlite3 loads no extensions; take /usr/bin/python3")
    try:
        garden = Garden(options.db, options.extension)
    except sqlite3.Error as e:
        sys.exit(f'artbreeder: {options.db}: {e}')
    except KeyboardInterrupt:
        sys.exit('')
    try:
        serve(garden, options.port)
    except (OSError, OverflowError) as e:
        sys.exit(f'artbreeder: port {options.port}: {e}; --port 0 takes one that is free')
    finally:
        garden.close()


if __name__ == '__main__':
    main()
