-- latent_cluster over latent tables: properties that hold for any weights.
CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT);
INSERT INTO notes VALUES (2, 'A man rides a horse.'), (3, 'A man rides a bike.'), (5, 'A woman rides a horse.'), (7, 'The soup is cold.'), (11, 'The soup is warm.'), (12, NULL), (13, 'The soup is hot.'), (17, 'A man rides a horse.');
CREATE VIRTUAL TABLE notes_latent USING latent(body, content='notes', content_rowid='id');
INSERT INTO notes_latent(notes_latent) VALUES ('rebuild');
CREATE TABLE c AS SELECT * FROM latent_cluster('notes_latent', 3);

SELECT 'rows', count(*), count(DISTINCT rowid), group_concat(DISTINCT typeof(cluster)), group_concat(DISTINCT typeof(distance)), group_concat(DISTINCT typeof(label)) FROM c;
SELECT 'a row without a latent is in no cluster', count(*) FROM c WHERE rowid = 12;
SELECT 'numbers', group_concat(DISTINCT cluster) FROM c;
SELECT 'the largest first', count(*) FROM (SELECT cluster, count(*) AS n, lag(count(*)) OVER (ORDER BY cluster) AS before FROM c GROUP BY cluster) WHERE n > before;
SELECT 'by cluster, the nearest first', count(*) FROM (SELECT cluster, distance, lag(cluster) OVER w AS c1, lag(distance) OVER w AS d1 FROM (SELECT *, row_number() OVER () AS i FROM latent_cluster('notes_latent', 3)) WINDOW w AS (ORDER BY i)) WHERE c1 > cluster OR (c1 = cluster AND d1 > distance);
SELECT 'the same content, the same cluster', count(DISTINCT cluster), count(DISTINCT distance) FROM c WHERE rowid IN (2, 17);
SELECT 'one label a cluster', count(*) FROM (SELECT cluster FROM c GROUP BY cluster HAVING count(DISTINCT label) <> 1);
CREATE TABLE means AS SELECT c.cluster, latent_mean(t.latent) AS z FROM c JOIN notes_latent t ON t.rowid = c.rowid GROUP BY c.cluster;
SELECT 'distance is that to the mean', count(*), max(abs(c.distance - latent_distance(t.latent, m.z))) < 0.001 FROM c JOIN means m USING (cluster) JOIN notes_latent t ON t.rowid = c.rowid;
SELECT 'no other mean is nearer', count(*) FROM c JOIN notes_latent t ON t.rowid = c.rowid JOIN means m ON m.cluster <> c.cluster WHERE latent_distance(t.latent, m.z) < c.distance - 0.001;
SELECT 'the same again', count(*) FROM (SELECT * FROM c EXCEPT SELECT * FROM latent_cluster('main.notes_latent', 3, NULL));
SELECT 'labels are left out where they are not read', count(*) FROM (SELECT rowid, cluster, distance FROM c EXCEPT SELECT rowid, cluster, distance FROM latent_cluster('NOTES_LATENT', 3));
SELECT 'a seed', count(*) FROM latent_cluster('notes_latent', 3, '{"seed": 7}');
SELECT 'options of decoding', count(DISTINCT label) FROM latent_cluster('notes_latent', 1, '{"fluency": 0.3, "detail": 0.5, "max_tokens": 6}');
SELECT 'one cluster', count(*), min(cluster), max(cluster) FROM latent_cluster('notes_latent', 1);
SELECT 'more clusters than rows that differ', count(*), count(DISTINCT cluster), max(distance) < 0.001 FROM latent_cluster('notes_latent', 1000);
SELECT 'hidden', "index", k, options FROM latent_cluster('notes_latent', 1) LIMIT 1;
SELECT 'null', (SELECT count(*) FROM latent_cluster(NULL, 2)), (SELECT count(*) FROM latent_cluster('notes_latent', NULL));
SELECT 'in a join', count(*) FROM notes n JOIN latent_cluster('notes_latent', 2) c ON c.rowid = n.id WHERE n.body LIKE '%soup%';

-- No rows; equal rows; rows of this transaction, which are gone after a rollback; an attached table.
CREATE VIRTUAL TABLE few USING latent(body, year INTEGER filter);
SELECT 'empty', count(*) FROM latent_cluster('few', 3);
BEGIN;
INSERT INTO few(body) VALUES ('A man rides a horse.'), ('A man rides a horse.'), ('A man rides a horse.');
SELECT 'equal rows are one cluster', count(*), count(DISTINCT cluster), max(distance) FROM latent_cluster('few', 2);
ROLLBACK;
SELECT 'rolled back', count(*) FROM latent_cluster('few', 3);
ATTACH ':memory:' AS other;
CREATE VIRTUAL TABLE other.deep USING latent(body);
INSERT INTO deep(body) VALUES ('It rains. We stay.'), ('It snows. We go. We sing.'), ('');
SELECT 'attached, of documents', count(*), count(DISTINCT cluster) FROM latent_cluster('other.deep', 2);

-- Vectors of another model have clusters, and no labels. Their length does not count.
CREATE VIRTUAL TABLE foreign_vectors USING latent(width=2, year INTEGER filter);
INSERT INTO foreign_vectors(rowid, latent) VALUES (1, '[1, 0]'), (2, '[0, 1]'), (3, '[5, 0.1]'), (4, '[0.1, 7]'), (5, '[3, 0.2]'), (6, '[-1e30, 0]'), (7, NULL), (8, '[1e-30, 0]');
SELECT cluster, group_concat(rowid), max(label) FROM (SELECT * FROM latent_cluster('foreign_vectors', 3) ORDER BY cluster, rowid) GROUP BY cluster;
SELECT cluster, group_concat(rowid) FROM (SELECT * FROM latent_cluster('foreign_vectors', 6) ORDER BY cluster, rowid) GROUP BY cluster;

-- What is refused.
SELECT * FROM latent_cluster;
SELECT * FROM latent_cluster('notes_latent');
SELECT * FROM latent_cluster('notes_latent', 0);
SELECT * FROM latent_cluster('notes_latent', 1001);
SELECT * FROM latent_cluster('notes_latent', 2.5);
SELECT * FROM latent_cluster('notes_latent', 'many');
SELECT * FROM latent_cluster('notes_latent', 2, '{"clusters": 3}');
SELECT * FROM latent_cluster('notes_latent', 2, 'quickly');
SELECT * FROM latent_cluster('none', 2);
SELECT * FROM latent_cluster('notes', 2);
SELECT * FROM latent_cluster(42, 2);
CREATE VIRTUAL TABLE words USING fts5(body);
SELECT * FROM latent_cluster('words', 2);
CREATE VIEW v AS SELECT * FROM latent_cluster('notes_latent', 2);
SELECT * FROM v;
SELECT 'still there', count(*) FROM latent_cluster('notes_latent', 2);
