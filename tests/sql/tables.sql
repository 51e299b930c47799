-- Latents in tables: generated columns, triggers, views, indexes, WITHOUT ROWID, transactions. Each
-- statement gives a name and ones.

-- A stored generated column follows its text.
CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT, z BLOB AS (latent_encode(body)) STORED);
INSERT INTO notes(body) VALUES ('one dog'), ('two cats'), ('three birds'), (NULL);
SELECT 'stored', count(*) = 3, sum(z = latent_encode(body)) = 3 FROM notes WHERE body IS NOT NULL;
UPDATE notes SET body = 'one fox' WHERE id = 1;
SELECT 'follows', z = latent_encode('one fox') FROM notes WHERE id = 1;
SELECT 'nearest', id = 2 FROM notes WHERE z IS NOT NULL ORDER BY latent_distance(z, 'two cats') LIMIT 1;
SELECT 'between rows', typeof(latent_interp(a.z, b.z, 0.5)) = 'text' FROM notes a, notes b WHERE a.id = 1 AND b.id = 2;

-- A virtual one is made when it is read. An expression can be indexed, because the functions are
-- deterministic.
CREATE TABLE made(body TEXT, z BLOB AS (latent_encode(body)) VIRTUAL, far REAL AS (latent_distance(body, 'one dog')) STORED);
CREATE INDEX made_far ON made(far);
CREATE INDEX made_size ON made(length(latent_encode(body)));
INSERT INTO made(body) VALUES ('one dog'), ('two cats');
SELECT 'virtual', sum(z = latent_encode(body)) = 2 FROM made;
SELECT 'indexed', body = 'one dog' FROM made ORDER BY far LIMIT 1;

-- A trigger keeps another table in step.
CREATE TABLE log(body TEXT, z BLOB, far REAL);
CREATE TRIGGER on_insert AFTER INSERT ON notes BEGIN
  INSERT INTO log VALUES (new.body, latent_encode(new.body), latent_distance(new.body, 'one dog'));
END;
INSERT INTO notes(body) VALUES ('four fish');
SELECT 'trigger', body = 'four fish', z = latent_encode('four fish'), far BETWEEN 0 AND 2 FROM log;

-- A view, also when the schema is not trusted.
CREATE VIEW near AS SELECT id, body, latent_distance(z, 'two cats') AS distance FROM notes WHERE z IS NOT NULL;
SELECT 'view', count(*) = 4, min(distance) < 0.001 FROM near;
PRAGMA trusted_schema = OFF;
SELECT 'untrusted view', count(*) = 4 FROM near;
INSERT INTO notes(body) VALUES ('five bees');
SELECT 'untrusted generated column and trigger', count(*) = 2, sum(z = latent_encode(body)) = 2 FROM log;
PRAGMA trusted_schema = ON;

-- WITHOUT ROWID, with the text as its key; CHECK.
CREATE TABLE words(word TEXT PRIMARY KEY, z BLOB AS (latent_encode(word)) STORED, CHECK (latent_distance(word, word) < 0.01)) WITHOUT ROWID;
INSERT INTO words(word) VALUES ('dog'), ('cat'), ('bird');
SELECT 'without rowid', sum(z = latent_encode(word)) = 3 FROM words;
SELECT 'neighbours', count(*) = 3 FROM words a JOIN words b ON a.word < b.word WHERE latent_distance(a.z, b.z) >= 0;

-- Transactions: what is rolled back is gone, savepoints too. A row that fails undoes its statement.
BEGIN;
INSERT INTO notes(body) VALUES ('six ants');
SAVEPOINT inner_one;
INSERT INTO notes(body) VALUES ('seven frogs');
ROLLBACK TO inner_one;
SELECT 'savepoint', count(*) = 1 FROM notes WHERE body IN ('six ants', 'seven frogs');
ROLLBACK;
SELECT 'rollback', count(*) = 0 FROM notes WHERE body IN ('six ants', 'seven frogs');
INSERT INTO log SELECT NULL, latent_encode(value), NULL FROM json_each('["good", 5, "never"]');
SELECT 'a failed statement leaves nothing', count(*) = 2 FROM log;

-- UPDATE from a join; UPSERT; RETURNING; a window.
CREATE TABLE pairs(a INTEGER, b INTEGER, content TEXT, PRIMARY KEY (a, b));
INSERT INTO pairs(a, b) VALUES (1, 2), (2, 3);
UPDATE pairs SET content = latent_interp(x.z, y.z, 1) FROM notes x, notes y WHERE x.id = a AND y.id = b;
SELECT 'update from', count(*) = 2 FROM pairs JOIN notes ON notes.id = pairs.b WHERE content = latent_decode(notes.z);
INSERT INTO words(word) VALUES ('dog') ON CONFLICT(word) DO UPDATE SET word = 'dogs' RETURNING 'upsert', z = latent_encode('dogs');
SELECT 'window', count(*) = 3 FROM (SELECT latent_mean(z) OVER (ORDER BY word ROWS 1 PRECEDING) AS m FROM words) WHERE length(m) > 16;
