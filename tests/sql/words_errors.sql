-- words=1: what is refused, and damage.
.headers off
CREATE VIRTUAL TABLE t USING latent(body, words=2);
CREATE VIRTUAL TABLE t USING latent(width=3, words=1);
CREATE TABLE t_words(x);
CREATE VIRTUAL TABLE t USING latent(body, words=1);
DROP TABLE t_words;
SELECT count(*) FROM sqlite_schema;
CREATE VIRTUAL TABLE plain USING latent(body, words=0);
INSERT INTO plain(body) VALUES ('a dog');
SELECT body FROM plain('a cat');
SELECT body FROM plain('a cat', '{"by":"meaning"}');
SELECT body FROM plain('a cat', '{"by":"words"}');
SELECT body FROM plain('a cat', '{"by":"both"}');
CREATE VIRTUAL TABLE v USING latent(width=2);
SELECT rowid FROM v('[1,0]', '{"by":"words"}');
CREATE VIRTUAL TABLE t USING latent(body, words=1);
INSERT INTO t(rowid, body) VALUES (1, 'one dog'), (2, 'two cats');
SELECT rowid FROM t('dog', '{"by":"neither"}');
SELECT rowid FROM t('dog', '{"by":1}');
SELECT rowid FROM t(latent_encode('dog'), '{"by":"words"}');
SELECT rowid FROM t(latent_encode('dog'), '{"by":"both"}');

-- Drift is found, and 'rebuild' mends it
UPDATE t_words SET body='another word' WHERE rowid=1;
INSERT INTO t_words(rowid, body) VALUES (7, 'a row of its own');
SELECT count(*) FROM t('row', '{"by":"words"}');
INSERT INTO t(t) VALUES ('integrity-check');
INSERT INTO t(t) VALUES ('rebuild');
INSERT INTO t(t) VALUES ('integrity-check');
DELETE FROM t_words WHERE rowid=2;
INSERT INTO t(t) VALUES ('integrity-check');
INSERT INTO t(t) VALUES ('rebuild');
UPDATE t_words_content SET c0='another word' WHERE id=1;
INSERT INTO t(t) VALUES ('integrity-check');
INSERT INTO t(t) VALUES ('rebuild');
DELETE FROM t_words_data WHERE id>10;
SELECT rowid FROM t('dog', '{"by":"words"}');
INSERT INTO t(t) VALUES ('rebuild');
SELECT rowid FROM t('dog', '{"by":"words"}');
INSERT INTO t(t) VALUES ('integrity-check');

-- A row that nothing but t_words knows is not given
INSERT INTO t_words(rowid, body) VALUES (7, 'dog');
SELECT group_concat(rowid) FROM (SELECT rowid FROM t('dog') ORDER BY rowid);
INSERT INTO t(t) VALUES ('rebuild');

-- Another table in the place of t_words. (Where a change of the schema is taken back SQLite connects
-- anew, as when a file is opened.)
DROP TABLE t_words;
SELECT rowid FROM t('dog');
CREATE VIRTUAL TABLE t_words USING fts5(body);
BEGIN; CREATE TABLE x(y); ROLLBACK;
SELECT rowid FROM t('dog');
INSERT INTO t(body) VALUES ('a bird');
INSERT INTO t(t) VALUES ('rebuild');
INSERT INTO t(t) VALUES ('integrity-check');
DROP TABLE t_words;
CREATE VIEW t_words AS SELECT 1 AS body;
BEGIN; CREATE TABLE x(y); ROLLBACK;
SELECT rowid FROM t('dog');
DROP VIEW t_words;
CREATE TABLE t_words(body);
BEGIN; CREATE TABLE x(y); ROLLBACK;
SELECT rowid FROM t('dog');
DROP TABLE t_words;
CREATE VIRTUAL TABLE "t_words" USING fts5(body, tokenize='porter unicode61 remove_diacritics 2');
INSERT INTO t(t) VALUES ('rebuild');
SELECT rowid FROM t('dog', '{"by":"words"}');
INSERT INTO t(t) VALUES ('integrity-check');
DROP TABLE t_words;
DROP TABLE t;
