-- tiny (not swept): 1 MB is too much for a real model, and for a thousand runs. Long text goes in
-- whole: nothing is cut in silence. No text comes back from this model, however long it is refined,
-- so refining is done once.
CREATE TABLE long AS SELECT replace(printf('%.10000c', 'x'), 'x', 'word ') || '.' AS words, replace(printf('%.2000c', 'x'), 'x', 'A dog runs. ') AS sentences;
SELECT '10,000 words', length(words), json_array_length(latent_json(latent_encode(words, '{"refine":0}')), '$.segments') > 10000/23 FROM long;
SELECT '2,000 sentences', json_array_length(latent_json(latent_encode(sentences, '{"refine":0}')), '$.segments') FROM long;
SELECT 'the end counts', latent_encode(words, '{"refine":0}') <> latent_encode(words || ' end', '{"refine":0}'), latent_encode(sentences, '{"refine":0}') <> latent_encode(sentences || 'B', '{"refine":0}') FROM long;
SELECT 'decodes', typeof(latent_decode(words, '{"max_tokens":1}')) FROM long;
SELECT '1 MB', length(latent_encode(replace(printf('%.20000c', 'x'), 'x', 'A dog runs after the ball in the garden with us. '), '{"refine":0}')) > 20000*48*2;
-- Tiny segments are folded, so that a latent is not a thousand times as large as its text.
SELECT '70,000 sentences', (length(latent_encode(replace(printf('%.70000c', 'x'), 'x', 'A dog. '), '{"refine":0}')) - 16)/96 BETWEEN 1000 AND 30000;
-- More than a latent's segments have room for: each point is the mean of two neighbours.
CREATE TABLE longest AS SELECT latent_encode(printf('%.1600000c', 'x') || '. The end.', '{"refine":0}') AS z;
SELECT '1.6 million letters', (length(z) - 16)/96, typeof(latent_decode(z, '{"max_tokens":1}')), latent_distance(z, printf('%.2000c', 'x')) < 0.01 FROM longest;
