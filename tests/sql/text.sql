-- Text of every kind goes in: any bytes, any length. Each statement gives a name and ones.
SELECT 'empty', length(latent_encode('')) > 16, typeof(latent_decode('')) = 'text', latent_distance('', '') < 0.001;
SELECT 'white space', latent_encode(' ') <> latent_encode(''), latent_encode('a b') <> latent_encode('a  b'), latent_encode('a') <> latent_encode('a ');
SELECT 'case', latent_encode('Warm') <> latent_encode('warm');
-- Embedded zero bytes are text like any other.
SELECT 'zero bytes', latent_encode('one' || char(0) || 'two') <> latent_encode('one'), latent_encode('one' || char(0) || 'two') <> latent_encode('one' || char(0) || 'six');
-- Invalid UTF-8 is taken as it is, byte by byte.
SELECT 'invalid UTF-8', length(latent_encode(CAST(x'FFFE80C3' AS TEXT))) > 16, latent_encode(CAST(x'FF' AS TEXT)) <> latent_encode(CAST(x'FE' AS TEXT));
-- U+2581, which other tokenizers put in place of the space, is a character like any other here.
SELECT 'U+2581', latent_encode(char(0x2581)) <> latent_encode(' '), latent_encode('a' || char(0x2581) || 'b') <> latent_encode('a b');
SELECT 'other scripts', latent_encode('Здравствуй') <> latent_encode('Здравствуйте'), latent_encode('你好') <> latent_encode('你'), length(latent_encode('😀')) > 16;
SELECT 'other scripts decode to valid text', length(latent_decode('你好 Здравствуй 😀')) > 0;
-- Segments: one for each sentence; the width does not change; the latent says how many.
SELECT 'segments', json_array_length(latent_json('One. Two! Three? "Four." Five'), '$.segments') = 5,
       json_array_length(latent_json('It is 3.5 km to Mt.Blanc'), '$.segments') = 1,
       json_array_length(latent_json('one' || char(10) || 'two' || char(10) || 'three'), '$.segments') = 3;
-- A word longer than the longest segment is cut, and nothing of it is lost.
SELECT 'long word', json_array_length(latent_json(printf('%.400c', 'x')), '$.segments') > 1;
SELECT 'paths of unequal length', typeof(latent_interp('One. Two. Three.', 'Four.', 0.5)) = 'text', typeof(latent_interp('One.', 'Two. Three. Four.', 0.3)) = 'text',
       latent_slerp('One. Two. Three.', 'Four.', 0) = latent_encode('One. Two. Three.'), latent_slerp('One. Two. Three.', 'Four.', 1) = latent_encode('Four.');
