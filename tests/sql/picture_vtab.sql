-- tiny: A table of texts and pictures, found by texts and pictures: properties that hold for any
-- weights.
CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT, png BLOB);
INSERT INTO p VALUES(1, 'a red disc', x'89504E470D0A1A0A0000000D4948445200000008000000080806000000C40FBE8B000000234944415478DA63B823A7C18084FF43315C0C5D021D13A7E03F3E4C9402CADD80D79B000F5E7455569F28120000000049454E44AE426082'),
  (2, 'blue and yellow squares', x'89504E470D0A1A0A0000000D49484452000000080000000808020000004B6D29DC000000204944415478DA63F875C70688446C4E0011329B01A704A610848D5B820E760000915165412EE6880F0000000049454E44AE426082'),
  (3, 'a smooth ground', x'89504E470D0A1A0A0000000D4948445200000008000000080806000000C40FBE8B0000005C4944415478DA15CA310103410800B093F252908214A42005293869C3902DEFBDFA7D0449D10CCB7B9F409014CDB0DF85100892A219362EA4409014CDB079A10482A46886AD0B2D102445336C5F188120299A61E7C20A0449D10CCB1FFA9197C14D43D8850000000049454E44AE426082');

SELECT '-- content of its own: PNGs as they came, texts, latents of either kind';
CREATE VIRTUAL TABLE t USING latent(body, year INTEGER filter);
INSERT INTO t(rowid, body, year) SELECT id, png, 2020+id FROM p;
INSERT INTO t(rowid, body, year) SELECT 10+id, name, 2020+id FROM p;
INSERT INTO t(rowid, latent) SELECT 20+id, latent_encode(png) FROM p;
INSERT INTO t(rowid, body, latent) SELECT 30+id, name, latent_encode(png) FROM p;
SELECT rowid, typeof(body), body=(SELECT png FROM p WHERE id=t.rowid), hex(substr(latent, 6, 1)) FROM t ORDER BY rowid;
SELECT latent=(SELECT latent_encode(png) FROM p WHERE id=t.rowid) FROM t WHERE rowid<4;
SELECT k, typeof(v) FROM t_config ORDER BY k;
SELECT k, v=(SELECT v FROM t_config WHERE k='model') FROM t_config WHERE k='picture';

SELECT '-- found by a picture, its latent, a text; the same distances as latent_distance() gives';
SELECT rowid, round(distance, 4)=0 FROM t((SELECT png FROM p WHERE id=2)) WHERE distance<1e-4 ORDER BY rowid;
SELECT rowid FROM t((SELECT latent_encode(png) FROM p WHERE id=3)) WHERE distance<1e-4 ORDER BY rowid;
SELECT rowid FROM t('a red disc') WHERE distance<1e-4;
SELECT count(*), max(abs(distance - latent_distance('a red disc', latent))) < 1e-3 FROM t('a red disc');
SELECT count(*), max(abs(distance - latent_distance((SELECT png FROM p WHERE id=1), latent))) < 1e-3 FROM t((SELECT png FROM p WHERE id=1));
SELECT count(*) FROM t((SELECT png FROM p WHERE id=1)) WHERE year=2022;
SELECT p.id, (SELECT rowid FROM t(p.png) WHERE rowid<10 LIMIT 1) FROM p;         -- the query changes from row to row
SELECT count(*) FROM p, t(p.png) WHERE distance<1e-4;

SELECT '-- changed, deleted, put back';
UPDATE t SET body=(SELECT png FROM p WHERE id=1) WHERE rowid=2;
SELECT rowid FROM t((SELECT png FROM p WHERE id=1)) WHERE distance<1e-4 ORDER BY rowid;
UPDATE t SET body='words now' WHERE rowid=2;
SELECT typeof(body), hex(substr(latent, 6, 1)) FROM t WHERE rowid=2;
UPDATE t SET year=1 WHERE rowid=1;
SELECT year, typeof(body), latent=(SELECT latent_encode(png) FROM p WHERE id=1) FROM t WHERE rowid=1;
BEGIN;
DELETE FROM t WHERE rowid<4;
INSERT INTO t(rowid, body) SELECT id+40, png FROM p;
SELECT count(*) FROM t((SELECT png FROM p WHERE id=3)) WHERE rowid>40;
ROLLBACK;
SELECT count(*) FROM t;
INSERT INTO t(t) VALUES('integrity-check');
INSERT INTO t(t) VALUES('rebuild');
SELECT rowid, hex(substr(latent, 6, 1)) FROM t ORDER BY rowid;   -- what stands in the content is encoded again
INSERT INTO t(t) VALUES('optimize');
INSERT INTO t(t) VALUES('integrity-check');

