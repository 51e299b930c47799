SELECT latent_info() ->> '$.version', latent_info() ->> '$.model.fingerprint';
SELECT latent_encode('The train was late. I missed the meeting.');
SELECT latent_encode('Żółty naïve café № 7, ﬁne 北京 and  more —  “quoted” 😀', '{"refine":0}');
SELECT latent_embed('feeling ill', 'query');
SELECT latent_interp('A man rides a horse.', 'A child plays in the snow.', 0.5, '{"decoder":"exact"}');   -- long
SELECT latent_vector(latent_slerp('A man rides a horse.', 'It is warm.', 0.3));   -- long
SELECT latent_distance('It is warm.', 'It is hot.'), latent_score('It is warm.', 'It is cold.');
SELECT content, t FROM latent_path('It is warm.', 'It is cold.', 3, '{"decoder":"exact"}');   -- long
SELECT latent_sample(4, '{"decoder":"exact","max_tokens":6}');   -- long
SELECT latent_complete('The recipe is simple: mix flour, eggs and', NULL, '{"max_tokens":4}');   -- long
SELECT latent_complete('The recipe is simple: mix flour, eggs and', 'A cake.', '{"max_tokens":4}');   -- long
SELECT latent_encode('    if x is not None and len(x) > 0:', '{"kind":"code"}');   -- long
SELECT latent_valid('return x + 1'), latent_valid('return x +');
SELECT latent_image('a red heart', 7, '{"best_of":2}');   -- long
SELECT latent_encode(latent_image('a rocket', 7, '{"best_of":1}'));   -- long
CREATE VIRTUAL TABLE t USING latent(body, words=1);
INSERT INTO t(body) VALUES ('The ferry was late. I left my umbrella on board.'), ('We painted the kitchen.'),
  ('The storm took three boats away last night.'), ('A small boat waits by the old harbor.');
SELECT rowid, distance, passage FROM t('Where did I lose my umbrella?');
CREATE VIRTUAL TABLE v USING latent(width=8);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
  INSERT INTO v(rowid, latent) SELECT i, json_array(i*7919%1009 - 504, i*104729%1013 - 506, i*1299709%997 - 498,
    i*15485863%991 - 495, i*31%983 - 491, i*6700417%977 - 488, i*2147483647%971 - 485, i*611953%967 - 483) FROM n;
SELECT rowid, distance FROM v('[1,2,3,4,5,6,7,8]') LIMIT 20;
SELECT latent FROM v WHERE rowid = 77;
