-- words=1: meaning and words in one query. What holds for any weights.
.headers off
CREATE VIRTUAL TABLE t USING latent(body, year INTEGER filter, words=1);
SELECT name FROM sqlite_schema WHERE type='table' AND name LIKE 't\_words%' ESCAPE '\' ORDER BY name;
INSERT INTO t(rowid, body, year) VALUES (1, 'The train was late.', 2001), (2, 'A dog runs in the park.', 2002), (3, NULL, 2003), (4, 'Zanzibar is far away, far from the park.', 2004), (5, 'Our dogs sleep.', 2005), (6, 'Crème brûlée', 2006), (7, 12, 2007);

-- By words: only rows that have one, the best first; the distance is that of the meaning
SELECT rowid, body FROM t('far', '{"by":"words"}');
SELECT group_concat(rowid) FROM (SELECT rowid FROM t('dog', '{"by":"words"}') ORDER BY rowid);
SELECT group_concat(rowid) FROM (SELECT rowid FROM t('Zanzibar late', '{"by":"words"}') ORDER BY rowid);
SELECT rowid FROM t('creme', '{"by":"words"}');
SELECT rowid FROM t('12', '{"by":"words"}');
SELECT count(*) FROM t('nothing of this', '{"by":"words"}');
SELECT count(*) FROM t(NULL, '{"by":"words"}');
SELECT count(*), sum(abs(distance - latent_distance('the dog', latent))<1e-6) FROM t('the dog', '{"by":"words"}');
SELECT rowid FROM t('far park', '{"by":"words"}') LIMIT 1;
SELECT group_concat(rowid) FROM (SELECT rowid FROM t('park dogs', '{"by":"words"}') WHERE year>=2004 ORDER BY rowid);
SELECT rowid FROM t('park dogs', '{"by":"words"}') WHERE rowid=4;
SELECT count(*) FROM t('park dogs', '{"by":"words"}') WHERE rowid=1;
SELECT count(*) FROM t('park dogs', '{"by":"words","limit":2}');
SELECT rowid, distance<1e-5 FROM t('Our dogs sleep.', '{"by":"words"}') ORDER BY distance LIMIT 1;

-- A phrase in double quotes
SELECT rowid FROM t('"the park"', '{"by":"words"}') ORDER BY rowid;
SELECT rowid FROM t('"dog runs" sleep', '{"by":"words"}') ORDER BY rowid;
SELECT count(*) FROM t('"park the"', '{"by":"words"}');

-- What is an error in FTS5 is a question here
SELECT count(*) FROM t('what''s this? (far AND', '{"by":"words"}');
SELECT count(*) FROM t('NOT', '{"by":"words"}'), t('far*', '{"by":"words"}');
SELECT count(*) FROM t('"', '{"by":"words"}');
SELECT count(*) FROM t('""" " * NEAR( - ^ : {', '{"by":"words"}');
SELECT count(*) FROM t('far" ' || char(0, 10, 1, 8212, 8217, 0x1F600), '{"by":"words"}');
SELECT count(*) FROM t('far—away body:late -dog', '{"by":"words"}');
SELECT count(*) FROM t('', '{"by":"words"}');
SELECT count(*) FROM t('""', '{"by":"words"}');
SELECT count(*) FROM t('?!');
WITH RECURSIVE w(i, x) AS (SELECT 1, 'w1' UNION ALL SELECT i+1, x || ' w' || (i+1) FROM w WHERE i<1500)
SELECT count(*) FROM t((SELECT 'dog ' || x FROM w ORDER BY i DESC LIMIT 1), '{"by":"words"}');

