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
