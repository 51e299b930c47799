-- latent_breed and latent_grow: properties that hold for any weights. A garden of texts.
CREATE TABLE garden(id INTEGER PRIMARY KEY, content, latent BLOB, parents, weights, generation, novelty, score, recipe);
INSERT INTO garden(content) VALUES ('A man rides a horse.'), ('The soup is cold.'), ('It rains in the park.'), ('We left. Nobody saw us.');
UPDATE garden SET latent = latent_encode(content), generation = 0;
INSERT INTO garden SELECT * FROM latent_breed('garden', '{"children":4,"generations":3,"keep":2,"mutation":0.5,"best_of":1,"wish":"It snows."}');
CREATE VIEW family AS SELECT c.id AS child, j.key AS place, p.id AS parent, p.generation, p.content, p.latent, c.recipe
  FROM garden c, json_each(c.parents) j JOIN garden p ON p.id = j.value;
CREATE VIEW children AS SELECT * FROM garden WHERE recipe IS NOT NULL;

SELECT '-- rows';
SELECT count(*) <= 12, min(typeof(content)), min(typeof(latent)), min(typeof(parents)), min(typeof(weights)), min(typeof(generation)), min(typeof(novelty)), min(typeof(score)), min(typeof(recipe)) FROM children;
SELECT 'numbered behind the parents', min(id), max(id) = 4 + count(*) FROM children;
SELECT 'the latent is that of the content', min(latent = latent_encode(content)) FROM children;
SELECT 'parents are rows before', count(*) FROM family WHERE parent >= child;
SELECT 'every parent is there', (SELECT count(*) FROM family) = (SELECT sum(json_array_length(parents)) FROM children);
SELECT 'two different parents', min(json_array_length(parents)), max(json_extract(parents, '$[0]') = json_extract(parents, '$[1]')) FROM children;
SELECT 'weights', max(abs((SELECT sum(value) FROM json_each(weights)) - 1) > 0.0001), min((SELECT min(value) FROM json_each(weights))) > 0.2 FROM children;
SELECT 'a generation later than the latest parent', count(*) FROM children c WHERE generation <> 1 + (SELECT max(f.generation) FROM family f WHERE f.child = c.id);
SELECT 'novelty is the least distance', max(abs(novelty - (SELECT min(latent_distance(c.latent, o.latent)) FROM garden o WHERE o.id < c.id)) > 0.001) FROM children c;
SELECT 'score is nearness to the wish', max(abs(score - (1 - latent_distance(latent, 'It snows.'))) > 0.001) FROM children;
SELECT 'none twice', count(*) - count(DISTINCT content) FROM garden;
SELECT 'at most two of a generation have children', max(n) FROM (SELECT count(DISTINCT parent) AS n FROM family WHERE parent > 4 GROUP BY generation);

SELECT '-- grown again';
SELECT min(same) FROM (SELECT g.content = latent_grow(f.latent, f.recipe, f.place) AS same FROM family f JOIN garden g ON g.id = f.child GROUP BY f.child);
SELECT 'from contents', min(again) FROM (SELECT g.content = latent_grow(p.content, g.recipe, j.key) AS again FROM garden g, json_each(g.parents) j JOIN garden p ON p.id = j.value GROUP BY g.id);
SELECT 'in any order', (SELECT latent_grow(latent, recipe, place) FROM (SELECT * FROM family WHERE child = 5 ORDER BY place)) = (SELECT latent_grow(latent, recipe, place) FROM (SELECT * FROM family WHERE child = 5 ORDER BY place DESC));
SELECT 'rows without a recipe', latent_grow(latent, recipe, 0) FROM garden WHERE id = 1;
SELECT 'the same again', count(*) FROM (SELECT content, latent, parents, weights, recipe FROM latent_breed('SELECT latent, id FROM garden WHERE id < 5', '{"children":4,"generations":3,"keep":2,"mutation":0.5,"best_of":1,"wish":"It snows."}') EXCEPT SELECT content, latent, parents, weights, recipe FROM garden);