-- By both, which is the default: every row once; pages, joined, are the whole
SELECT count(*), count(DISTINCT rowid) FROM t('dog');
SELECT (SELECT group_concat(rowid) FROM t('dog')) = (SELECT group_concat(rowid) FROM t('dog', '{"by":"both"}'));
SELECT (SELECT group_concat(rowid) FROM t('dog')) = (SELECT group_concat(rowid) FROM (SELECT * FROM (SELECT rowid FROM t('dog') LIMIT 2) UNION ALL SELECT * FROM (SELECT rowid FROM t('dog') LIMIT 2 OFFSET 2) UNION ALL SELECT * FROM (SELECT rowid FROM t('dog') LIMIT 9 OFFSET 4)));
SELECT (SELECT group_concat(rowid) FROM t('dog')) = (SELECT group_concat(rowid) FROM t('dog', '{"exact":true}'));
SELECT sum(abs(distance - latent_distance('dog', latent))<1e-6) FROM t('dog');
SELECT count(*) FROM t('dog') WHERE year>2002;
SELECT rowid FROM t('Zanzibar is far away, far from the park.') LIMIT 1;
-- The words' rows are ahead of rows as far away without them
CREATE VIRTUAL TABLE same USING latent(body, words=1);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<40)
INSERT INTO same(rowid, body, latent) SELECT i, iif(i=30, 'a zebra', 'a horse'), z FROM n, (SELECT latent_encode('a horse') AS z);
SELECT rowid FROM same('zebra') LIMIT 2;
SELECT rowid FROM same('zebra', '{"by":"meaning"}') LIMIT 2;
SELECT count(*), count(DISTINCT rowid) FROM same('zebra');
-- ORDER BY distance is an order by distance
SELECT (SELECT group_concat(rowid) FROM (SELECT rowid FROM t('dog') ORDER BY distance)) = (SELECT group_concat(rowid) FROM t('dog', '{"by":"meaning"}'));
SELECT rowid FROM same('zebra') ORDER BY distance, rowid LIMIT 1;
-- A latent has no words
SELECT (SELECT group_concat(rowid) FROM t(latent_encode('dog', '{"refine":0}'))) = (SELECT group_concat(rowid) FROM t('dog', '{"by":"meaning"}'));

-- Changes
UPDATE t SET year=9 WHERE rowid=2;
UPDATE t SET body='A cat' WHERE rowid=2;
UPDATE t SET rowid=50 WHERE rowid=5;
DELETE FROM t WHERE rowid=4;
INSERT OR REPLACE INTO t(rowid, body) VALUES (1, 'a bus');
SELECT group_concat(rowid) FROM (SELECT rowid FROM t('dog zanzibar cat train bus', '{"by":"words"}') ORDER BY rowid);
UPDATE t SET body=NULL WHERE rowid=2;
UPDATE t SET latent=latent_encode('a tram') WHERE rowid=1;
SELECT group_concat(rowid) FROM (SELECT rowid FROM t('dog cat bus', '{"by":"words"}') ORDER BY rowid);
INSERT INTO t(t) VALUES ('integrity-check');
BEGIN;
INSERT INTO t(rowid, body) VALUES (60, 'a cat'), (61, 'a cat');
SAVEPOINT s;
DELETE FROM t WHERE rowid=60;
UPDATE t SET body='a dog' WHERE rowid=61;
SELECT group_concat(rowid) FROM (SELECT rowid FROM t('cat', '{"by":"words"}') ORDER BY rowid);
ROLLBACK TO s;
SELECT group_concat(rowid) FROM (SELECT rowid FROM t('cat', '{"by":"words"}') ORDER BY rowid);
INSERT INTO t(rowid, body) VALUES (62, 'a cat'), (60, 'there already');
SELECT group_concat(rowid) FROM (SELECT rowid FROM t('cat', '{"by":"words"}') ORDER BY rowid);
ROLLBACK;
SELECT count(*) FROM t('cat', '{"by":"words"}');
INSERT INTO t(t) VALUES ('integrity-check');
ALTER TABLE t RENAME TO "u ""'";
SELECT rowid FROM "u ""'"('dog', '{"by":"words"}');
INSERT INTO "u ""'"(rowid, body) VALUES (70, 'a dog');
SELECT count(*) FROM "u ""'"('dog', '{"by":"words"}');
INSERT INTO "u ""'"("u ""'") VALUES ('integrity-check');
ALTER TABLE "u ""'" RENAME TO t;
SELECT count(*) FROM t('dog', '{"by":"words"}');
INSERT INTO t(t) VALUES ('rebuild'), ('optimize');
SELECT count(*) FROM t('dog', '{"by":"words"}');
INSERT INTO t(t) VALUES ('integrity-check');
BEGIN;
ALTER TABLE t RENAME TO x;
INSERT INTO x(body) VALUES ('a cat');
ROLLBACK;
SELECT count(*) FROM t('dog cat', '{"by":"words"}');
DROP TABLE t;
DROP TABLE same;
SELECT count(*) FROM sqlite_schema;

