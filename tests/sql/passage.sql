-- Long content: a row is as near as the nearest of its sentences, or as the whole, and `passage`
-- says which sentence that is. Each statement gives ones, or what the passage is.
CREATE VIRTUAL TABLE t USING latent(body, year INTEGER filter, cell_rows=8);
INSERT INTO t(rowid, body, year) VALUES
  (1, 'It was quiet. Boats came in.  It rains.', 1),
  (2, 'The market fell. It fell (again). "Is it over?" Yes', 2),
  (3, 'It rains.', 3), (4, NULL, 4), (5, '', 5), (6, ' One. ' || char(10) || 'Two!', 6);
SELECT rowid IN (1, 3), distance < 1e-6, passage <> '' AND instr(body, passage) > 0 FROM t('It rains.') WHERE rowid = 3;
SELECT rowid, distance < 1e-6, passage FROM t('Boats came in.') LIMIT 1;
SELECT rowid, distance < 1e-6, passage FROM t('"Is it over?"') LIMIT 1;
SELECT passage = 'One.' FROM t('One.') WHERE rowid = 6;
SELECT rowid, passage IS NULL OR passage = '' FROM t('anything') WHERE rowid IN (4, 5);
-- Every row comes once, whatever its sentences are, nearest first; filters and bounds hold
SELECT count(*) = 5, count(DISTINCT rowid) = 5 FROM t('fishing at dawn');
SELECT group_concat(rowid) = (SELECT group_concat(rowid) FROM t('fishing at dawn', '{"exact":true}')) FROM t('fishing at dawn');
SELECT rowid FROM t('It rains.') WHERE year = 1;
SELECT count(*) FROM t('It rains.') WHERE distance < 1e-6;
SELECT count(*) FROM t('It rains.') WHERE rowid BETWEEN 1 AND 2;
-- It is what latent_distance() says, whichever comes first
SELECT min(abs(distance - latent_distance(body, 'boats')) < 1e-6), min(latent_distance(body, 'boats') = latent_distance('boats', body)) FROM t('boats') WHERE body IS NOT NULL;
SELECT min(abs(distance - latent_distance(latent, 'boats')) < 1e-6) FROM t('boats');
-- Rows of many sentences leave and come back, with all of their vectors
WITH RECURSIVE n(i) AS (VALUES (10) UNION ALL SELECT i+1 FROM n WHERE i<29)
INSERT INTO t(rowid, body, year) SELECT i, 'It is warm. A dog runs. It snows. The cat number ' || i || ' sleeps. ' || (SELECT group_concat('No ' || substr('abcde', j, 1), '. ') FROM (WITH RECURSIVE m(j) AS (VALUES (1) UNION ALL SELECT j+1 FROM m WHERE j<=i%5) SELECT j FROM m)), i FROM n;
SELECT count(*) = 25, count(DISTINCT rowid) = 25 FROM t('A dog runs.');
SELECT count(*) FROM t('A dog runs.') WHERE distance < 1e-6;
UPDATE t SET body = 'It snows.' WHERE rowid % 2 = 0 AND rowid >= 10;
DELETE FROM t WHERE rowid % 4 = 1;
UPDATE t SET year = 100 WHERE rowid > 20;
INSERT INTO t(t) VALUES ('integrity-check');
INSERT INTO t(t) VALUES ('optimize');
INSERT INTO t(t) VALUES ('integrity-check');
SELECT count(*) FROM t('A dog runs.') WHERE distance < 1e-6;
SELECT count(*) FROM t('It snows.') WHERE distance < 1e-6;
-- A long text has a passage of several sentences for each, and no more than 255
INSERT INTO t(rowid, body) SELECT 50, group_concat(s, ' ') FROM (WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i+1 FROM n WHERE i<600) SELECT 'Word ' || char(97 + i%26, 97 + i/26) || '.' AS s FROM n);
SELECT rowid, length(passage) > 10 FROM t('Word dd. Word de. Word df.') WHERE rowid = 50;
INSERT INTO t(t) VALUES ('integrity-check');
-- Damaged, it is written again, or leaves, whatever the index knows of it
UPDATE t_rows SET latent = x'00' WHERE id IN (50, 11);
DELETE FROM t WHERE rowid = 50;
UPDATE t SET body = 'It is cold. It is late.' WHERE rowid = 11;
INSERT INTO t(t) VALUES ('integrity-check');
-- Another table's content: what has changed since has no passage
CREATE TABLE notes(id INTEGER PRIMARY KEY, body);
INSERT INTO notes VALUES (7, 'It is early. It is red. It is late.'), (8, x'00');
CREATE VIRTUAL TABLE e USING latent(body, content='notes', content_rowid='id', triggers=0);
INSERT INTO e(e) VALUES ('rebuild');
SELECT rowid, passage FROM e('It is red.');
UPDATE notes SET body = 'It is early.' WHERE id = 7;
SELECT rowid, passage IS NULL, distance < 1e-6 FROM e('It is red.');
INSERT INTO e(e) VALUES ('sync');
SELECT rowid, passage, distance < 1e-6 FROM e('It is red.');
-- It is computed, and no column of a table of vectors; a name that the user has taken stays theirs
INSERT INTO t(body, passage) VALUES ('x', 'y');
CREATE VIRTUAL TABLE v USING latent(width=2);
SELECT passage FROM v;
CREATE VIRTUAL TABLE own USING latent(body, passage TEXT filter, rank INTEGER filter);
INSERT INTO own VALUES ('It is warm.', 'p', 9);
SELECT passage, rank FROM own('It is warm.') WHERE passage = 'p';
SELECT passage FROM t WHERE rowid = 1;
