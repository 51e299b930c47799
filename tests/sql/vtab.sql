-- The virtual table: properties that hold for any weights.
.headers off
CREATE VIRTUAL TABLE own USING latent(body, year INTEGER filter, price REAL filter, lang TEXT filter);
INSERT INTO own(body, year, price, lang) VALUES ('A dog runs.', 2001, 1.5, 'en'), ('It is warm.', 2002, 2, 'en'), (NULL, 2003, NULL, 'de'), ('Ein Hund.', 2004.0, '4', 'de');
SELECT rowid, body, year, typeof(year), price, typeof(price), lang, length(latent)>0, distance IS NULL FROM own;
SELECT rowid, body, round(abs(distance), 5) FROM own('It is warm.') LIMIT 1;
SELECT count(*), count(DISTINCT rowid), min(distance)>=0 FROM own('It is warm.');
SELECT count(*) FROM own WHERE own MATCH 'a' AND year>=2002;
SELECT group_concat(rowid) FROM (SELECT rowid FROM own('a') WHERE lang='en' ORDER BY rowid);
SELECT group_concat(rowid) FROM (SELECT rowid FROM own('a') WHERE lang IN ('de', 'fr') ORDER BY rowid);
SELECT group_concat(rowid) FROM (SELECT rowid FROM own('a') WHERE lang>='e' AND year<2002 ORDER BY rowid);
SELECT group_concat(rowid) FROM (SELECT rowid FROM own('a') WHERE price>1.5 AND price<=4 ORDER BY rowid);
SELECT group_concat(rowid) FROM (SELECT rowid FROM own('a') WHERE price IS NULL ORDER BY rowid);
SELECT group_concat(rowid) FROM (SELECT rowid FROM own('a') WHERE rowid IN (1, 4, 9) ORDER BY rowid);
SELECT group_concat(rowid) FROM (SELECT rowid FROM own('a') WHERE rowid>1 AND rowid<4.5 ORDER BY rowid);
SELECT count(*) FROM own(NULL);
SELECT count(*) FROM own('a') WHERE year=NULL;
SELECT count(*) FROM own('a', '{"limit": 2}');
SELECT count(*) FROM own('a', NULL);
SELECT (SELECT group_concat(rowid) FROM own('a')) = (SELECT group_concat(rowid) FROM own('a', '{"exact": true}'));
SELECT count(*) FROM own('a') WHERE abs(distance - latent_distance('a', latent))>1e-6;
SELECT count(*) FROM own(latent_encode('It is warm.')) WHERE distance<1e-5;
SELECT rowid, distance<1e-5 FROM own('It is warm.') WHERE rowid=2;
SELECT rowid FROM own('It is warm.') ORDER BY distance LIMIT 1;
SELECT rowid FROM own ORDER BY rowid DESC;
SELECT count(*), max(rowid) FROM own;
EXPLAIN QUERY PLAN SELECT * FROM own('a') WHERE year>=2002 ORDER BY distance;
EXPLAIN QUERY PLAN SELECT * FROM own WHERE rowid=2;

-- Changes: only what changes is encoded again; conflicts as SQLite's tables have them
UPDATE own SET year=1999 WHERE rowid=2;
SELECT rowid, year, distance<1e-5 FROM own('It is warm.') LIMIT 1;
UPDATE own SET body='It is cold.' WHERE rowid=2;
SELECT rowid, body FROM own('It is cold.') LIMIT 1;
UPDATE own SET rowid=20 WHERE rowid=2;
SELECT rowid, body FROM own('It is cold.') LIMIT 1;
UPDATE own SET body=NULL WHERE rowid=20;
SELECT count(*) FROM own('It is cold.');
UPDATE own SET rowid=1 WHERE rowid=20;
UPDATE OR REPLACE own SET rowid=1 WHERE rowid=20;
SELECT rowid, body FROM own;
INSERT INTO own(rowid, body) VALUES (1, 'twice');
INSERT OR IGNORE INTO own(rowid, body) VALUES (1, 'twice');
INSERT OR REPLACE INTO own(rowid, body) VALUES (1, 'in its place');
SELECT rowid, body FROM own('in its place') LIMIT 1;
INSERT INTO own(rowid, body, latent) VALUES (30, 'said otherwise', latent_encode('A cat.'));
SELECT rowid, distance<1e-5 FROM own('A cat.') LIMIT 1;
SELECT last_insert_rowid();
DELETE FROM own WHERE rowid=30;
SELECT last_insert_rowid(), count(*) FROM own('A cat.');
INSERT INTO own(own) VALUES ('integrity-check');

