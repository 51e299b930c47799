-- Shadow tables: they are hidden, and protected if the connection is defensive. The table works
-- under every restriction.

CREATE VIRTUAL TABLE t USING latent(width=4, x INTEGER filter, cell_rows=4);
INSERT INTO t(rowid, latent, x) VALUES (1, x'0000803f000000000000000000000000', 10), (2, x'000000000000803f0000000000000000', 20);
SELECT 'shadow tables', count(*) >= 4, sum(type = 'shadow') = count(*) FROM pragma_table_list WHERE name GLOB 't_*';

.dbconfig defensive on
INSERT INTO t_rows(id) VALUES (3);
UPDATE t_cells SET n = 5;
DELETE FROM t_codes;
DROP TABLE t_pending;

-- Through the table everything still works.
INSERT INTO t(rowid, latent, x) VALUES (3, x'00000000000000000000803f00000000', 30);
UPDATE t SET x = 31 WHERE rowid = 3;
DELETE FROM t WHERE rowid = 2;
INSERT INTO t(t) VALUES ('integrity-check');
INSERT INTO t(t) VALUES ('rebuild');
SELECT 'defensive', group_concat(rowid || ' ' || x) = '1 10,3 31' FROM t;

-- In views and triggers of a schema that is not trusted.
PRAGMA trusted_schema = OFF;
CREATE VIEW nearest AS SELECT rowid, x FROM t(x'00000000000000000000803f00000000') LIMIT 1;
SELECT 'view', x = 31 FROM nearest;
CREATE TABLE log(id INTEGER PRIMARY KEY, v);
CREATE TRIGGER log_in AFTER INSERT ON log BEGIN INSERT INTO t(rowid, latent) VALUES (new.id, new.v); END;
INSERT INTO log VALUES (9, x'0000000000000000000000000000803f');
SELECT 'trigger', count(*) = 3 FROM t;
PRAGMA integrity_check;
DROP TABLE t;
SELECT 'nothing left', count(*) = 0 FROM sqlite_schema WHERE name GLOB 't_*';
