-- shipped: what the shipped weights say. New weights change it, and `make golden` writes it anew.

-- Sentences come back, in one greedy pass.
SELECT latent_decode(latent_encode('The beach is empty in the early morning.'));
SELECT latent_decode(latent_encode('My grandmother makes the best soup in the village.'));
SELECT latent_decode(latent_encode('Did you remember to feed the cat? He was asleep under the table when we left.'));
SELECT sum(latent_decode(latent_encode(value)) = value) || ' of ' || count(*) FROM json_each('["The wind broke our oldest tree.", "A boy kicks the ball against the wall.",
  "What time does the last train leave?", "It was the best journey of my life.", "He knew that he had made a mistake.", "The bus stops in front of the museum."]');

-- Long ones come back because the encoder asks the decoder. The meaning is the same without that.
CREATE TEMP TABLE long AS SELECT value AS x FROM json_each('["The old lighthouse keeper, who had not spoken to anybody since the end of March, wrote a letter of eleven pages to his sister in Portugal and then lost it.",
  "In 1987 the committee bought forty-two wooden chairs, nine tables and a second-hand piano for the community centre at the corner of Mill Street and Station Road.",
  "Although nobody had asked her, Miss Eleanor Whitcombe explained to the whole carriage why the 7:45 from Basingstoke was never on time on Thursdays."]');
SELECT sum(latent_decode(latent_encode(x, '{"refine":0}')) = x), sum(latent_decode(latent_encode(x)) = x), count(*) FROM long;
SELECT max(latent_distance(latent_encode(x, '{"refine":0}'), latent_encode(x))) < 0.001 FROM long;

-- Texts that are alike are near.
SELECT latent_distance('A man is riding a horse.', 'A man rides a horse.') < latent_distance('A man is riding a horse.', 'The soup was cold.');
SELECT value FROM json_each('["The soup was cold.", "Two children swim in the lake.", "He repaired the roof of the school."]')
  ORDER BY latent_distance(value, 'kids are in the water') LIMIT 1;

-- Between and beyond.
SELECT latent_interp('The sun is shining.', 'It is raining in the mountains.', 0.5);
SELECT latent_interp('A man rides a horse on the beach.', 'Two children play football in the park.', 0.5);
SELECT round(t, 2), content FROM latent_path('A little dog runs after the ball.', 'My son scored his first goal today.', 5);
SELECT latent_analogy('A man is walking.', 'A woman is walking.', 'A man is singing.');
-- The mean of four pairs is shorter than each of their differences, so a moved point stays near
-- where it was. Something else is said there all the same.
CREATE TEMP TABLE past AS SELECT latent_direction(column1, column2) AS d FROM (VALUES ('She walks to the station.', 0), ('She walked to the station.', 1), ('He likes the new house.', 0),
  ('He liked the new house.', 1), ('The dog barks at the moon.', 0), ('The dog barked at the moon.', 1), ('They cook dinner together.', 0), ('They cooked dinner together.', 1));
SELECT value, latent_move(value, d, 1), latent_move(value, d, 1, '{"best_of":1}'), latent_move(value, d, 0.01) FROM past, json_each('["My brother plays the piano.", "We live near the river.", "The train stops here."]');
SELECT sum(latent_move(value, d, 1) <> value) FROM past, json_each('["My brother plays the piano.", "We live near the river.", "The train stops here."]');
SELECT latent_vary('The beach is empty in the early morning.', 0.55, 1);
SELECT latent_sample(2);
SELECT round(latent_fidelity('The soup is cold.'), 2);
