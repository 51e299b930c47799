-- Damage of t_rows: every row that is shown was written, 'integrity-check' finds the damage, and
-- each kind of it can be repaired.
CREATE VIRTUAL TABLE own USING latent(body, year INTEGER filter, lang TEXT filter);
INSERT INTO own VALUES ('A dog runs.', 2001, 'en'), ('It is warm.', 2002, NULL), (NULL, 2003, 'de'), (7, 2004, '5');
INSERT INTO own(own) VALUES ('integrity-check');
UPDATE own_rows SET content='A dog runs.' WHERE id=1;
UPDATE own_rows SET f1='fr' WHERE id=3;
UPDATE own_rows SET content='7' WHERE id=4;
SELECT body FROM own WHERE rowid=1;
SELECT lang FROM own WHERE rowid=3;
SELECT body FROM own WHERE rowid=4;
SELECT rowid, body, lang FROM own WHERE rowid=2;
SELECT rowid FROM own('A dog runs.') LIMIT 1;
INSERT INTO own(own) VALUES ('integrity-check');

-- A damaged row does not get a new checksum by chance. Written again or deleted, the table is
-- sound.
UPDATE own SET year=1 WHERE rowid=1;
UPDATE own SET body='A dog runs.', year=1, lang='en' WHERE rowid=1;
DELETE FROM own WHERE rowid=3;
INSERT OR REPLACE INTO own(rowid, body) VALUES (4, 'seven');
INSERT INTO own(own) VALUES ('integrity-check');
SELECT rowid, body, year, lang FROM own;

-- Latents of the content: rebuilt, deleted, replaced
UPDATE own_rows SET latent=x'00' WHERE id=1;
UPDATE own_rows SET sum=sum+1 WHERE id=2;
UPDATE own_rows SET latent=NULL WHERE id=4;
SELECT latent FROM own WHERE rowid=1;
INSERT INTO own(own) VALUES ('integrity-check');
DELETE FROM own WHERE rowid=1;
UPDATE own SET body='It is mild.' WHERE rowid=2;
INSERT OR REPLACE INTO own(rowid, body) VALUES (4, 'four');
INSERT INTO own(own) VALUES ('integrity-check');
SELECT rowid, body, distance<1e-5 FROM own('four') LIMIT 1;
UPDATE own_rows SET latent=NULL, content='five' WHERE id=4;
INSERT INTO own(own) VALUES ('rebuild');
INSERT INTO own(own) VALUES ('integrity-check');
SELECT rowid, body, distance<1e-5 FROM own('five') LIMIT 1;
DROP TABLE own;

-- Vectors: nothing else says what they were
CREATE VIRTUAL TABLE v USING latent(width=2, g INTEGER filter, cell_rows=4);
WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i+1 FROM n WHERE i<30)
INSERT INTO v(rowid, latent, g) SELECT i, CAST(x'0000803f0000' || char(i) || x'3f' AS BLOB), i FROM n;
UPDATE v_rows SET latent=x'0000803f00000001' WHERE id IN (3, 13);
UPDATE v_rows SET latent=x'00' WHERE id=14;
UPDATE v_rows SET latent=NULL WHERE id IN (5, 15);
UPDATE v_rows SET sum=5 WHERE id IN (6, 16);
UPDATE v_rows SET f0=99 WHERE id=17;
SELECT count(*) FROM v(x'0000803f00000000', '{"exact": true}');
DELETE FROM v WHERE rowid IN (3, 5, 6);
UPDATE v SET latent=x'0000803f0000803f' WHERE rowid=13;
INSERT OR REPLACE INTO v(rowid, latent, g) VALUES (14, x'0000803f0000803f', 14);
UPDATE v SET g=15 WHERE rowid=15;
SELECT count(*) FROM v(x'0000803f00000000');
INSERT INTO v(v) VALUES ('rebuild');
INSERT INTO v(v) VALUES ('integrity-check');
SELECT count(*), count(latent), group_concat(CASE WHEN latent IS NULL THEN rowid END), sum(g) FROM v;
SELECT count(*) FROM v(x'0000803f00000000');
DROP TABLE v;
-- Made by somebody else: whole in itself, but not what was written
CREATE VIRTUAL TABLE made USING latent(width=2, g INTEGER filter, cell_rows=4);
WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i+1 FROM n WHERE i<12)
INSERT INTO made(rowid, latent, g) SELECT i, CAST(x'0000803f0000' || char(i) || x'3f' AS BLOB), i FROM n;
CREATE VIRTUAL TABLE other USING latent(width=2, g INTEGER filter, cell_rows=4);
INSERT INTO other(rowid, latent, g) VALUES (5, x'000080bf0000803f', 5);
SELECT count(*) FROM made(x'0000803f00000000');
-- a row with another latent, one that is gone, one whose latent is
REPLACE INTO made_rows SELECT * FROM other_rows WHERE id=5;
SELECT count(*) FROM made(x'0000803f00000000');
DELETE FROM made_rows WHERE id=5;
SELECT count(*) FROM made(x'0000803f00000000');
INSERT INTO made(made) VALUES ('rebuild');
SELECT count(*) FROM made(x'0000803f00000000');
UPDATE made_rows SET latent=NULL, sum=sum & -4294967296 WHERE id=6;
SELECT count(*) FROM made(x'0000803f00000000');
-- but what changes while a query is open is no damage
INSERT INTO made(made) VALUES ('rebuild');
DELETE FROM made WHERE rowid IN (SELECT rowid FROM made(x'0000803f00000000') LIMIT 3);
BEGIN;
DELETE FROM made WHERE rowid=7;
UPDATE made SET latent=x'000080bf000080bf' WHERE rowid=8;
SELECT count(*) FROM made(x'0000803f00000000');
COMMIT;
-- an index that was emptied
UPDATE made_cells SET n=0, stamp=0 WHERE id=0;
DELETE FROM made_cells WHERE id>0;
DELETE FROM made_codes;
SELECT count(*) FROM made(x'0000803f00000000');
INSERT INTO made(made) VALUES ('rebuild');
SELECT count(*) FROM made(x'0000803f00000000');
DROP TABLE other;
DROP TABLE made;
