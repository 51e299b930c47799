-- "diverse" and "within": what holds for any weights.
.headers off
-- Vectors, where it can be seen: three much alike near the query, one that differs, one far away
CREATE VIRTUAL TABLE v USING latent(width=3);
INSERT INTO v(rowid, latent) VALUES (1, '[1, 0.1, 0]'), (2, '[1, 0.11, 0]'), (3, '[1, 0.12, 0]'), (4, '[1, 0, 0.5]'), (5, '[0, 1, 0]'), (6, '[1, 0.1, 0]');
SELECT group_concat(rowid) FROM v('[1,0,0]');
SELECT group_concat(rowid) FROM v('[1,0,0]', '{"diverse":0}');
SELECT group_concat(rowid) FROM v('[1,0,0]', '{"diverse":0.6}');
SELECT group_concat(rowid) FROM v('[1,0,0]', '{"diverse":1}');
SELECT group_concat(rowid) FROM v('[1,0,0]', '{"diverse":0.6, "exact":true}');
SELECT group_concat(rowid) FROM v('[1,0,0]', '{"diverse":0.6, "limit":2}');
SELECT group_concat(rowid) FROM (SELECT rowid FROM v('[1,0,0]', '{"diverse":0.6}') LIMIT 2 OFFSET 1);
SELECT group_concat(rowid) FROM (SELECT rowid FROM v('[1,0,0]', '{"diverse":0.6}') ORDER BY distance);
SELECT round(distance, 3) FROM v('[1,0,0]', '{"diverse":0.6}') LIMIT 2;
SELECT group_concat(rowid) FROM v('[1,0,0]', '{"within":0}');
SELECT group_concat(rowid) FROM v('[1,0,0]', '{"within":1e-6}');
SELECT group_concat(rowid) FROM v('[1,0,0]', '{"within":0.05}');
SELECT group_concat(rowid) FROM v('[1,0,0]', '{"within":0.5}');
SELECT group_concat(rowid) FROM v('[1,0,0]', '{"within":2}');
SELECT group_concat(rowid) FROM v('[1,0,0]', '{"within":0.05, "diverse":1}');
SELECT group_concat(rowid) FROM (SELECT rowid FROM v('[1,0,0]', '{"within":0.05}') ORDER BY distance LIMIT 2);
SELECT rowid FROM v('[1,0,0]', '{"within":0.05, "diverse":1}') WHERE rowid=3;
SELECT group_concat(rowid) FROM v('[1,0,0]', '{"within":0.05}') WHERE distance<0.2;
SELECT count(*) FROM v(NULL, '{"within":0.05, "diverse":1}');

-- More rows than are looked at: each comes once, pages are the whole, the rest is in order
CREATE VIRTUAL TABLE many USING latent(width=2, cell_rows=8);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<500)
INSERT INTO many(rowid, latent) SELECT i, '[' || cos(i*0.003) || ',' || sin(i*0.003) || ']' FROM n;
SELECT count(*), count(DISTINCT rowid) FROM many('[1,0]', '{"diverse":0.7}');
SELECT rowid FROM many('[1,0]', '{"diverse":0.7}') LIMIT 3;
SELECT group_concat(rowid) FROM (SELECT rowid FROM many('[1,0]', '{"diverse":0.7}') LIMIT 3 OFFSET 200);
SELECT max(rowid) FROM (SELECT rowid FROM many('[1,0]', '{"diverse":0.7}') LIMIT 200);
SELECT (SELECT group_concat(rowid) FROM many('[1,0]', '{"diverse":0.7}')) = (SELECT group_concat(rowid) FROM (SELECT * FROM (SELECT rowid FROM many('[1,0]', '{"diverse":0.7}') LIMIT 7) UNION ALL SELECT * FROM (SELECT rowid FROM many('[1,0]', '{"diverse":0.7}') LIMIT 200 OFFSET 7) UNION ALL SELECT * FROM (SELECT rowid FROM many('[1,0]', '{"diverse":0.7}') LIMIT 999 OFFSET 207)));
-- No two of the rows that are left are nearer than `within`; of those left out, each is that near to one
CREATE TABLE kept AS SELECT rowid AS id FROM many('[1,0]', '{"within":0.001}');
SELECT count(*), min(id) FROM kept;
SELECT count(*) FROM kept a, kept b WHERE a.id<b.id AND 1-cos((a.id-b.id)*0.003)<0.00099;
SELECT count(*) FROM many WHERE NOT EXISTS (SELECT 1 FROM kept WHERE 1-cos((many.rowid-id)*0.003)<0.00101);

-- Content, by meaning and by words
CREATE VIRTUAL TABLE t USING latent(body, year INTEGER filter, words=1);
INSERT INTO t(rowid, body, year) VALUES (1, 'A dog runs.', 1), (2, 'A dog runs.', 2), (3, 'The dog sleeps.', 3), (4, 'Nothing of it.', 4), (5, NULL, 5);
SELECT group_concat(rowid) FROM (SELECT rowid FROM t('A dog runs.', '{"within":1e-5}') ORDER BY rowid);
SELECT group_concat(rowid) FROM (SELECT rowid FROM t('A dog runs.', '{"within":1e-5,"by":"words"}') ORDER BY rowid);
SELECT group_concat(rowid) FROM (SELECT rowid FROM t('A dog runs.', '{"within":1e-5}') WHERE year>1 ORDER BY rowid);
SELECT group_concat(rowid) FROM (SELECT rowid FROM t('A dog runs.', '{"diverse":0.5}') ORDER BY rowid);
SELECT group_concat(rowid) FROM (SELECT rowid FROM t('dog', '{"diverse":0.5,"by":"words"}') ORDER BY rowid);
SELECT rowid FROM t('A dog runs.', '{"diverse":1}') LIMIT 1;
SELECT count(*) FROM t('zebra', '{"diverse":1,"by":"words"}');
SELECT count(*) FROM t('zebra', '{"diverse":1}');

SELECT rowid FROM v('[1,0,0]', '{"diverse":2}');
SELECT rowid FROM v('[1,0,0]', '{"diverse":true}');
SELECT rowid FROM v('[1,0,0]', '{"within":-1}');
SELECT rowid FROM v('[1,0,0]', '{"within":"x"}');