SELECT '-- parents from anywhere';
SELECT 'array', total(child <= 3), total(json_extract(parents, '$[0]') NOT IN (1, 3)) FROM latent_breed('["It is warm.", null, "He sings."]', '{"children":2,"parents_each":1,"mutation":1}');
SELECT 'latents as JSON', count(*) <= 2 FROM latent_breed((SELECT json_array(json(latent_json(a.latent)), b.content) FROM garden a, garden b WHERE a.id = 1 AND b.id = 2), '{"children":2,"mutation":1}');
SELECT 'query', total(child <= 30) FROM latent_breed('SELECT content, id*10 FROM garden WHERE id < 4', '{"children":2,"mutation":1}');
SELECT 'query with a generation', total(generation <> 42) FROM latent_breed(' WITH x AS (SELECT * FROM garden) SELECT content, id, 41 FROM x;', '{"children":2,"mutation":1}');
CREATE VIEW some AS SELECT content, id + 100 AS id FROM garden WHERE id < 3;
SELECT 'view', total(child <= 102) FROM latent_breed('some', '{"children":1,"mutation":1}');
CREATE TABLE without(id TEXT PRIMARY KEY, content) WITHOUT ROWID;
INSERT INTO without VALUES ('a', 'It rains.');
CREATE TABLE plain(content);
INSERT INTO plain(rowid, content) VALUES (7, 'It rains.'), (9, NULL), (11, 'He sings.');
SELECT 'rowids', total(child <> 12) FROM latent_breed('plain', '{"children":1,"mutation":1}');
CREATE VIRTUAL TABLE notes USING latent(body);
INSERT INTO notes(rowid, body) VALUES (3, 'It rains.'), (5, 'He sings.'), (8, NULL);
SELECT 'latent table', total(child NOT IN (6, 7)), total(parents NOT IN ('[3,5]', '[5,3]')) FROM latent_breed('main.notes', '{"children":2,"mutation":1}');
SELECT 'null', count(*) FROM latent_breed(NULL);
SELECT 'hidden', total(source <> '["It rains."]'), total(options <> '{"children":1,"mutation":1}') FROM latent_breed('["It rains."]', '{"children":1,"mutation":1}');

SELECT '-- crossover, genes, weights';
CREATE TABLE docs(id INTEGER PRIMARY KEY, content, latent);
INSERT INTO docs(content) VALUES ('It rains. We stay. He sings. She reads.'), ('The soup is cold. The bread is warm.');
UPDATE docs SET latent = latent_encode(content);
SELECT 'segments of both', count(*) <= 3 FROM latent_breed('docs', '{"children":3,"crossover":"segments","mutation":0,"decoder":"exact"}');
SELECT 'r of one, s of the other', count(*) <= 3 FROM latent_breed('docs', '{"children":3,"crossover":"part","mutation":0.5}');
SELECT 'weights that are given', total(weights <> '[0.75,0.25]'), total(parents <> '[1,2]') FROM latent_breed('docs', '{"children":1,"weights":[3,1],"mutation":1}');
SELECT 'a third each', total(weights <> '[0.3334,0.3333,0.3333]') FROM latent_breed('["It rains.", "He sings.", "The soup is cold."]', '{"children":1,"weights":[1,1,1],"mutation":1}');
SELECT 'a gene', total(g.content <> b.content) FROM (SELECT latent, recipe, content FROM latent_breed('["It rains."]', '{"children":1,"mutation":0.5,"genes":[{"from":"It is cold.","to":"It is warm.","amount":0.75},{"to":"night","amount":-0.125}]}')) b,
  (SELECT latent_grow('It rains.', recipe, 0) AS content FROM latent_breed('["It rains."]', '{"children":1,"mutation":0.5,"genes":[{"from":"It is cold.","to":"It is warm.","amount":0.75},{"to":"night","amount":-0.125}]}')) g;
SELECT 'a gene that is a direction', count(*) <= 1 FROM (SELECT json_object('children', 1, 'mutation', 1, 'genes', json_array(json_object('to', json(latent_json(latent_sub('It is hot.', 'It is cold.'))), 'amount', 0.5))) AS o), latent_breed('["It rains."]', o);
SELECT 'eight parents', total(json_array_length(parents) <> 8) FROM latent_breed('["a","b c","d e","f g","h i","j k","l m","n o"]', '{"children":1,"parents_each":8,"mutation":1}');

SELECT '-- a family as SVG';
SELECT 'every row', (length(tree) - length(replace(tree, '<title>', ''))) / length('<title>') = (SELECT count(*) FROM garden), tree LIKE '<svg %</svg>%' FROM (SELECT latent_tree(id, parents, content) AS tree FROM garden);
SELECT latent_tree(column1, column2, column3, column4) FROM (VALUES (1, NULL, 'one & <two>', NULL), (2, '[]', 'three', 'a label'), (3, '[2,1,99]', 'A text that is much too long for the few short lines of the box that it is to stand in, so it is cut.', NULL), (4, '[3,1]', NULL, NULL));
SELECT 'null', latent_tree(NULL, '[1]', 'x');

-- With a writer, which the tiny models lack.
SELECT latent_load('build/tests/models/writing') <> '';
CREATE TABLE written AS SELECT * FROM latent_breed('["A man rides a horse.", "The soup is cold.", "It rains. We stay."]', '{"children":3,"max_tokens":6,"mutation":0.3,"parents_each":3,"best_of":2}');
SELECT 'names the writer', count(*) - total(json_type(recipe, '$.writer') IS 'text') FROM written;
SELECT 'grown again', total(content <> again) FROM (SELECT w.content, latent_grow(value, w.recipe, (SELECT key FROM json_each(w.parents) WHERE value = j.key + 1)) AS again
  FROM written w, json_each('["A man rides a horse.", "The soup is cold.", "It rains. We stay."]') j GROUP BY w.child);
