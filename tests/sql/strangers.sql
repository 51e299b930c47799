-- Files of strangers: what a view or a trigger of an attached database may reach. -- (not swept)
CREATE TABLE private(id INTEGER PRIMARY KEY, body TEXT);
INSERT INTO private VALUES (1, 'A dog runs.'), (2, 'It is warm.'), (3, 'It is cold.');
CREATE VIRTUAL TABLE private_latent USING latent(body, content='private', content_rowid='id');
SELECT 'own statement', count(*)>0 FROM latent_imagine('private_latent', 'It is hot.', 1);
ATTACH ':memory:' AS stranger;
CREATE VIEW stranger.reads AS SELECT content FROM latent_imagine('main.private_latent', 'It is hot.', 1);
CREATE VIEW stranger.looks AS SELECT content FROM latent_gaps('main.private_latent', 1);
CREATE VIEW stranger.asks AS SELECT latent_info() AS info;
CREATE VIEW stranger.counts AS SELECT latent_distance('a', 'b')>=0 AS far;
CREATE TABLE stranger.bait(x);
CREATE TABLE stranger.caught(y);
CREATE TRIGGER stranger.hook AFTER INSERT ON bait BEGIN INSERT INTO caught SELECT content FROM latent_imagine('private_latent', 'x', 1); END;
-- Whether the application trusts schemas or not.
PRAGMA trusted_schema = ON;
SELECT * FROM stranger.reads;
SELECT * FROM stranger.looks;
SELECT * FROM stranger.asks;
INSERT INTO stranger.bait VALUES (1);
SELECT 'trusted', far FROM stranger.counts;
PRAGMA trusted_schema = OFF;
SELECT * FROM stranger.reads;
SELECT * FROM stranger.looks;
SELECT * FROM stranger.asks;
INSERT INTO stranger.bait VALUES (1);
SELECT 'untrusted', far FROM stranger.counts;
SELECT 'caught', count(*) FROM stranger.caught;
-- What a latent table prepares for itself counts as the application's own statement: the content that a
-- stranger's schema names is no virtual table, whether SQLite would let a schema use it or not.
ATTACH ':memory:' AS other;
CREATE VIRTUAL TABLE other.manual USING latent(usage, content='Latent_Functions', content_rowid='n_min', triggers=0);
CREATE VIRTUAL TABLE other.functions USING latent(name, content='PRAGMA_function_list', content_rowid='narg', triggers=0);
CREATE VIRTUAL TABLE other.each USING latent(value, content='json_each', content_rowid='id', triggers=0);
CREATE VIRTUAL TABLE other.pragmas USING latent(file, content='pragma_database_list', content_rowid='seq', triggers=0);
CREATE VIRTUAL TABLE other.own USING latent(content='private_latent', body, triggers=0);
-- A view says what it reads to SQLite, which asks whether a schema may.
CREATE VIEW other.reads_view AS SELECT 1 AS rowid, content AS body FROM latent_imagine('main.private_latent', 'x', 1);
CREATE VIRTUAL TABLE other.reads USING latent(body, content='reads_view', triggers=0);
CREATE VIEW other.info_view AS SELECT 1 AS rowid, latent_info() AS body;
CREATE VIRTUAL TABLE other.infos USING latent(body, content='info_view', triggers=0);
CREATE VIEW other.each_view AS SELECT id AS rowid, value AS body FROM json_each('["It is warm.", "A dog runs."]');
CREATE VIRTUAL TABLE other.each USING latent(body, content='each_view', triggers=0);
INSERT INTO each(each) VALUES ('rebuild');
SELECT 'a view of an innocuous table', count(*) FROM other.each('warm');
-- The same where the file was made elsewhere: a table whose name is now that of a virtual table.
CREATE TABLE other.json_tree(id INTEGER PRIMARY KEY, value TEXT);
INSERT INTO other.json_tree VALUES (1, 'It is warm.');
CREATE VIRTUAL TABLE other.turned USING latent(value, content='json_tree', content_rowid='id', triggers=0);
INSERT INTO turned(turned) VALUES ('rebuild');
SELECT 'a table', value FROM other.turned('warm');
DROP TABLE other.json_tree;
SELECT value FROM other.turned('warm');
INSERT INTO turned(turned) VALUES ('rebuild');
INSERT INTO turned(turned) VALUES ('integrity-check');
-- Things on shadow tables, met at the first use of a connection.
CREATE VIRTUAL TABLE made USING latent(width=2);
CREATE TRIGGER made_rows_hook AFTER INSERT ON made_rows BEGIN DELETE FROM made_rows; END;
INSERT INTO made(latent) VALUES (x'0000803f00000000');
SELECT count(*) FROM made(x'0000803f00000000');
SAVEPOINT anew;
CREATE TABLE more(x);
ROLLBACK TO anew;
RELEASE anew;
INSERT INTO made(latent) VALUES (x'0000803f00000000');
DROP TRIGGER made_rows_hook;
CREATE UNIQUE INDEX made_index ON made_rows(latent);
INSERT INTO made(latent) VALUES (x'0000803f00000000');
DROP INDEX made_index;
INSERT INTO made(latent) VALUES (x'0000803f00000000');
SELECT count(*) FROM made(x'0000803f00000000');
DROP TABLE made;
