-- Several content columns: a row is found by each of them, as near as by the nearest. What holds for
-- any weights. `one` and `two` have a column each: what they say is what `t` says.
.headers off
CREATE TABLE rows(id INTEGER PRIMARY KEY, title, body, year);
INSERT INTO rows VALUES
  (1, 'Trains', 'The train was late. We waited in the rain. I read a book.', 2001),
  (2, 'A dog runs.', 'It snows.', 2002), (3, NULL, 'Zanzibar is far away. It is warm there.', 2003),
  (4, 'The old harbor', NULL, 2004), (5, NULL, NULL, 2005), (6, '', 'A boat leaves.', 2006),
  (7, 'A boat leaves. It comes back.', 'A dog runs.', 2007), (8, 12, 3.5, 2008);
CREATE VIRTUAL TABLE t USING latent(title, year INTEGER filter, body TEXT, cell_rows=4);
INSERT INTO t(rowid, title, body, year) SELECT id, title, body, year FROM rows;
CREATE VIRTUAL TABLE one USING latent(title, year INTEGER filter);
CREATE VIRTUAL TABLE two USING latent(body, year INTEGER filter);
INSERT INTO one(rowid, title, year) SELECT id, title, year FROM rows;
INSERT INTO two(rowid, body, year) SELECT id, body, year FROM rows;
SELECT name, type, hidden FROM pragma_table_xinfo('t');
SELECT * FROM t WHERE rowid IN (2, 4, 5, 8);
CREATE TABLE queries(q);
INSERT INTO queries VALUES ('A dog runs.'), ('the sea'), ('It is warm there.'), ('12'), ('');
CREATE VIEW apart AS SELECT q, id, min(d) AS d FROM (
  SELECT q, o.rowid AS id, distance AS d FROM queries, one(q) AS o UNION ALL
  SELECT q, o.rowid, distance FROM queries, two(q) AS o) GROUP BY q, id;
