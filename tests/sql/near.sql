-- tiny: latent_imagine, latent_gaps and latent_cluster over a part of a table, over one with a sentence
-- encoder of its own, and over several content columns: each says what a plain table of these rows says.
CREATE TABLE s(id INTEGER PRIMARY KEY, body, lang, year);
INSERT INTO s(body, lang, year) VALUES ('A man rides a horse.', 'en', 1), ('A man rides a bike.', 'en', 2), ('A dog runs.', 'de', 1), ('The soup is cold.', 'en', 2.5),
  ('A woman rides a horse.', 'en', 1), ('The soup is warm. He eats it.', 'de', NULL), ('A cat sleeps.', 'de', 2), (NULL, 'en', 3), ('It rains.', NULL, 4), ('It is late.', 'en', 5);
CREATE VIRTUAL TABLE p USING latent(body, lang TEXT partition, year REAL filter, words=1);
CREATE VIRTUAL TABLE f USING latent(body, lang TEXT filter, year REAL filter);
CREATE VIRTUAL TABLE own USING latent(body);
CREATE VIRTUAL TABLE whole USING latent(body);
CREATE VIRTUAL TABLE e USING latent(body, lang TEXT filter, model='meaning');
CREATE VIRTUAL TABLE ep USING latent(body, lang TEXT partition, model='meaning');
CREATE VIRTUAL TABLE d USING latent(body, note);
INSERT INTO p(rowid, body, lang, year) SELECT id, body, lang, year FROM s;
INSERT INTO f(rowid, body, lang, year) SELECT id, body, lang, year FROM s;
INSERT INTO own(rowid, body) SELECT id, body FROM s WHERE lang = 'en';
INSERT INTO whole(rowid, body) SELECT id, body FROM s;
INSERT INTO e(rowid, body, lang) SELECT id, body, lang FROM s;
INSERT INTO ep(rowid, body, lang) SELECT id, body, lang FROM s;
INSERT INTO d(rowid, body, note) SELECT id, body, 'Note ' || id || ' is about soup.' FROM s;
CREATE TABLE imagined(t, x);
CREATE TABLE gaps(t, x);
CREATE TABLE asked(t, options);
INSERT INTO asked VALUES ('own', '{"max_tokens":3}'), ('p', '{"where":{"lang":"en"},"max_tokens":3}'), ('f', '{"where":{"LANG":"en"},"max_tokens":3}'), ('e', '{"where":{"lang":"en"},"max_tokens":3}'), ('ep', '{"where":{"lang":"en"},"max_tokens":3}');
INSERT INTO imagined SELECT t, json_array(content, round(i.distance, 3), i.parents, i.weights) FROM asked, latent_imagine(t, 'A woman rides a bike.', 4, asked.options) i;
INSERT INTO gaps SELECT t, json_array(content, round(g.emptiness, 3), g.parents) FROM asked, latent_gaps(t, 3, asked.options) g;
SELECT t, group_concat(x) = (SELECT group_concat(x) FROM imagined WHERE t = 'own'), count(*) > 1 FROM imagined GROUP BY t;
SELECT t, group_concat(x) = (SELECT group_concat(x) FROM gaps WHERE t = 'own') FROM gaps GROUP BY t;
SELECT count(*) = (SELECT count(*) FROM gaps WHERE t = 'own')*5 FROM gaps;
DELETE FROM imagined;
DELETE FROM gaps;
DELETE FROM asked;
INSERT INTO asked VALUES ('whole', '{"max_tokens":3}'), ('e', '{"max_tokens":3}'), ('d', '{"max_tokens":3}');
INSERT INTO imagined SELECT t, json_array(content, round(i.distance, 3), i.parents, i.weights) FROM asked, latent_imagine(t, 'A woman rides a bike.', 4, asked.options) i;
INSERT INTO gaps SELECT t, json_array(content, round(g.emptiness, 3), g.parents) FROM asked, latent_gaps(t, 3, asked.options) g;
SELECT t, group_concat(x) = (SELECT group_concat(x) FROM imagined WHERE t = 'whole'), count(*) > 1 FROM imagined GROUP BY t;
SELECT t, group_concat(x) = (SELECT group_concat(x) FROM gaps WHERE t = 'whole') FROM gaps GROUP BY t;
SELECT count(*) = (SELECT count(*) FROM gaps WHERE t = 'whole')*3 FROM gaps;
-- The row that is nearest; a latent as the query; the words of a row are not asked
SELECT content, distance < 1e-3 FROM latent_imagine('e', 'The soup is cold.', 1);
SELECT count(*) > 0 FROM latent_imagine('d', latent_encode('The soup is cold.'), 2);
SELECT content FROM latent_imagine('p', 'The soup is cold.', 1, '{"where":{"lang":"en","year":2.5}}');
-- Values of all types; nobody's
SELECT group_concat(rowid) FROM (SELECT rowid FROM latent_cluster('p', 1, '{"where":{"lang":null}}') ORDER BY rowid);
SELECT group_concat(rowid) FROM (SELECT rowid FROM latent_cluster('f', 2, '{"where":{"year":1}}') ORDER BY rowid);
SELECT group_concat(rowid) FROM (SELECT rowid FROM latent_cluster('f', 2, '{"where":{"year":1,"lang":"en"}}') ORDER BY rowid);
SELECT count(*), count(DISTINCT cluster) FROM latent_cluster('e', 2);
SELECT count(*), count(label) FROM latent_cluster('d', 2);
SELECT count(*) FROM latent_imagine('p', 'x', 3, '{"where":{"lang":"it''s"}}');
SELECT count(*) FROM latent_gaps('p', 3, '{"where":{"lang":"it"}}');
SELECT count(*) FROM latent_cluster('p', 3, '{"where":{"lang":"it"}}');
-- What is refused
SELECT count(*) FROM latent_imagine('p', 'x');
SELECT count(*) FROM latent_gaps('p');
SELECT count(*) FROM latent_imagine('e', latent_encode('x'));
SELECT count(*) FROM latent_imagine('p', 'x', 3, '{"where":{"long":"en"}}');
SELECT count(*) FROM latent_imagine('p', 'x', 3, '{"where":{"body":"en"}}');
SELECT count(*) FROM latent_imagine('p', 'x', 3, '{"where":{"distance":1}}');
SELECT count(*) FROM latent_gaps('p', 3, '{"where":{"lang":["en"]}}');
SELECT count(*) FROM latent_gaps('p', 3, '{"where":{"lang":true}}');
SELECT count(*) FROM latent_cluster('p', 3, '{"where":{}}');
SELECT count(*) FROM latent_cluster('p', 3, '{"where":"lang"}');
SELECT latent_decode('x', '{"where":{"lang":"en"}}');
