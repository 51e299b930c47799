-- tiny (not swept): 1 MB is too much for a real model, and for a thousand runs. Long text goes in
-- whole: nothing is cut in silence. No text comes back from this model, however long it is refined,
-- so refining is done once.
CREATE TABLE long AS SELECT replace(printf('%.10000c', 'x'), 'x', 'word ') || '.' AS words, replace(printf('%.2000c', 'x'), 'x', 'A dog runs. ') AS sentences;
SELECT '10,000 words', length(words), json_array_length(latent_json(latent_encode(words, '{"refine":0}')), '$.segments') > 10000/23 FROM long;
SELECT '2,000 sentences', json_array_length(latent_json(latent_encode(sentences, '{"refine":0}')), '$.segments') FROM long;
SELECT 'the end counts', latent_encode(words, '{"refine":0}') <> latent_encode(words || ' end', '{"refine":0}'), latent_encode(sentences, '{"refine":0}') <> latent_encode(sentences || 'B', '{"refine":0}') FROM long;
SELECT 'decodes', typeof(latent_decode(words, '{"max_tokens":1}')) FROM long;
SELECT '1 MB', length(latent_encode(replace(printf('%.20000c', 'x'), 'x', 'A dog runs after the ball in the garden with us. '), '{"refine":0}')) > 20000*48*2;
-- More segments than a latent can hold: an error, not a cut.
SELECT latent_encode(replace(printf('%.70000c', 'x'), 'x', 'A dog. '));