SELECT count(*) = (SELECT count(*) FROM apart), count(*) = 35, min(abs(d - distance) < 1e-6) FROM queries, t(queries.q), apart WHERE apart.q = queries.q AND apart.id = t.rowid;
SELECT count(*) = 35, min(abs(d - distance) < 1e-6) FROM queries, t(queries.q, '{"exact":true}'), apart WHERE apart.q = queries.q AND apart.id = t.rowid;
SELECT group_concat(rowid) = (SELECT group_concat(rowid) FROM t('the sea', '{"exact":true}')) FROM t('the sea');
SELECT rowid FROM t('A dog runs.') WHERE distance < 1e-6;
SELECT rowid FROM t('A dog runs.') WHERE distance < 1e-6 AND year = 2007;
-- passage is of the content that answers
SELECT rowid, passage FROM t('A dog runs.') LIMIT 2;
SELECT rowid, passage FROM t('We waited in the rain.') LIMIT 1;
SELECT rowid, passage FROM t('Trains') LIMIT 1;
SELECT rowid, passage FROM t('It is warm there.') LIMIT 1;
SELECT rowid, passage FROM t('The old harbor') LIMIT 1;
SELECT rowid, passage FROM t('It comes back.') LIMIT 1;
-- latent is that of the first column with content
SELECT min(latent IS latent_encode(coalesce(title, body), '{"refine":0}')) FROM t WHERE rowid<8;
-- rows change
INSERT INTO t(t) VALUES ('integrity-check');
UPDATE t SET body = 'The cat sleeps.' WHERE rowid = 2;
SELECT rowid, title, body, distance < 1e-6 FROM t('The cat sleeps.') LIMIT 1;
SELECT rowid FROM t('A dog runs.') WHERE distance < 1e-6;
UPDATE t SET title = NULL WHERE rowid = 2;
SELECT rowid FROM t('A dog runs.') WHERE distance < 1e-6;
UPDATE t SET body = NULL WHERE rowid = 2;
SELECT rowid, latent IS NULL FROM t WHERE rowid = 2;
SELECT count(*) FROM t('It snows.') WHERE rowid = 2;
UPDATE t SET title = 'It snows.', rowid = 20 WHERE rowid = 2;
SELECT rowid, title, body FROM t('It snows.') LIMIT 1;
UPDATE t SET year = 1 WHERE rowid = 1;
UPDATE t SET title = title, body = body WHERE rowid = 1;
DELETE FROM t WHERE rowid = 7;
INSERT OR REPLACE INTO t(rowid, title, body) VALUES (6, 'A ship', 'leaves early');
BEGIN;
INSERT INTO t VALUES ('Bread', 'We bake bread.', 2010);
SELECT title, body, year FROM t('We bake bread.') LIMIT 1;
ROLLBACK;
SELECT count(*) FROM t('We bake bread.') WHERE distance < 1e-6;
INSERT INTO t(t) VALUES ('integrity-check');
INSERT INTO t(t) VALUES ('optimize');
INSERT INTO t(t, rank) VALUES ('rebuild', 2);
INSERT INTO t(t) VALUES ('rebuild');
INSERT INTO t(t) VALUES ('integrity-check');
ALTER TABLE t RENAME TO renamed;
SELECT rowid, passage FROM renamed('We waited in the rain.') LIMIT 1;
-- rows that say the same in one column are not the same
CREATE VIRTUAL TABLE same USING latent(title, body);
INSERT INTO same VALUES ('Untitled', 'A dog runs.'), ('Untitled', 'The market fell again today.'), ('Untitled', 'A dog runs.');
SELECT count(*) FROM same('Untitled', '{"within":0.001}');
SELECT count(*), count(DISTINCT rowid) FROM same('Untitled', '{"diverse":0.5}');
-- content that cannot be encoded, or is not for a table like this
INSERT INTO same(rowid, title, body) VALUES (9, 'found by no search', x'00');
SELECT count(*) FROM same('found by no search') WHERE rowid = 9;
INSERT INTO same(same) VALUES ('integrity-check');
UPDATE same SET body = 'now it is' WHERE rowid = 9;
SELECT rowid FROM same('found by no search') LIMIT 1;
INSERT INTO same(same) VALUES ('integrity-check');
INSERT INTO same(title, latent) VALUES ('a', latent_encode('b'));
CREATE VIRTUAL TABLE strict USING latent(title, body, strict=1);
INSERT INTO strict VALUES ('a', x'00');
INSERT INTO strict VALUES ('a', 'b');
UPDATE strict SET title = x'4c544e54';
CREATE VIRTUAL TABLE twice USING latent(title, Title);
CREATE VIRTUAL TABLE wide USING latent(title, body, width=3);
-- damage is found, and each row can be written again
UPDATE same_rows SET latent = substr(latent, 1, length(latent) - 1) WHERE id = 1;
UPDATE same_rows SET content2 = 'It was something else.' WHERE id = 2;
SELECT body FROM same WHERE rowid = 2;
SELECT count(*) FROM same('A dog runs.', '{"exact":true}');
INSERT INTO same(same) VALUES ('rebuild');
INSERT INTO same(same) VALUES ('integrity-check');
SELECT body FROM same WHERE rowid = 2;
-- The content of another table, and words
CREATE VIRTUAL TABLE e USING latent(title, body, year INTEGER filter, content='rows', content_rowid='id', words=1);
SELECT sql FROM sqlite_schema WHERE name = 'e_words';
SELECT count(*) = 35, min(abs(d - distance) < 1e-6) FROM queries, e(queries.q, '{"by":"meaning"}'), apart WHERE apart.q = queries.q AND apart.id = e.rowid;
SELECT rowid FROM e('Zanzibar', '{"by":"words"}');
SELECT rowid FROM e('boat dog', '{"by":"words"}') ORDER BY rowid;
SELECT rowid, passage FROM e('We waited in the rain.') LIMIT 1;
SELECT title, body FROM e('harbor') LIMIT 1;
UPDATE rows SET body = 'A zebra.' WHERE id = 4;
UPDATE rows SET title = NULL WHERE id = 1;
UPDATE rows SET title = NULL, body = x'00' WHERE id = 8;
DELETE FROM rows WHERE id = 7;
INSERT INTO rows VALUES (30, 'A zebra', NULL, 2030);
SELECT rowid FROM e('zebra', '{"by":"words"}') ORDER BY rowid;
SELECT rowid FROM e('trains', '{"by":"words"}');
SELECT rowid, title, body, year FROM e('A zebra') LIMIT 2;
UPDATE rows SET title = 'noise', body = 'noise' WHERE id = 8;
INSERT INTO e(e) VALUES ('integrity-check');
DROP TRIGGER e_update;
UPDATE rows SET body = 'The king is old.' WHERE id = 1;
UPDATE rows SET title = 'Whales' WHERE id = 3;
INSERT INTO e(e) VALUES ('sync');
SELECT rowid, passage FROM e('whales') LIMIT 1;
SELECT rowid FROM e('king whales', '{"by":"words"}') ORDER BY rowid;
INSERT INTO e(e) VALUES ('rebuild');
INSERT INTO e(e) VALUES ('integrity-check');
UPDATE e SET latent = latent_encode('x') WHERE rowid = 1;
-- triggers=0: no passage where the content is not what was encoded
CREATE TABLE notes(id INTEGER PRIMARY KEY, a, b);
INSERT INTO notes VALUES (1, NULL, 'It is cold. It is early.'), (2, 'A bell', 'A bell');
CREATE VIRTUAL TABLE n USING latent(a, b, content='notes', content_rowid='id', triggers=0);
INSERT INTO n(n) VALUES ('sync');
SELECT rowid, passage FROM n('It is early.') WHERE rowid = 1;
UPDATE notes SET a = 'new' WHERE id = 1;
SELECT rowid, passage FROM n('It is early.') WHERE rowid = 1;
UPDATE notes SET a = NULL, b = NULL WHERE id = 1;
SELECT rowid, passage FROM n('It is early.') WHERE rowid = 1;
INSERT INTO n(n) VALUES ('integrity-check');
-- Own content with words
CREATE VIRTUAL TABLE w USING latent(title, body, words=1);
INSERT INTO w(rowid, title, body) VALUES (1, 'A zebra', 'in the park'), (2, NULL, 'A horse'), (3, x'00', 'An ass'), (4, x'00', NULL), (5, NULL, NULL);
SELECT (SELECT group_concat(rowid) FROM w('zebra ass', '{"by":"words","exact":true}')), (SELECT count(*) FROM w_words);
UPDATE w SET title = 'A cow' WHERE rowid = 2;
UPDATE w SET title = NULL WHERE rowid = 3;
UPDATE w SET rowid = 10 WHERE rowid = 1;
SELECT rowid FROM w('zebra cow horse ass', '{"by":"words"}') ORDER BY rowid;
UPDATE w SET title = NULL, body = NULL WHERE rowid = 2;
SELECT count(*) FROM w('cow horse', '{"by":"words"}');
DELETE FROM w WHERE rowid = 3;
UPDATE w_words SET body2 = 'in the zoo' WHERE rowid = 10;
INSERT INTO w(w) VALUES ('integrity-check');
INSERT INTO w(w) VALUES ('rebuild');
SELECT rowid, body, body2 FROM w_words;
INSERT INTO w(w) VALUES ('integrity-check');
