-- latent_encode_each over JSON arrays and tables: properties that hold for any weights.
CREATE TABLE notes(id INTEGER PRIMARY KEY, body, "odd ""name" TEXT);
INSERT INTO notes VALUES (3, 'A man rides a horse.', 'x'), (5, NULL, 'y'), (7, 'It rains. We stay.', NULL), (11, '', 'z'), (-2, 'The soup is cold.', 'x');
CREATE TABLE e AS SELECT * FROM latent_encode_each('notes', 'body');
SELECT 'every row, in order', count(*), group_concat(rowid) FROM latent_encode_each('notes', 'body');
SELECT 'the content', count(*) FROM e JOIN notes n ON n.id = e.rowid WHERE e.content IS NOT n.body;
SELECT 'what latent_encode gives', count(*) FROM e WHERE latent IS NOT latent_encode(content);
SELECT 'options', count(*) FROM latent_encode_each('notes', 'body', '{"refine": 0}') WHERE latent IS NOT latent_encode(content, '{"refine": 0}');
SELECT 'names', (SELECT count(*) FROM latent_encode_each('main.notes', 'BODY')), (SELECT count(latent) FROM latent_encode_each('NOTES', 'odd "name'));
SELECT 'a JSON array', rowid, content, typeof(latent) FROM latent_encode_each('["A man rides a horse.", "a \"b\" \u00e9", null, "", "tab\there"]');
SELECT 'what latent_encode gives', count(*) FROM latent_encode_each('["A man rides a horse.", "\u00e9", null, ""]') WHERE latent IS NOT latent_encode(content);
SELECT 'options', count(*) FROM latent_encode_each('["A man rides a horse.", "It rains."]', NULL, '{"refine": 0}') WHERE latent IS NOT latent_encode(content, '{"refine": 0}');
SELECT 'an empty array', count(*) FROM latent_encode_each(' [ ] ');
SELECT 'hidden', source, "column", options FROM latent_encode_each('notes', 'body') LIMIT 1;
SELECT 'null', (SELECT count(*) FROM latent_encode_each(NULL)), (SELECT count(*) FROM latent_encode_each(NULL, 'body'));
SELECT 'an array a row', count(*), count(latent) FROM notes n, latent_encode_each(json_array(n.body, n."odd ""name"));
SELECT 'the rest is not encoded', rowid FROM latent_encode_each('notes', 'body') LIMIT 2;

-- Several batches, of which each row is as if it were alone.
CREATE TABLE many AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<60) SELECT 'Row ' || (i%7) AS body, i FROM n;
SELECT 'batches', count(*), count(DISTINCT rowid), min(rowid), max(rowid), count(DISTINCT latent), count(DISTINCT content) FROM latent_encode_each('many', 'body', '{"refine": 0}');
SELECT 'a batch does not matter', count(*) FROM latent_encode_each('many', 'body', '{"refine": 0}') e JOIN latent_encode_each('["Row 0", "Row 1", "Row 2", "Row 3", "Row 4", "Row 5", "Row 6"]', NULL, '{"refine": 0}') j USING (content) WHERE e.latent = j.latent;
SELECT 'twice in one statement', count(*) FROM latent_encode_each('notes', 'body') a, latent_encode_each('notes', 'body') b WHERE a.latent = b.latent;

-- It writes to the table that it reads, and ends.
INSERT INTO many(body) SELECT content FROM latent_encode_each('many', 'body', '{"refine": 0}') WHERE rowid > 40;
SELECT 'it ends', count(*) FROM many;
ALTER TABLE many ADD COLUMN z BLOB;
UPDATE many SET z = e.latent FROM latent_encode_each('many', 'body', '{"refine": 0}') AS e WHERE e.rowid = many.rowid;
SELECT 'kept', count(z), count(DISTINCT z) FROM many;
SELECT 'latents pass', count(*) FROM latent_encode_each('many', 'z') WHERE latent IS NOT content;
BEGIN;
DELETE FROM many WHERE rowid > 10;
SELECT 'changes of this transaction', count(*) FROM latent_encode_each('many', 'body', '{"refine": 0}');
ROLLBACK;

-- Names of rowids; attached and temporary tables.
CREATE TABLE hidden_id(rowid TEXT, body);
INSERT INTO hidden_id VALUES ('a', 'x'), ('b', 'y');
SELECT 'a column called rowid', group_concat(rowid), group_concat(content) FROM latent_encode_each('hidden_id', 'body');
CREATE TABLE no_id(rowid, oid, _rowid_, body);
INSERT INTO no_id VALUES (1, 2, 3, 'x');
SELECT * FROM latent_encode_each('no_id', 'body');
ATTACH ':memory:' AS other;
CREATE TABLE other.far(body);
INSERT INTO far VALUES ('It rains.');
CREATE TEMP TABLE near(body);
INSERT INTO near VALUES ('It snows.');
SELECT 'attached, temporary', a.content, b.content FROM latent_encode_each('other.far', 'body') a, latent_encode_each('near', 'body') b;
CREATE TABLE empty(body);
SELECT 'an empty table', count(*) FROM latent_encode_each('empty', 'body');

-- What is refused.
SELECT * FROM latent_encode_each;
SELECT * FROM latent_encode_each('notes');
SELECT * FROM latent_encode_each('{"a": "b"}');
SELECT * FROM latent_encode_each('"a"');
SELECT * FROM latent_encode_each('["a", ');
SELECT * FROM latent_encode_each('["a\u0000b"]');
SELECT 'a backslash before u0000', content FROM latent_encode_each('["a\\u0000b"]');
SELECT * FROM latent_encode_each('["a", 2]');
SELECT * FROM latent_encode_each('["a", "b", ["c"]]');
SELECT * FROM latent_encode_each(42);
SELECT * FROM latent_encode_each(x'5b5d');
SELECT * FROM latent_encode_each('nothing', 'body');
SELECT * FROM latent_encode_each('notes', 'nothing');
SELECT * FROM latent_encode_each('notes', 42);
SELECT * FROM latent_encode_each('notes', 'id');
SELECT * FROM latent_encode_each('notes', 'body', '{"kind": "direction"}');
SELECT * FROM latent_encode_each('notes', 'body', 'quickly');
CREATE TABLE keyed(k TEXT PRIMARY KEY, body) WITHOUT ROWID;
SELECT * FROM latent_encode_each('keyed', 'body');
CREATE VIEW v AS SELECT body FROM notes;
SELECT * FROM latent_encode_each('v', 'body');
CREATE VIRTUAL TABLE words USING fts5(body);
SELECT * FROM latent_encode_each('words', 'body');
INSERT INTO notes(id, body) VALUES (12, x'0102');
SELECT rowid FROM latent_encode_each('notes', 'body');
CREATE VIEW w AS SELECT * FROM latent_encode_each('notes', 'body');
SELECT * FROM w;
SELECT 'still there', count(*) FROM latent_encode_each('["a"]');
