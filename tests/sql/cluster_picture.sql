-- latent_cluster over pictures, and over texts and pictures side by side, for any weights.
CREATE VIRTUAL TABLE t USING latent(body);
INSERT INTO t(rowid, body) SELECT column1, latent_image(column2, 1) FROM (VALUES (1, 'a red heart'), (2, 'a star'), (3, 'a cat'));
CREATE TABLE c AS SELECT * FROM latent_cluster('t', 2);
SELECT 'pictures have labels in words', count(*), group_concat(DISTINCT typeof(label)) FROM c;
INSERT INTO t(rowid, body) VALUES (4, 'A cat sits on the mat.'), (5, 'A red heart.'), (6, 'The soup is cold.'), (7, 'The soup is warm.');
SELECT 'both kinds', count(*), count(DISTINCT cluster), group_concat(DISTINCT typeof(label)) FROM latent_cluster('t', 3);
SELECT 'pictures alone', count(*), min(rowid), max(rowid) FROM latent_cluster('t', 2, '{"kind": "picture"}');
SELECT 'texts alone', count(*), min(rowid), max(rowid) FROM latent_cluster('t', 2, '{"kind": "text"}');
SELECT 'code alone', count(*) FROM latent_cluster('t', 2, '{"kind": "code"}');