-- Transactions
BEGIN;
INSERT INTO own(body) VALUES ('one');
SAVEPOINT s;
INSERT INTO own(body) VALUES ('two');
SELECT count(*) FROM own('one');
ROLLBACK TO s;
SELECT count(*) FROM own('one');
UPDATE own SET body='uno' WHERE body='one';
SELECT length(latent)>0 FROM own WHERE body='uno';
DELETE FROM own WHERE body='uno';
INSERT INTO own(body) VALUES ('three');
COMMIT;
SELECT body FROM own('three') LIMIT 1;
SELECT count(*) FROM own_pending;
BEGIN;
DELETE FROM own;
SELECT count(*) FROM own('three');
ROLLBACK;
SELECT count(*) FROM own('three');
INSERT INTO own(own) VALUES ('optimize');
INSERT INTO own(own) VALUES ('rebuild');
INSERT INTO own(own) VALUES ('integrity-check');
ALTER TABLE own RENAME TO mine;
SELECT body FROM mine('three') LIMIT 1;
INSERT INTO mine(mine) VALUES ('integrity-check');
DROP TABLE mine;
SELECT count(*) FROM sqlite_schema;

-- Vectors of somebody else's model
CREATE VIRTUAL TABLE v USING latent(width=3, metric=cosine, g INTEGER filter, cell_rows=4);
INSERT INTO v(rowid, latent, g) VALUES (1, x'0000803f0000000000000000', 1), (2, x'000000000000803f00000000', 2), (3, NULL, 3);
SELECT rowid, round(distance, 5), g, hex(latent) FROM v(x'0000803f0000000000000000');
WITH RECURSIVE n(i) AS (VALUES (10) UNION ALL SELECT i+1 FROM n WHERE i<40)
INSERT INTO v(rowid, latent, g) SELECT i, CAST(x'0000803f' || char(i) || x'00003f' || char(i) || x'00003f' AS BLOB), i%2 FROM n;
SELECT count(*), count(DISTINCT rowid) FROM v(x'0000803f0000000000000000') WHERE g=1;
SELECT (SELECT group_concat(rowid) FROM v(x'0000803f0000000000000000')) = (SELECT group_concat(rowid) FROM v(x'0000803f0000000000000000', '{"exact": true}'));
DELETE FROM v WHERE rowid>12;
INSERT INTO v(v) VALUES ('integrity-check');
DROP TABLE v;

-- Rows that are pending at a RENAME or DROP are not lost when that is rolled back.
CREATE VIRTUAL TABLE v USING latent(width=3);
BEGIN; INSERT INTO v(rowid, latent) VALUES (1, x'0000803f0000000000000000'); SAVEPOINT a; ALTER TABLE v RENAME TO w; INSERT INTO w(rowid, latent) VALUES (2, x'000000000000803f0000803f');
ROLLBACK TO a; COMMIT;
SELECT rowid, distance FROM v(x'0000803f0000000000000000');
BEGIN; INSERT INTO v(rowid, latent) VALUES (3, x'000000000000803f00000000'); SAVEPOINT a; DROP TABLE v; ROLLBACK TO a; COMMIT;
SELECT rowid, distance FROM v(x'0000803f0000000000000000');
INSERT INTO v(v) VALUES ('optimize');
SELECT rowid, distance FROM v(x'0000803f0000000000000000');
INSERT INTO v(v) VALUES ('integrity-check');
SELECT rowid, * FROM v WHERE rowid=9;
DROP TABLE v;

-- Several databases
ATTACH ':memory:' AS other;
CREATE VIRTUAL TABLE other.t USING latent(body);
CREATE VIRTUAL TABLE temp.u USING latent(body);
INSERT INTO other.t(body) VALUES ('there');
INSERT INTO temp.u(body) VALUES ('here');
SELECT body FROM other.t('there');
SELECT body FROM u('there');
DROP TABLE other.t;
DROP TABLE u;
DETACH other;
-- Vectors of somebody else's model whose squares overflow or vanish in a float.
CREATE VIRTUAL TABLE large USING latent(width=2);
INSERT INTO large(rowid, latent) VALUES (1, x'd9c2007f00000000'), (2, x'00000000d9c2007f'), (3, x'0000803f00000000'), (4, x'0100000000000000');
SELECT rowid, round(distance, 6) FROM large(x'0000803f0000803f');
SELECT rowid, round(distance, 6) FROM large(x'd9c2007f00000000');
