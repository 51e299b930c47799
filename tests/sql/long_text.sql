-- tiny (not swept): 1 MB is a lot for a real model, and for a thousand runs. Long text goes in whole: nothing is cut in silence.
CREATE TABLE long AS SELECT replace(printf('%.10000c', 'x'), 'x', 'word ') || '.' AS words, replace(printf('%.2000c', 'x'), 'x', 'A dog runs. ') AS sentences;
SELECT '10,000 words', length(words), json_array_length(latent_json(words), '$.segments') > 10000/23 FROM long;
SELECT '2,000 sentences', json_array_length(latent_json(sentences), '$.segments') FROM long;
SELECT 'the end counts', latent_encode(words) <> latent_encode(words || ' end'), latent_encode(sentences) <> latent_encode(sentences || 'B') FROM long;
SELECT 'decodes', typeof(latent_decode(words, '{"max_tokens":1}')) FROM long;
SELECT '1 MB', length(latent_encode(replace(printf('%.20000c', 'x'), 'x', 'A dog runs after the ball in the garden with us. '))) > 20000*48*2;
-- More segments than a latent can hold: an error, not a cut.
SELECT latent_encode(replace(printf('%.70000c', 'x'), 'x', 'A dog. '));