SELECT '-- content of another table';
CREATE TABLE notes(id INTEGER PRIMARY KEY, body);
INSERT INTO notes SELECT id, png FROM p;
CREATE VIRTUAL TABLE n USING latent(body, content='notes', content_rowid='id');
INSERT INTO notes(id, body) SELECT 10+id, name FROM p;
UPDATE notes SET body=(SELECT png FROM p WHERE id=3) WHERE id=1;
SELECT n.rowid, notes.body=(SELECT png FROM p WHERE id=3) FROM n((SELECT png FROM p WHERE id=3)) n JOIN notes ON notes.id=n.rowid WHERE distance<1e-4 ORDER BY n.rowid;
SELECT rowid, body=(SELECT name FROM p WHERE id=2) FROM n('blue and yellow squares') LIMIT 1;
DELETE FROM notes WHERE id=3;
SELECT count(*) FROM n((SELECT png FROM p WHERE id=1));
INSERT INTO n(n) VALUES('integrity-check');
INSERT INTO n(n) VALUES('rebuild');
SELECT count(*) FROM n((SELECT png FROM p WHERE id=1));

SELECT '-- what is no picture, or a broken one: kept, but not found; integrity-check says why';
INSERT INTO t(rowid, body) VALUES(50, x'00112233');
INSERT INTO t(rowid, body) SELECT 51, substr(png, 1, 45) FROM p WHERE id=1;
UPDATE t SET body=substr((SELECT png FROM p WHERE id=1), 1, 45) WHERE rowid=1;
INSERT INTO t(latent) SELECT png FROM p WHERE id=1;
SELECT count(*) FROM t(x'89504E470D0A1A0A00');
SELECT rowid, length(body) FROM t WHERE latent IS NULL AND body IS NOT NULL;
SELECT count(*) FROM t((SELECT png FROM p WHERE id=1)) WHERE rowid IN (1, 50, 51);
INSERT INTO t(t) VALUES('integrity-check');
INSERT INTO t(t) VALUES('rebuild');
INSERT INTO t(t) VALUES('integrity-check');
UPDATE t SET body=(SELECT png FROM p WHERE id=rowid) WHERE rowid=1;
DELETE FROM t WHERE rowid>=50;
INSERT INTO t(t) VALUES('integrity-check');
BEGIN;
INSERT INTO notes SELECT 49+id, png FROM p;
INSERT INTO notes SELECT 60, substr(png, 1, 45) FROM p WHERE id=1;
INSERT INTO notes SELECT 60+id, png FROM p;
COMMIT;
SELECT count(*) FROM notes WHERE id>=50;
SELECT rowid FROM n((SELECT png FROM p WHERE id=2)) WHERE rowid>=50 AND distance<1e-4 ORDER BY 1;
SELECT rowid FROM n WHERE latent IS NULL AND body IS NOT NULL;
INSERT INTO n(n) VALUES('integrity-check');

SELECT '-- strict=1: refused before anything is written';
CREATE VIRTUAL TABLE s USING latent(body, strict=1);
INSERT INTO s(rowid, body) SELECT id, png FROM p;
INSERT INTO s(body) VALUES(x'00112233');
INSERT INTO s(body) SELECT substr(png, 1, 45) FROM p WHERE id=1;
UPDATE s SET body=substr((SELECT png FROM p WHERE id=1), 1, 45) WHERE rowid=1;
SELECT count(*), count(latent) FROM s;
DELETE FROM notes WHERE id=60;
CREATE VIRTUAL TABLE ns USING latent(body, content='notes', content_rowid='id', strict=1);
INSERT INTO notes SELECT 70, substr(png, 1, 45) FROM p WHERE id=1;
SELECT count(*) FROM notes WHERE id=70;
DROP TABLE ns;
INSERT INTO notes SELECT 70, substr(png, 1, 45) FROM p WHERE id=1;
CREATE VIRTUAL TABLE ns USING latent(body, content='notes', content_rowid='id', strict=1);

