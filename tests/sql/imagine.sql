-- latent_imagine and latent_gaps over latent tables: properties that hold for any weights.
CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT);
INSERT INTO notes VALUES (2, 'A man rides a horse.'), (3, 'A man rides a bike.'), (5, 'A woman rides a horse.'), (7, 'The soup is cold.'), (11, 'The soup is warm. He eats it.'), (12, NULL);
CREATE VIRTUAL TABLE notes_latent USING latent(body, content='notes', content_rowid='id');
INSERT INTO notes_latent(notes_latent) VALUES ('rebuild');
CREATE TABLE i AS SELECT rowid AS id, * FROM latent_imagine('notes_latent', 'A woman rides a bike.');

SELECT 'rows', count(*) BETWEEN 1 AND 5, min(typeof(content)), min(typeof(distance)), min(typeof(latent)), min(typeof(fidelity)), min(typeof(parents)), min(typeof(weights)) FROM i;
SELECT 'by distance', count(*) FROM i a JOIN i b ON b.id = a.id + 1 WHERE b.distance < a.distance;
SELECT 'the nearest row', count(*), max(content = (SELECT n.body FROM notes_latent('A woman rides a bike.') l JOIN notes n ON n.id = l.rowid LIMIT 1)),
  max(abs(distance - (SELECT distance FROM notes_latent('A woman rides a bike.') LIMIT 1)) < 0.0001), min(fidelity), min(weights)
FROM i WHERE json_array_length(parents) = 1;
SELECT 'not in the table', count(*) FROM i JOIN notes n ON lower(n.body) = lower(content) WHERE json_array_length(parents) > 1;
SELECT 'not the query', count(*) FROM i WHERE content = 'A woman rides a bike.';
SELECT 'none twice', count(*) - count(DISTINCT content) FROM i;
SELECT 'distance is that of the text', max(abs(distance - latent_distance(content, 'A woman rides a bike.')) < 0.001) FROM i;
SELECT 'parents are rows', count(*) FROM i, json_each(parents) j LEFT JOIN notes n ON n.id = j.value WHERE n.id IS NULL;
SELECT 'weights', count(*) FROM i WHERE json_array_length(weights) <> json_array_length(parents) OR abs((SELECT sum(value) FROM json_each(weights)) - 1) > 0.021;
SELECT 'fidelity', min(fidelity) >= -1, max(fidelity) <= 1.0001 FROM i;
SELECT 'the same again', count(*) = (SELECT count(*) FROM i) FROM (SELECT * FROM latent_imagine('notes_latent', 'A woman rides a bike.') INTERSECT SELECT content, distance, latent, fidelity, parents, weights FROM i);
SELECT 'n', (SELECT count(*) FROM latent_imagine('main.notes_latent', 'A woman.', 1)), (SELECT count(*) <= 2 FROM latent_imagine('NOTES_LATENT', 'A woman.', 2, NULL)),
  (SELECT count(*) > 0 FROM latent_imagine('notes_latent', 'A woman.', NULL, '{"fluency": 0.2, "detail": 0.5, "max_tokens": 6}'));
SELECT 'a latent as query', count(*) > 0 FROM latent_imagine('notes_latent', latent_encode('A woman rides a bike.'), 3);
SELECT 'an exact answer comes first', content FROM latent_imagine('notes_latent', 'The soup is cold.', 3) LIMIT 1;
SELECT 'hidden', "index", query, n, options FROM latent_imagine('notes_latent', 'A woman.', 1);
SELECT 'null', (SELECT count(*) FROM latent_imagine('notes_latent', NULL)), (SELECT count(*) FROM latent_gaps(NULL));

CREATE TABLE g AS SELECT rowid AS id, * FROM latent_gaps('notes_latent', 3);
SELECT 'gaps', count(*) BETWEEN 0 AND 3, count(*) - count(DISTINCT content), total(emptiness <= 0), total(json_array_length(parents) <> 2), total(weights <> '[0.50,0.50]') FROM g;
SELECT 'emptiest first', count(*) FROM g a JOIN g b ON b.id = a.id + 1 WHERE b.emptiness > a.emptiness;
SELECT 'no row is nearer', count(*) FROM g WHERE (SELECT distance FROM notes_latent(g.latent) LIMIT 1) < emptiness - 0.001;
SELECT 'the same again', count(*) = (SELECT count(*) FROM g) FROM (SELECT * FROM latent_gaps('notes_latent', 3) INTERSECT SELECT content, emptiness, latent, fidelity, parents, weights FROM g);
SELECT 'another seed', count(*) >= 0 FROM latent_gaps('notes_latent', 3, '{"seed": 7}');

-- Few rows: none, one, two; rows of this transaction, which are gone after a rollback.
CREATE VIRTUAL TABLE few USING latent(body, year INTEGER filter);
SELECT 'empty', (SELECT count(*) FROM latent_imagine('few', 'x')), (SELECT count(*) FROM latent_gaps('few'));
BEGIN;
INSERT INTO few(body) VALUES ('A man rides a horse.');
SELECT 'one row', content, parents, weights FROM latent_imagine('few', 'A man.');
SELECT 'one row', count(*) FROM latent_gaps('few');
INSERT INTO few(body) VALUES ('A man rides a horse.');
SELECT 'twice the same', count(*) > 0 FROM latent_imagine('few', 'A man.');
SELECT 'twice the same', count(*) FROM latent_gaps('few');
ROLLBACK;
SELECT 'rolled back', count(*) FROM latent_imagine('few', 'A man.');
ATTACH ':memory:' AS other;
CREATE VIRTUAL TABLE other.deep USING latent(body);
INSERT INTO deep(body) VALUES ('It rains. We stay.'), ('It snows. We go. We sing.');
SELECT 'attached, of documents', count(*) BETWEEN 1 AND 3 FROM latent_imagine('other.deep', 'It rains. We sing.', 3);
SELECT 'attached', count(*) <= 2 FROM latent_gaps('deep', 2);

-- Vectors of another model decode to nothing.
CREATE VIRTUAL TABLE foreign_vectors USING latent(width=4, year INTEGER filter);
SELECT * FROM latent_imagine('foreign_vectors', 'x');
SELECT * FROM latent_gaps('foreign_vectors');
SELECT * FROM latent_imagine('notes_latent', latent_sub('a', 'b'));
SELECT * FROM latent_imagine('notes_latent', 42);
SELECT * FROM latent_imagine('notes_latent', x'0011');