-- Content of another table: words follow the row
CREATE TABLE notes(id INTEGER PRIMARY KEY, body, key UNIQUE);
INSERT INTO notes VALUES (1, 'one dog', 1), (2, 'two cats', 2), (3, NULL, 3);
CREATE VIRTUAL TABLE n USING latent(body, content=notes, content_rowid=id, words=1);
SELECT rowid, body FROM n('dog', '{"by":"words"}');
INSERT INTO notes VALUES (4, 'three dogs', 4);
UPDATE notes SET body='a bird' WHERE id=1;
SELECT group_concat(rowid) FROM (SELECT rowid FROM n('dog bird', '{"by":"words"}') ORDER BY rowid);
BEGIN;
INSERT INTO notes VALUES (5, 'four birds', 5);
SAVEPOINT s;
DELETE FROM notes WHERE id=1;
SELECT group_concat(rowid) FROM (SELECT rowid FROM n('dog bird', '{"by":"words"}') ORDER BY rowid);
ROLLBACK TO s;
SELECT group_concat(rowid) FROM (SELECT rowid FROM n('dog bird', '{"by":"words"}') ORDER BY rowid);
UPDATE notes SET id=6 WHERE id=5;
COMMIT;
SELECT group_concat(rowid) FROM (SELECT rowid FROM n('dog bird', '{"by":"words"}') ORDER BY rowid);
INSERT INTO n(n) VALUES ('integrity-check');
-- A trigger of the user's changes the row later
CREATE TRIGGER later AFTER INSERT ON notes BEGIN UPDATE notes SET body='a swan' WHERE id=new.id; END;
INSERT INTO notes VALUES (7, 'a duck', 7);
SELECT rowid FROM n('swan duck', '{"by":"words"}');
DROP TRIGGER later;
-- A row that REPLACE takes away without a trigger
INSERT OR REPLACE INTO notes VALUES (8, 'a heron', 7);
SELECT rowid FROM n('swan heron', '{"by":"words"}');
INSERT INTO n(n) VALUES ('sync');
SELECT count(*) FROM n_words;
INSERT INTO n(n) VALUES ('integrity-check');
INSERT INTO n(n) VALUES ('rebuild');
SELECT group_concat(rowid) FROM (SELECT rowid FROM n('dog bird', '{"by":"words"}') ORDER BY rowid);
INSERT INTO n(n) VALUES ('integrity-check');
DELETE FROM notes;
SELECT count(*) FROM n_words;
DROP TABLE n;
-- Without triggers: 'sync'
CREATE VIEW v AS SELECT id, body FROM notes WHERE id<>2;
CREATE VIRTUAL TABLE n USING latent(body, content=v, content_rowid=id, triggers=0, words=1);
INSERT INTO notes VALUES (1, 'one dog', 1), (2, 'two dogs', 2), (3, 'a horse', 3);
INSERT INTO n(n) VALUES ('sync');
SELECT group_concat(rowid) FROM (SELECT rowid FROM n('dog horse', '{"by":"words"}') ORDER BY rowid);
UPDATE notes SET body='a mule' WHERE id=3;
DELETE FROM notes WHERE id=1;
INSERT INTO n(n) VALUES ('sync');
SELECT group_concat(rowid) FROM (SELECT rowid FROM n('dog horse mule', '{"by":"words"}') ORDER BY rowid);
INSERT INTO n(n) VALUES ('integrity-check');
