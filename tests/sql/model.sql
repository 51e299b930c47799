-- tiny: a table with a sentence encoder of its own, found by name: beside the weights, or loaded. The rows
-- are searched by its vectors and keep their latents.
CREATE VIRTUAL TABLE t USING latent(body, year INTEGER filter, model='meaning', cell_rows=8);
INSERT INTO t(rowid, body, year) VALUES (1, 'It is warm.', 1), (2, 'A dog runs. It is cold. The cat sleeps.', 2), (3, NULL, 3), (4, x'00', 4), (5, '', 5);
SELECT rowid, distance < 1e-3, passage FROM t('It is warm.') LIMIT 1;
SELECT rowid, distance < 1e-3, passage FROM t('It is cold.') WHERE year > 1 LIMIT 1;
SELECT group_concat(rowid) = (SELECT group_concat(rowid) FROM t('a cat', '{"exact":true}')) FROM t('a cat');
SELECT rowid, latent = latent_encode(body, '{"refine":0}'), latent_fidelity(latent) > 0 FROM t WHERE rowid IN (1, 2);
SELECT count(*), min(v) = 1 FROM (SELECT CASE k WHEN 'width' THEN v > 0 WHEN 'encoder' THEN v > 0 END AS v FROM t_config) WHERE v IS NOT NULL;
INSERT INTO t(t) VALUES ('integrity-check');
UPDATE t SET body = 'It snows. The dog sleeps.', year = 9 WHERE rowid = 1;
UPDATE t SET year = 8 WHERE rowid = 2;
DELETE FROM t WHERE rowid = 5;
SELECT rowid, year FROM t('The dog sleeps.') LIMIT 1;
SELECT rowid, year FROM t('It is cold.') LIMIT 1;
INSERT INTO t(t) VALUES ('optimize');
INSERT INTO t(t) VALUES ('integrity-check');
INSERT INTO t(t) VALUES ('rebuild');
INSERT INTO t(t) VALUES ('integrity-check');
SELECT rowid FROM t('It is cold.') LIMIT 1;
-- What it cannot do
SELECT rowid FROM t((SELECT latent FROM t WHERE rowid = 1));
UPDATE t SET latent = latent_encode('x') WHERE rowid = 1;
CREATE VIRTUAL TABLE u USING latent(body, model='no-such-encoder');
CREATE VIRTUAL TABLE u USING latent(body, model='../meaning');
CREATE VIRTUAL TABLE u USING latent(width=2, model='meaning');
CREATE VIRTUAL TABLE u USING latent(body, model='');
-- Another table's content; an encoder that was loaded
SELECT length(latent_load('tests/data/mpnet')) > 0;
CREATE TABLE notes(id INTEGER PRIMARY KEY, body);
INSERT INTO notes VALUES (7, 'The cat sleeps. The dog runs.'), (8, 'It is warm.');
CREATE VIRTUAL TABLE e USING latent(body, content='notes', content_rowid='id', model='mpnet');
INSERT INTO e(e) VALUES ('rebuild');
INSERT INTO notes VALUES (9, 'the cat');
SELECT rowid, distance < 1e-3, passage FROM e('the cat') LIMIT 1;
SELECT rowid FROM t('It is cold.') LIMIT 1;
INSERT INTO e(e) VALUES ('integrity-check');
UPDATE e_rows SET latent = x'00' WHERE id = 9;
SELECT rowid FROM e('the cat') LIMIT 1;
DELETE FROM notes WHERE id = 9;
INSERT INTO e(e) VALUES ('integrity-check');
DROP TABLE e;
-- Several content columns: each has its latent and its vectors
CREATE VIRTUAL TABLE d USING latent(title, body, model='meaning');
CREATE VIRTUAL TABLE b USING latent(body, model='meaning');
INSERT INTO d(rowid, title, body) VALUES (1, 'A bell', 'It rings. It is old.'), (2, NULL, 'The cat sleeps.'), (3, 'A dog runs. It is cold.', NULL), (4, NULL, NULL);
INSERT INTO b(rowid, body) SELECT rowid*10, title FROM d UNION ALL SELECT rowid*10+1, body FROM d;
SELECT rowid, distance < 1e-3, passage FROM d('It is old.') LIMIT 1;
SELECT rowid, distance < 1e-3, passage FROM d('A bell') LIMIT 1;
SELECT rowid, distance < 1e-3, passage FROM d('It is cold.') LIMIT 1;
SELECT rowid, distance = (SELECT min(distance) FROM b('the cat') AS x WHERE x.rowid/10 = d.rowid) FROM d('the cat') ORDER BY rowid;
SELECT rowid, latent IS latent_encode(coalesce(title, body), '{"refine":0}') FROM d;
UPDATE d SET body = 'It snows.' WHERE rowid = 1;
SELECT rowid, passage FROM d('It snows.') LIMIT 1;
INSERT INTO d(d) VALUES ('rebuild');
INSERT INTO d(d) VALUES ('integrity-check');
