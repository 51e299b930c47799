-- latent_explore: properties that hold for any weights.
CREATE TABLE seeds(id INTEGER PRIMARY KEY, content);
INSERT INTO seeds VALUES (1, 'A man rides a horse.'), (2, 'The soup is cold.'), (3, 'It rains in the park.'), (4, 'She plays the piano every evening.');
CREATE TABLE found(id INTEGER PRIMARY KEY, content, latent BLOB, parents, weights, generation, novelty, score, recipe);
INSERT INTO found(content, latent, generation) SELECT content, latent_encode(content), 0 FROM seeds;
INSERT INTO found SELECT * FROM latent_explore('seeds', NULL, '{"children":10,"mutation":0.5,"best_of":1}');
SELECT 'rows', count(*) - 4 <= 10, max(score), max(id) = count(*) FROM found;
SELECT 'novelty is the least distance', max(abs(novelty - (SELECT min(latent_distance(c.latent, o.latent)) FROM found o WHERE o.id < c.id)) > 0.001) FROM found c WHERE recipe IS NOT NULL;
SELECT 'none twice', count(*) - count(DISTINCT content) FROM found;
SELECT 'grown again', min(same) FROM (SELECT c.content = latent_grow(p.latent, c.recipe, j.key) AS same FROM found c, json_each(c.parents) j JOIN found p ON p.id = j.value GROUP BY c.id);
SELECT 'the same again', count(*) FROM (SELECT content, parents, weights, recipe FROM latent_explore('seeds', NULL, '{"children":10,"mutation":0.5,"best_of":1}') EXCEPT SELECT content, parents, weights, recipe FROM found);
SELECT 'a LIMIT ends it', count(*) <= 3 FROM (SELECT * FROM latent_explore('seeds', 'horses', '{"children":10000,"mutation":0.8,"best_of":1}') LIMIT 3);
SELECT 'with a wish', max(abs(score - (1 - latent_distance(latent, 'horses'))) > 0.001) FROM latent_explore('seeds', 'horses', '{"children":4,"mutation":0.5,"best_of":1}');
SELECT 'a latent as wish', count(*) <= 2 FROM latent_explore('seeds', latent_encode('horses'), '{"children":2,"mutation":0.5,"best_of":1}');
SELECT 'goes on with the archive', total(child <= (SELECT max(id) FROM found)) FROM latent_explore('seeds', NULL, '{"children":4,"archive":"found","mutation":0.5,"best_of":1,"seed":2}');
INSERT INTO found SELECT * FROM latent_explore('found', NULL, '{"children":4,"archive":"found","mutation":0.5,"best_of":1,"seed":2}');
SELECT 'parents are rows of it', count(*) FROM found c, json_each(c.parents) j LEFT JOIN found p ON p.id = j.value WHERE p.id IS NULL;
SELECT 'seconds', count(*) >= 0 FROM latent_explore('seeds', NULL, '{"seconds":0.01,"mutation":0.5,"best_of":1}');
SELECT 'null', count(*) FROM latent_explore(NULL, NULL);
