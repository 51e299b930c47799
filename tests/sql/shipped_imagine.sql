-- shipped_imagine: what the shipped weights write between the rows that are nearest to a query, whatever
-- form the query has. New weights change it, and `make golden` writes it anew.
.read sql/notes.sql
CREATE VIRTUAL TABLE notes_latent USING latent(body, content='notes', content_rowid='id');
CREATE TEMP TABLE said AS SELECT q.value AS query, i.content, i.distance, json_array_length(i.parents) AS n_parents
  FROM json_each('["a quiet place by the sea", "late delivery", "What should I cook tonight?", "I am tired of my job."]') q, latent_imagine('notes_latent', q.value, 3) i;
SELECT query, round(distance, 2), content FROM said WHERE n_parents > 1;
-- Sentences, and no ends of the query's own.
SELECT sum(content GLOB '[A-Z]*[.?!]') || ' of ' || count(*) FROM said;
