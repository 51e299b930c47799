-- shipped_imagine: what the shipped weights write between the rows that are nearest to a query, whatever
-- form the query has. New weights change it, and `make golden` writes it anew.
CREATE VIRTUAL TABLE t USING latent(body);
INSERT INTO t(body) SELECT value FROM json_each('[
  "You can hear the waves from every room of the house.", "I love the smell of the sea in the morning.", "There is a good restaurant behind the church.",
  "I have too much work and too little time.", "My computer stopped working this morning.", "Our hotel was dirty and far from the beach.",
  "I listen to the radio when I cook.", "Would you like to come to our party?", "The letter came one day too late.", "A black dog is jumping over the fence.",
  "The key is under the red flower pot.", "Roses grow along the wall of the garden.", "Someone broke the window and stole the radio.",
  "They lost my suitcase at the airport.", "A little dog runs after the ball.", "Our little shop is one year old today.", "She sent me a card from Paris.",
  "I would like a cup of tea with milk.", "The first warm day of spring is here.", "Snow fell on the town all night.", "It is good to be alone for a while.",
  "It was the best journey of my life.", "A fox crossed the road in front of us.", "How many people live in this town?", "The market sells fresh eggs on Friday.",
  "A small boat waits by the old harbor.", "She ran ten miles and was not even tired.", "The train was late and I missed the meeting.",
  "The light in the hall was still on."]');
CREATE TEMP TABLE said AS SELECT q.value AS query, i.content, i.distance, json_array_length(i.parents) AS n_parents
  FROM json_each('["a quiet place by the sea", "late delivery", "What should I cook tonight?", "I am tired of my job."]') q, latent_imagine('t', q.value, 3) i;
SELECT query, round(distance, 2), content FROM said WHERE n_parents > 1;
-- Sentences, and no ends of the query's own.
SELECT sum(content GLOB '[A-Z]*[.?!]') || ' of ' || count(*) FROM said;
