-- The tour: what latent does, one statement after the other, on a table of 182 notes.
--
--   make demo
--   .read sql/tour.sql          in the sqlite3 shell, from the root of the repository
--
-- You can type every statement below by hand. What you see comes from the weights in model/, on
-- this machine, now. They are small (42 MB): they keep sentences word for word, and what they make
-- up between them is not always English.

.load build/latent
.read sql/notes.sql
.mode box --wrap 100
.echo on

-- 1. A latent is a point of the space that the sentences lie in, as a BLOB. A generated column
-- keeps one beside each note.
CREATE TABLE points(id INTEGER PRIMARY KEY REFERENCES notes, body TEXT,
                    z BLOB AS (latent_encode(body)) STORED);
INSERT INTO points(id, body) SELECT id, body FROM notes;

-- 2. It can be read back: the text is decoded from the 1,040 bytes, word by word. How many of the
-- notes come back exactly?
SELECT body, length(z) AS bytes, latent_decode(z) AS decoded FROM points WHERE id IN (3, 76, 170);
SELECT count(*) AS notes, sum(latent_decode(z) = body) AS exact FROM points;

-- 3. Near means alike in meaning. The question is encoded once, then 182 distances are taken. The
-- question and the note need not share a word.
SELECT round(latent_distance(z, 'a quiet place by the sea'), 2) AS distance, body
  FROM points ORDER BY distance LIMIT 5;
SELECT round(latent_distance(z, 'I am sad and alone.'), 2) AS distance, body
  FROM points ORDER BY distance LIMIT 5;

-- 4. And there is something between two notes: sentences that nobody wrote.
SELECT latent_interp(a.z, b.z, 0.5) AS halfway, a.body AS "from", b.body AS "to"
  FROM points a, points b
  WHERE (a.id, b.id) IN ((3, 76), (1, 121), (104, 15), (92, 133), (70, 165));

-- 5. The way from one to the other, each text once. "steps":"even" would make the steps equal in
-- meaning instead of in t.
SELECT round(t, 2) AS t, content, round(distance_a, 2) AS from_a, round(distance_b, 2) AS from_b
  FROM latent_path('A little dog runs after the ball.', 'My son scored his first goal today.', 9,
                   '{"distinct":true}');

-- 6. Which words came from which side?
SELECT token, source FROM latent_tokens('The cat sleeps on the warm stone.',
                                        'Two horses are standing in the field.', 0.5);

-- 7. Rows can be averaged: the sentence in the middle of each topic. Nobody wrote it, so it is the
-- writer's: a language model that reads latents.
SELECT topic, count(*) AS n,
       latent_decode(latent_mean(z)) AS average
  FROM points JOIN notes USING (id) GROUP BY topic;

-- 8. The axis between two sorts of rows is a direction. This one leads from statements to
-- questions:
CREATE TABLE axis AS SELECT latent_direction(z, body LIKE '%?') AS question FROM points;
SELECT body, latent_move(z, question, 1.0) AS asked FROM points, axis WHERE id IN (42, 75, 92, 97);

-- 9. a is to b as c is to what?
SELECT latent_analogy('A man is walking.', 'A woman is walking.', 'A man is singing.') AS answer;

-- 10. Somewhere near a note, and somewhere in the space. The same seed always gives the same.
SELECT value AS seed, latent_vary('The beach is empty in the early morning.', 0.55, value) AS near,
       latent_sample(value) AS anywhere
  FROM json_each('[1, 2, 3]');

-- 11. Longer text is a latent of several segments, one for each sentence.
SELECT json_array_length(latent_json(x), '$.segments') AS segments,
       latent_decode(latent_encode(x)) = x AS exact, latent_interp(x, y, 0.5) AS halfway
  FROM (SELECT 'The train was late. I missed the meeting. Nobody was angry.' AS x,
               'We went to the beach. The water was warm. The sun was shining.' AS y);

-- 12. Can the model be trusted with a text? Fidelity is 1 where it comes back as it was.
SELECT x, round(latent_fidelity(x), 2) AS fidelity, latent_decode(x) AS decoded
  FROM (SELECT 'The soup is cold.' AS x UNION ALL SELECT 'Zxq 98-17/b, ppm 0.3 (rev. D)');

-- 13. Everything there is. The columns sentence, example and result make this table the manual.
SELECT name, usage FROM latent_functions;
.echo off