SELECT '-- imagined pictures, and gaps between them: PNGs; where kinds are mixed, of one of them';
CREATE VIRTUAL TABLE q USING latent(body);
INSERT INTO q(rowid, body) SELECT id, png FROM p;
INSERT INTO q(rowid, body) SELECT id+3, latent_vary(png, 0.3, id) FROM p;
SELECT count(*)>0, min(typeof(content)), max(typeof(content)), min(hex(substr(content, 1, 4))) FROM latent_imagine('q', 'something round', 3);
SELECT count(*)>0, min(typeof(content)), max(typeof(content)) FROM latent_imagine('q', (SELECT png FROM p WHERE id=1), 2);
SELECT count(*) BETWEEN 0 AND 2, coalesce(min(typeof(content)), 'blob') FROM latent_gaps('q', 2);
INSERT INTO q(rowid, body) SELECT id+10, name FROM p;
SELECT count(*)>0, min(typeof(content)), max(typeof(content)) FROM latent_imagine('q', 'something round', 3, '{"kind":"picture"}');
SELECT count(*)>0, min(typeof(content)), max(typeof(content)) FROM latent_imagine('q', (SELECT png FROM p WHERE id=1), 3, '{"kind":"text"}');
SELECT content=(SELECT png FROM p WHERE id=1) FROM latent_imagine('q', (SELECT png FROM p WHERE id=1), 5) WHERE parents='[1]';
SELECT content FROM latent_imagine('q', 'a red disc', 1) WHERE parents='[11]';
SELECT coalesce(min(typeof(content)), 'text') FROM latent_gaps('q', 1, '{"kind":"text"}');
SELECT coalesce(min(typeof(content)), 'blob') FROM latent_gaps('q', 1);

SELECT '-- a picture that somebody has broken in the shadow table: found, and named by what has to read it';
CREATE VIRTUAL TABLE d USING latent(body);
INSERT INTO d(rowid, body) SELECT id, png FROM p;
UPDATE d_rows SET content=substr(content, 1, 9) WHERE id=2;
SELECT body FROM d WHERE rowid=2;
INSERT INTO d(d) VALUES('integrity-check');
INSERT INTO d(d) VALUES('rebuild');
INSERT INTO d(d) VALUES('integrity-check');
DELETE FROM d WHERE rowid=2;
INSERT INTO d(d) VALUES('rebuild');
INSERT INTO d(d) VALUES('integrity-check');
SELECT count(*) FROM d((SELECT png FROM p WHERE id=1));

SELECT '-- a text and a picture beside each other: found by either';
CREATE VIRTUAL TABLE c USING latent(name, png);
INSERT INTO c(rowid, name, png) SELECT id, name, png FROM p WHERE id < 3;
INSERT INTO c(rowid, png) SELECT id, png FROM p WHERE id = 3;
INSERT INTO c(rowid, name) VALUES (4, 'no picture');
SELECT rowid, distance < 1e-4, passage FROM c('a red disc') LIMIT 1;
SELECT rowid, distance < 1e-4, passage FROM c((SELECT png FROM p WHERE id=2)) LIMIT 1;
SELECT rowid, distance < 1e-4, passage FROM c((SELECT png FROM p WHERE id=3)) LIMIT 1;
SELECT rowid, passage FROM c('no picture') LIMIT 1;
SELECT rowid, hex(substr(latent, 6, 1)) FROM c;
UPDATE c SET png = substr(png, 1, 30) WHERE rowid = 1;
SELECT rowid FROM c('a red disc') WHERE distance < 1e-4;
UPDATE c SET png = NULL WHERE rowid = 1;
SELECT rowid FROM c('a red disc') WHERE distance < 1e-4;
INSERT INTO c(c) VALUES('integrity-check');
