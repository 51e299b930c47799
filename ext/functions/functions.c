/*
** functions.c -- the table of features, and its registration. What SQL sees is here.
**
** One row is one feature. Registration, latent_functions(), the chapter Functions of sql/README.md
** and the tests of the examples are all made from it. To add a function, add a row (without result)
** and the C function, and run tests/golden.py: it runs every example and writes what the shell
** prints (list mode, lines joined by \n) into .result. Keep .example and .result on one line each,
** in this order.
**
** Flags. PURE functions give the same for the same arguments and the same model, so generated
** columns and indexes may use them. They are INNOCUOUS in SQLite's sense: they change nothing, and
** tell nothing but what follows from their arguments and from the weights that the application
** chose. A schema from elsewhere can do no more harm with them than with a long computation of its
** own, which sqlite3_interrupt() stops too. So they may stand in views, triggers and CHECK under
** PRAGMA trusted_schema=OFF.
**
** DIRECTONLY functions read what their arguments do not hold, so only statements of the application
** may call them, never a view or a trigger of a file that it has opened: latent_imagine(),
** latent_gaps(), latent_cluster() and latent_encode_each() read the rows of a table by its name in
** a string, whatever schema it is in; latent_breed() and latent_explore() run a query besides, if
** that is what they are given; latent_info() tells paths of this machine; latent_load() opens a
** file.
*/
#include "functions.h"
#include "vtab.h"
#include <assert.h>

#define PURE (SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS)

const struct function FUNCTIONS[] = {
  /* ---- content and points ---- */

  { .name = "latent_encode", .n_min = 1, .n_max = 2, .flags = PURE, .scalar = scalar_encode,
    .group = "Content and points",
    .usage = "latent_encode(x [, options])",
    .sentence =
      "The point of the latent space at which x lies, as a latent: a BLOB with a header "
      "that names its model. x is text, or a picture: the BLOB of a PNG or JPEG, which is "
      "turned as its Exif says; a plain, opaque ground around what it shows, as most "
      "JPEGs have it, counts as transparent. Option "
      "\"refine\": the number of rounds in which the point is moved until it decodes to "
      "x (8; 0 is faster).",
    .example = "SELECT hex(substr(latent_encode('A man rides a horse.'), 1, 6)), length(latent_encode('A man rides a horse.'))",
    .result = "4C544E540101|1040" },

  { .name = "latent_encode_each", .n_min = 1, .n_max = 3, .flags = SQLITE_DIRECTONLY,
    .feature = FEATURE_TABLE, .module = &TABLE_MODULE, .fill = encode_each_fill,
    .more = encode_each_more, .release = each_release,
    .columns =
      "rowid INTEGER, content, latent BLOB, source HIDDEN, \"column\" HIDDEN, options HIDDEN",
    .group = "Content and points",
    .usage = "latent_encode_each(json) or latent_encode_each(table, column [, options])",
    .sentence =
      "latent_encode() of many at once, which is faster: a row for each text of a JSON array "
      "(rowid is its place, from 0), or for each row of a table that has rowids. They are read, "
      "encoded and given in batches of up to 512. An array with options has NULL in the place of "
      "the column.",
    .example = "SELECT rowid, content, latent = latent_encode(content) FROM latent_encode_each('[\"It is warm.\", \"A man rides a horse.\"]')",
    .result = "0|It is warm.|1\n1|A man rides a horse.|1" },

  { .name = "latent_decode", .n_min = 1, .n_max = 2, .flags = PURE, .scalar = scalar_decode,
    .group = "Content and points",
    .usage = "latent_decode(z [, options])",
    .sentence =
      "The content at the point z: text, or a PNG of 64x64 pixels. Content is encoded "
      "first, so latent_decode(text) shows what the model makes of it.",
    .example = "SELECT latent_decode(latent_encode('A man rides a horse.'))",
    .result = "A man rides a horse." },

  { .name = "latent_distance", .n_min = 2, .n_max = 2, .is_rough = 1, .flags = PURE,
    .scalar = scalar_distance,
    .group = "Content and points",
    .usage = "latent_distance(a, b)",
    .sentence =
      "How far apart a and b are in meaning: one minus the cosine of their semantic "
      "parts, from 0 (the same) to 2. A text of several sentences is as near as its nearest "
      "one, or as the whole, as in a search. They may be of two kinds, as a text and a picture.",
    .example = "SELECT round(latent_distance('It is warm.', 'It is hot.'), 2), round(latent_distance('It is warm.', 'A man rides a horse.'), 2)",
    .result = "0.16|0.91" },

  { .name = "latent_fidelity", .n_min = 1, .n_max = 2, .flags = PURE, .scalar = scalar_fidelity,
    .group = "Content and points",
    .usage = "latent_fidelity(x [, options])",
    .sentence =
      "How well x survives decoding: the cosine between its latent and the encoding of "
      "what that decodes to. 1 is perfect.",
    .example = "SELECT round(latent_fidelity('A man rides a horse.'), 2)",
    .result = "1.0" },

  { .name = "latent_score", .n_min = 2, .n_max = 2, .flags = PURE, .scalar = scalar_score,
    .group = "Content and points",
    .usage = "latent_score(content, z)",
    .sentence =
      "The mean log-probability per token of the content at the point z. It is near 0 where z "
      "would be decoded to the content, and far below where not. Of a picture it is that per "
      "byte, of a normal distribution about what z decodes to: -3.69 where it is just that.",
    .example = "SELECT round(latent_score('It is warm.', 'It is warm.'), 1), round(latent_score('It is warm.', 'It is cold.'), 1)",
    .result = "0.0|-2.3" },

  { .name = "latent_valid", .n_min = 1, .n_max = 2, .flags = PURE, .scalar = scalar_valid,
    .group = "Content and points",
    .usage = "latent_valid(code [, language])",
    .sentence =
      "1 where the text is code of the language, which is 'python' so far, and 0 where it is not. "
      "It is asked of Python 3's grammar, and of where the lines stand; names, and what may be "
      "assigned to, are not looked at. It needs no model.",
    .example = "SELECT latent_valid('return x + 1'), latent_valid('return x +', 'python')",
    .result = "1|0" },

  /* ---- between and beyond ---- */

  { .name = "latent_interp", .n_min = 3, .n_max = 4, .flags = PURE, .scalar = scalar_interp,
    .group = "Between and beyond",
    .usage = "latent_interp(a, b, t [, options])",
    .sentence =
      "The content at t on the way from a (t = 0) to b (t = 1), the best of some "
      "candidates (option \"best_of\"). Points near the ends decode to the ends, so "
      "steps of t are longer there.",
    .example = "SELECT latent_interp('A man rides a horse.', 'A child plays in the snow.', 0.5)",
    .result = "A boy rides a snow horse." },

  { .name = "latent_slerp", .n_min = 3, .n_max = 3, .flags = PURE, .scalar = scalar_slerp,
    .group = "Between and beyond",
    .usage = "latent_slerp(a, b, t)",
    .sentence =
      "The latent at t along the arc from a to b, in equal steps. latent_interp() "
      "decodes such points, most of them from the middle of the arc.",
    .example = "SELECT latent_decode(latent_slerp('A man rides a horse.', 'A man rides a bike.', 0.8))",
    .result = "A man rides a bike." },

  { .name = "latent_analogy", .n_min = 3, .n_max = 4, .flags = PURE, .scalar = scalar_analogy,
    .group = "Between and beyond",
    .usage = "latent_analogy(a, b, c [, options])",
    .sentence =
      "a is to b as c is to what? The content at c + b - a. It is not c itself. Of code: c, to "
      "which is done what was done to a, statement by statement.",
    .example = "SELECT latent_analogy('A man is walking.', 'A woman is walking.', 'A man is singing.')",
    .result = "A woman is singing." },

  { .name = "latent_move", .n_min = 3, .n_max = 4, .flags = PURE, .scalar = scalar_move,
    .group = "Between and beyond",
    .usage = "latent_move(x, direction, amount [, options])",
    .sentence =
      "The content at x + amount * direction. For steps longer than 0.2 it prefers "
      "content other than x. A direction comes from latent_sub() or latent_direction(); "
      "if it is content, x moves towards it.",
    .example = "SELECT latent_move('A man is singing.', latent_sub('A woman is walking.', 'A man is walking.'), 1.0)",
    .result = "A woman is singing." },

  { .name = "latent_vary", .n_min = 3, .n_max = 4, .flags = PURE, .scalar = scalar_vary,
    .group = "Between and beyond",
    .usage = "latent_vary(x, amount, seed [, options])",
    .sentence =
      "The content at a point near x, in a direction drawn by seed. An amount of 0 is x "
      "itself, 1 is a quarter turn away. A picture turns towards another one of the same "
      "thing.",
    .example = "SELECT latent_vary('A man rides a horse.', 0.5, 3)",
    .result = "A man rides a horse." },

  { .name = "latent_sample", .n_min = 1, .n_max = 2, .flags = PURE, .scalar = scalar_sample,
    .group = "Between and beyond",
    .usage = "latent_sample(seed [, options])",
    .sentence =
      "The content at a point drawn by seed from the whole space: a text, or content of "
      "the kind that the options name.",
    .example = "SELECT latent_sample(4)",
    .result = "The data pipeline is essential for extracting data from the environment, such as resources, tasks, or tasks." },

  { .name = "latent_complete", .n_min = 1, .n_max = 3, .flags = PURE,
    .scalar = scalar_complete,
    .group = "Between and beyond",
    .usage = "latent_complete(text [, towards [, options]])",
    .sentence =
      "What the writer goes on with after the text, by itself or towards a point, which is "
      "content or a latent: towards code, with a line of Python. Option \"max_tokens\": 64, up to "
      "2,048.",
    .example = "SELECT latent_complete('The recipe is simple: mix flour, eggs and', NULL, '{\"max_tokens\":12}')",
    .result = " a pinch of salt.\n\nThe key to a successful" },

  { .name = "latent_cross", .n_min = 2, .n_max = 4, .n_needed = 3, .flags = PURE,
    .scalar = scalar_cross,
    .group = "Between and beyond",
    .usage = "latent_cross(content, style [, amount [, options]])",
    .sentence =
      "The content with the meaning (s) of one and the manner (r) of the other, of the "
      "kind that style is. amount says how far s turns from that of style (0) to that "
      "of content (1, the default). A picture's r is drawn for that s, in the style of the "
      "other's: the nearest of best_of (16) candidates.",
    .example = "SELECT latent_cross('A child plays.', 'A man rides a horse.', 0) = latent_decode('A man rides a horse.'), hex(substr(latent_cross('a red heart', latent_image('a star', 1)), 1, 4))",
    .result = "1|89504E47" },

  { .name = "latent_image", .n_min = 2, .n_max = 3, .is_rough = 1, .flags = PURE,
    .scalar = scalar_image,
    .group = "Between and beyond",
    .usage = "latent_image(text, seed [, options])",
    .sentence =
      "A picture of a text, as a PNG of 64x64 pixels. Of best_of (16) candidates, drawn "
      "by seed, it is the one whose meaning lies nearest to the text. Instead of a text "
      "any point will do: of a picture it gives another picture of the same thing.",
    .example = "SELECT hex(substr(latent_image('a rocket', 7), 1, 4)), latent_distance('a rocket', latent_image('a rocket', 7)) < latent_distance('a sad cat', latent_image('a rocket', 7))",
    .result = "89504E47|1" },

  { .name = "latent_describe", .n_min = 1, .n_max = 2, .n_needed = 1, .is_rough = 1,
    .flags = PURE,
    .feature = FEATURE_TABLE, .module = &TABLE_MODULE, .fill = describe_fill,
    .columns = "name TEXT, distance REAL, picture HIDDEN, n HIDDEN",
    .group = "Pictures",
    .usage = "latent_describe(picture [, n])",
    .sentence =
      "Words for a picture: the n (5) nearest of the names of the pictures that the model has "
      "learned from, nearest first. Of a text it says which pictures there are for it. A sentence "
      "about it is latent_cross(picture, 'This is a picture of a house.'): what it means, said as "
      "that is said.",
    .example = "SELECT name FROM latent_describe('a rocket', 2)",
    .result = "rocket\nairplane" },

  /* ---- algebra ---- */

  { .name = "latent_add", .n_min = 2, .n_max = 2, .flags = PURE, .scalar = scalar_add,
    .group = "Algebra",
    .usage = "latent_add(a, b)",
    .sentence =
      "a + b as a latent. Two directions give a direction; everything else gives a "
      "point, brought back to the sphere. Documents are aligned, as latent_interp() "
      "aligns them.",
    .example = "SELECT latent_decode(latent_add('A man is singing.', latent_sub('A woman is walking.', 'A man is walking.')))",
    .result = "A woman is singing." },

  { .name = "latent_sub", .n_min = 2, .n_max = 2, .flags = PURE, .scalar = scalar_sub,
    .group = "Algebra",
    .usage = "latent_sub(a, b)",
    .sentence =
      "a - b as a latent: the direction from point b to point a. A point less a "
      "direction is a point. Documents are aligned; a segment without a partner is no "
      "part of their difference.",
    .example = "SELECT json_extract(latent_json(latent_sub('It is warm.', 'It is cold.')), '$.kind')",
    .result = "direction" },

  { .name = "latent_scale", .n_min = 2, .n_max = 2, .flags = PURE, .scalar = scalar_scale,
    .group = "Algebra",
    .usage = "latent_scale(z, k)",
    .sentence =
      "k * z, a direction. It weights directions before they are added to a point.",
    .example = "SELECT latent_decode(latent_add('It is cold.', latent_scale(latent_sub('It is warm.', 'It is cold.'), 0.9)))",
    .result = "It is warm." },

  /* ---- many rows to one ---- */

  { .name = "latent_mean", .n_min = 1, .n_max = 2, .n_needed = 2, .flags = PURE,
    .feature = FEATURE_AGGREGATE, .step = mean_step, .inverse = mean_inverse, .give = mean_give,
    .release = gather_release,
    .group = "Many rows to one",
    .usage = "latent_mean(x [, weight])",
    .sentence =
      "The mean of the rows as a latent, each with its weight (1). All rows are of one "
      "kind. The more they differ, the weaker is the detail of the mean. An aggregate, "
      "and a window function.",
    .example = "SELECT round(latent_distance(latent_mean(column1), 'A dog is running.'), 2) FROM (VALUES ('A dog runs.'), ('The dog is running.'), (NULL))",
    .result = "0.01" },

  { .name = "latent_direction", .n_min = 2, .n_max = 2, .flags = PURE,
    .feature = FEATURE_AGGREGATE, .step = direction_step, .give = direction_give,
    .release = gather_release,
    .group = "Many rows to one",
    .usage = "latent_direction(x, label)",
    .sentence =
      "The direction from the rows whose label is false (0) to those whose label is "
      "true (not 0), for latent_move(). An aggregate.",
    .example = "SELECT latent_move('A man is singing.', latent_direction(column1, column2), 1.0) FROM (VALUES ('A man is walking.', 0), ('A man is eating.', 0), ('A woman is walking.', 1), ('A woman is eating.', 1))",
    .result = "A woman is singing." },

  /* ---- pictures ---- */

  { .name = "latent_sheet", .n_min = 1, .n_max = 2, .is_rough = 1, .flags = PURE,
    .feature = FEATURE_AGGREGATE, .step = sheet_step, .give = sheet_give,
    .release = sheet_release,
    .group = "Pictures",
    .usage = "latent_sheet(png [, label])",
    .sentence =
      "One PNG with the pictures of all rows side by side, in their order, each above "
      "its label. A picture is a PNG, a JPEG or a latent. In the shell "
      "writefile('sheet.png', ...) saves it. An aggregate.",
    .example = "SELECT hex(substr(latent_sheet(x'89504E470D0A1A0A0000000D4948445200000001000000010802000000907753DE0000000C4944415478DA63F8D0A0000003F40191ED293CC80000000049454E44AE426082', 'a dot'), 1, 8))",
    .result = "89504E470D0A1A0A" },

  { .name = "latent_strip", .n_min = 3, .n_max = 4, .flags = PURE, .scalar = scalar_strip,
    .group = "Pictures",
    .usage = "latent_strip(a, b, n [, options])",
    .sentence =
      "One PNG with n pictures (2 to 64) side by side on the way from the picture a to "
      "the picture b: latent_interp() at t = 0 to 1, decoded together.",
    .example = "SELECT hex(substr(latent_strip(latent_image('a rocket', 1), latent_image('a cat', 1), 9), 17, 8))",
    .result = "000002B800000058" },

  { .name = "latent_plot", .n_min = 2, .n_max = 3, .n_needed = 1, .is_rough = 1, .flags = PURE,
    .feature = FEATURE_AGGREGATE, .step = plot_step, .give = plot_give, .release = plot_release,
    .group = "Pictures",
    .usage = "latent_plot(z, label [, picture])",
    .sentence =
      "A map of the rows as SVG: rows that are alike lie together. Each is a dot, or "
      "its picture, with its label beside it where there is room. At most 2,000 rows of "
      "any kind; the first rows choose the places of their labels first. Labels are cut after 300 "
      "characters. An aggregate.",
    .example = "SELECT substr(latent_plot(column1, column1), 1, 4) FROM (VALUES ('A dog runs.'), ('The dog is running.'), ('It is warm.'))",
    .result = "<svg" },

  /* ---- tables ---- */

  { .name = "latent_path", .n_min = 3, .n_max = 4, .flags = PURE, .feature = FEATURE_TABLE,
    .module = &TABLE_MODULE, .fill = path_fill,
    .columns =
      "t REAL, content TEXT, latent BLOB, fidelity REAL, distance_a REAL, "
      "distance_b REAL, a HIDDEN, b HIDDEN, n HIDDEN, options HIDDEN",
    .group = "Tables",
    .usage = "latent_path(a, b, n [, options])",
    .sentence =
      "n points on the way from a to b, both ends included: the content, how true it is "
      "to its point, and how far it is from each end. Options: \"steps\": \"even\" "
      "(even in meaning, not in t), \"distinct\": true (no text twice in a row).",
    .example = "SELECT round(t, 2), content FROM latent_path('A man rides a horse.', 'A child plays in the snow.', 5)",
    .result = "0.0|A man rides a horse.\n0.25|A horse rides on a snowboard.\n0.5|A boy rides a snow horse.\n0.75|A boy rides a snowboard.\n1.0|A child plays in the snow." },

  { .name = "latent_imagine", .n_min = 2, .n_max = 4, .is_rough = 1, .flags = SQLITE_DIRECTONLY,
    .feature = FEATURE_TABLE, .module = &TABLE_MODULE, .fill = imagine_fill,
    .columns =
      "content TEXT, distance REAL, latent BLOB, fidelity REAL, parents TEXT, "
      "weights TEXT, \"index\" HIDDEN, query HIDDEN, n HIDDEN, options HIDDEN",
    .group = "Tables",
    .usage = "latent_imagine(index, query [, n] [, options])",
    .sentence =
      "n texts (5) nearest to the query, by distance: the nearest row of the latent "
      "table `index`, with itself as its only parent, and texts between rows that no "
      "row has. Those above the row fit the query better than any row does. Where the "
      "row comes first, the table has the better answer. They are pictures if the "
      "nearest row is one, or if \"kind\" says so. {\"where\": {\"lang\": \"en\"}} takes only the "
      "rows with these values of filter columns.",
    .example = "CREATE VIRTUAL TABLE t USING latent(body); INSERT INTO t(body) VALUES ('I am tired of you.'), ('I hate my job.'), ('I lost my job today.'); SELECT content, round(distance, 2), parents FROM latent_imagine('t', 'I am very tired of my job.', 2)",
    .result = "I am tired of my job.|0.03|[1,3]\nI hate my job.|0.31|[2]" },

  { .name = "latent_cluster", .n_min = 2, .n_max = 3, .flags = SQLITE_DIRECTONLY,
    .feature = FEATURE_TABLE, .module = &TABLE_MODULE, .fill = cluster_fill,
    .columns =
      "rowid INTEGER, cluster INTEGER, distance REAL, label TEXT, "
      "\"index\" HIDDEN, k HIDDEN, options HIDDEN",
    .group = "Tables",
    .usage = "latent_cluster(index, k [, options])",
    .sentence =
      "The rows of the latent table `index` in k groups (1 to 1000) of rows that are alike: the "
      "cluster, 0 for the largest, how far the row is from the cluster's mean, and a label, which "
      "is what the mean decodes to. Rows come by cluster, the nearest to the mean first. Labels "
      "are made only where the statement reads them; those of pictures say what the pictures "
      "show; vectors of another model have none. Another \"seed\" begins elsewhere; \"where\" "
      "takes some rows, as in latent_imagine().",
    .example = "CREATE VIRTUAL TABLE t USING latent(body); INSERT INTO t(body) VALUES ('The soup is warm.'), ('A man rides a bike.'), ('The soup is cold.'), ('A man rides a horse.'), ('The soup is hot.'); SELECT cluster, count(*), label, group_concat(rowid) FROM latent_cluster('t', 2) GROUP BY cluster",
    .result = "0|3|The soup is hot.|1,5,3\n1|2|A man rides a horse.|4,2" },

  { .name = "latent_gaps", .n_min = 1, .n_max = 3, .is_rough = 1, .flags = SQLITE_DIRECTONLY,
    .feature = FEATURE_TABLE, .module = &TABLE_MODULE, .fill = gaps_fill,
    .columns =
      "content TEXT, emptiness REAL, latent BLOB, fidelity REAL, parents TEXT, "
      "weights TEXT, \"index\" HIDDEN, n HIDDEN, options HIDDEN",
    .group = "Tables",
    .usage = "latent_gaps(index [, n] [, options])",
    .sentence =
      "n places (5) between two neighbouring rows of the latent table `index` where no "
      "row is, the emptiest first, each with a text for it. Emptiness is the distance "
      "of the nearest row. It looks at 48 rows of one kind, the most frequent; another "
      "\"seed\" looks at others; \"where\" takes some rows, as in latent_imagine().",
    .example = "CREATE VIRTUAL TABLE t USING latent(body); INSERT INTO t(body) VALUES ('A man is walking.'), ('A woman is singing.'), ('It rains.'); SELECT content, round(emptiness, 2), parents FROM latent_gaps('t', 1)",
    .result = "A woman is walking.|0.34|[1,2]" },

  { .name = "latent_progress", .n_min = 1, .n_max = 1,
    .feature = FEATURE_TABLE, .module = &TABLE_MODULE, .fill = progress_fill,
    .columns = "phase TEXT, done INTEGER, total INTEGER, model TEXT, \"table\" HIDDEN",
    .group = "Tables",
    .usage = "latent_progress(table)",
    .sentence =
      "How far the 'rebuild' in steps of a latent table is: phase is 'rebuild' while one is "
      "under way, else 'ready'; `done` of `total` rows have been encoded by the model with this "
      "fingerprint. If it is not that of latent_info(), a 'rebuild' is to come.",
    .example = "CREATE VIRTUAL TABLE t USING latent(body); INSERT INTO t(body) VALUES ('A man is walking.'), ('A woman is singing.'), ('It rains.'); INSERT INTO t(t, rank) VALUES ('rebuild', 2); SELECT phase, done, total FROM latent_progress('t')",
    .result = "rebuild|2|3" },

  { .name = "latent_tokens", .n_min = 1, .n_max = 3, .n_needed = 3, .flags = PURE,
    .feature = FEATURE_TABLE, .module = &TABLE_MODULE, .fill = tokens_fill,
    .columns =
      "position INTEGER, token TEXT, id INTEGER, bytes BLOB, segment INTEGER, "
      "source TEXT, a HIDDEN, b HIDDEN, t HIDDEN",
    .group = "Tables",
    .usage = "latent_tokens(text) or latent_tokens(a, b, t)",
    .sentence =
      "The tokens of a text; or the words of latent_interp(a, b, t), each with its "
      "source: 'a', 'b', 'both' or 'neither'.",
    .example = "SELECT group_concat(token, ' ') FROM latent_tokens('A man rides a horse.')",
    .result = "▁A ▁man ▁ride s ▁a ▁horse ." },

  /* ---- breeding ---- */

  { .name = "latent_breed", .n_min = 1, .n_max = 2, .flags = SQLITE_DIRECTONLY,
    .feature = FEATURE_TABLE, .module = &TABLE_MODULE, .fill = breed_fill, .more = breed_more,
    .release = brood_release,
    .columns =
      "child INTEGER, content, latent BLOB, parents TEXT, weights TEXT, generation INTEGER, "
      "novelty REAL, score REAL, recipe TEXT, source HIDDEN, options HIDDEN",
    .group = "Breeding",
    .usage = "latent_breed(parents [, options])",
    .sentence =
      "Children of texts, code or pictures, all of one kind. parents: a JSON array of texts and of "
      "latents as latent_json() gives them; the name of a table with a column content or latent; "
      "or a query, 'SELECT png, id FROM ...'. A child's number follows the largest id that was "
      "read. latent is that of its content; novelty the distance to the nearest of the parents and "
      "the children before; score 1 less the distance to the option \"wish\"; recipe what "
      "latent_grow() needs.",
    .example = "SELECT child, content, parents, weights FROM latent_breed('[\"A man rides a horse.\", \"A child plays in the snow.\"]', '{\"children\":2}')",
    .result = "3|A horse rides in the snow.|[2,1]|[0.48,0.52]\n4|A horse rides a man in a snowstorm.|[1,2]|[0.68,0.32]" },

  { .name = "latent_explore", .n_min = 2, .n_max = 3, .n_needed = 1, .flags = SQLITE_DIRECTONLY,
    .feature = FEATURE_TABLE, .module = &TABLE_MODULE, .fill = explore_fill,
    .more = explore_more, .release = brood_release,
    .columns =
      "child INTEGER, content, latent BLOB, parents TEXT, weights TEXT, generation INTEGER, "
      "novelty REAL, score REAL, recipe TEXT, seeds HIDDEN, wish HIDDEN, options HIDDEN",
    .group = "Breeding",
    .usage = "latent_explore(seeds, wish [, options])",
    .sentence =
      "Breeding without a person: children of the seeds, and of what was found, that are unlike "
      "all that is there, and near to the wish, which is content, a latent or NULL. seeds and "
      "columns are those of latent_breed(). Rows come as they are found, until there are "
      "\"children\" (64), or \"seconds\" are over.",
    .example = "SELECT child, content, parents FROM latent_explore('[\"A man rides a horse.\", \"A child plays in the snow.\"]', 'winter sports', '{\"children\":3}')",
    .result = "3|A boy rides a snow horse.|[2,1]\n4|A boy rides in the snow.|[1,2]\n5|A boy snowing in the snowfield.|[2,3]" },

  { .name = "latent_grow", .n_min = 3, .n_max = 3, .flags = PURE, .feature = FEATURE_AGGREGATE,
    .step = grow_step, .give = grow_give, .release = grow_release,
    .group = "Breeding",
    .usage = "latent_grow(parent, recipe, place)",
    .sentence =
      "An aggregate: the content of a child again, bit for bit, from its recipe and the latents of "
      "its parents, each with its place (0, 1, ...) in the child's column parents.",
    .example = "WITH p(id, z) AS (VALUES (1, latent_encode('A man rides a horse.')), (2, latent_encode('A child plays.'))) SELECT c.content = latent_grow(p.z, c.recipe, j.key) FROM latent_breed('[\"A man rides a horse.\", \"A child plays.\"]', '{\"children\":1}') c, json_each(c.parents) j JOIN p ON p.id = j.value",
    .result = "1" },

  { .name = "latent_tree", .n_min = 3, .n_max = 4, .n_needed = 1, .flags = PURE,
    .feature = FEATURE_AGGREGATE, .step = tree_step, .give = tree_give, .release = tree_release,
    .group = "Breeding",
    .usage = "latent_tree(id, parents, content [, label])",
    .sentence =
      "An aggregate: the rows (1000 at most) as a family tree, in SVG. parents is a JSON array of "
      "ids, or NULL; those that are no rows are left out. A picture is shown small, with its label "
      "below; a text by its label, or by its beginning.",
    .example = "SELECT latent_tree(column1, column2, column3) LIKE '<svg %It rains.%</svg>%' FROM (VALUES (1, NULL, 'It rains.'), (2, NULL, 'It snows.'), (3, '[1,2]', 'It is wet.'))",
    .result = "1" },

  /* ---- search ---- */

  { .name = "latent", .is_rough = 1, .flags = PURE, .feature = FEATURE_VIRTUAL_TABLE,
    .module = &VTAB_MODULE.base,
    .group = "Search",
    .usage = "CREATE VIRTUAL TABLE t USING latent(body [, year INTEGER filter] [, content='notes'] [, content_rowid='id'] [, words=1])",
    .sentence =
      "A table of texts and pictures that is searched by meaning: t(query) gives its "
      "rows with their distance, the nearest first; the query is a text or a picture. "
      "In latent(title, body) a row is found by each of its contents. The content is its "
      "own, or that of another table, followed by triggers. With words=1 the rows are found "
      "by their words too. USING latent(width=384) holds vectors of another model.",
    .example = "CREATE VIRTUAL TABLE t USING latent(body); INSERT INTO t(body) VALUES ('A dog runs.'), ('It is warm.'); SELECT body, round(distance, 2) FROM t('The dog is running.')",
    .result = "A dog runs.|0.04\nIt is warm.|0.88" },

  /* ---- exchange ---- */

  { .name = "latent_json", .n_min = 1, .n_max = 1, .flags = PURE, .scalar = scalar_json,
    .group = "Exchange",
    .usage = "latent_json(z)",
    .sentence =
      "The latent as JSON: kind, model, and for every segment the semantic part s and "
      "the detail part r.",
    .example = "SELECT key, type FROM json_each(latent_json('It is warm.'))",
    .result = "kind|text\nmodel|text\nsegments|array" },

  { .name = "latent_from_json", .n_min = 1, .n_max = 1, .flags = PURE, .scalar = scalar_from_json,
    .group = "Exchange",
    .usage = "latent_from_json(json)",
    .sentence =
      "The latent that latent_json() wrote.",
    .example = "SELECT latent_from_json(latent_json('It is warm.')) = latent_encode('It is warm.')",
    .result = "1" },

  { .name = "latent_vector", .n_min = 1, .n_max = 2, .n_needed = 2, .flags = PURE,
    .scalar = scalar_vector,
    .group = "Exchange",
    .usage = "latent_vector(z [, part])",
    .sentence =
      "The bare numbers as little-endian f32, segment after segment, as other vector "
      "extensions take them. part is 's', 'r' or 'z' (both).",
    .example = "SELECT length(latent_vector('It is warm.')), length(latent_vector('It is warm.', 's'))",
    .result = "2048|1024" },

  { .name = "latent_from_vector", .n_min = 1, .n_max = 2, .flags = PURE,
    .scalar = scalar_from_vector,
    .group = "Exchange",
    .usage = "latent_from_vector(vector [, options])",
    .sentence =
      "The point at the numbers that latent_vector() gave, or at those of a JSON array. Numbers "
      "off the sphere are brought back to it.",
    .example = "SELECT latent_from_vector(latent_vector('It is warm.')) = latent_encode('It is warm.')",
    .result = "1" },

  { .name = "latent_embed", .n_min = 1, .n_max = 2, .n_needed = 2, .flags = PURE,
    .scalar = scalar_embed,
    .group = "Exchange",
    .usage = "latent_embed(text [, role])",
    .sentence =
      "The vector that a sentence encoder gives, as little-endian f32: all-MiniLM-L6-v2's "
      "384 numbers in 8 bits, or those of the encoder that latent_load(folder) has taken. "
      "role, 'query' or 'passage', counts where an encoder was trained to be told. A text "
      "longer than the encoder's window is read in several, and gets their mean.",
    .example = "SELECT length(latent_embed('It is warm.'))",
    .result = "1536" },

  { .name = "latent_embed_each", .n_min = 1, .n_max = 3, .flags = SQLITE_DIRECTONLY,
    .feature = FEATURE_TABLE, .module = &TABLE_MODULE, .fill = embed_each_fill,
    .more = embed_each_more, .release = each_release,
    .columns =
      "rowid INTEGER, content, vector BLOB, source HIDDEN, \"column\" HIDDEN, role HIDDEN",
    .group = "Exchange",
    .usage = "latent_embed_each(json) or latent_embed_each(table, column [, role])",
    .sentence =
      "latent_embed() of many at once, which is faster: a row for each text of a JSON array, or "
      "for each row of a table, as latent_encode_each() gives them.",
    .example = "SELECT rowid, content, vector = latent_embed(content) FROM latent_embed_each('[\"It is warm.\", \"A man rides a horse.\"]')",
    .result = "0|It is warm.|1\n1|A man rides a horse.|1" },

  /* ---- the model ---- */

  { .name = "latent_info", .n_min = 0, .n_max = 0, .flags = SQLITE_DIRECTONLY,
    .scalar = scalar_info,
    .group = "The model",
    .usage = "latent_info()",
    .sentence =
      "What is at work, as JSON: version, weights, shape, kernel, threads, memory. "
      "Without weights it says where they were looked for.",
    .example = "SELECT json_extract(latent_info(), '$.model.kind'), json_extract(latent_info(), '$.model.shape.longest')",
    .result = "text|64" },

  { .name = "latent_load", .n_min = 1, .n_max = 1, .flags = SQLITE_DIRECTONLY,
    .scalar = scalar_load,
    .group = "The model",
    .usage = "latent_load(path)",
    .sentence =
      "Takes the weights at path for this connection, and gives their fingerprint. path "
      "is a file, or a directory with text.safetensors and the files of other kinds; or "
      "the folder of a sentence encoder (BERT, MPNet) as Hugging Face has it, for "
      "latent_embed().",
    .example = "SELECT latent_load(json_extract(latent_info(), '$.model.path')) = json_extract(latent_info(), '$.model.fingerprint')",
    .result = "1" },

  { .name = "latent_functions", .n_min = 0, .n_max = 0, .flags = PURE, .feature = FEATURE_TABLE,
    .module = &TABLE_MODULE, .fill = functions_fill,
    .columns =
      "name TEXT, n_min INTEGER, n_max INTEGER, kind TEXT, deterministic INTEGER, "
      "usage TEXT, sentence TEXT, example TEXT, result TEXT, chapter TEXT",
    .group = "The manual",
    .usage = "latent_functions",
    .sentence =
      "This manual, one row a function. The example is a statement; the result is what "
      "the shell prints for it.",
    .example = "SELECT usage FROM latent_functions WHERE name = 'latent_interp'",
    .result = "latent_interp(a, b, t [, options])" },

};
const int N_FUNCTIONS = sizeof(FUNCTIONS)/sizeof(FUNCTIONS[0]);

/* ---- Registration ---- */

static int register_count(const struct function *f, struct connection *c, int i, int n_args){
  struct binding *b = &c->bindings[i];
  int flags = SQLITE_UTF8 | f->flags;
  connection_use(c);            /* binding_drop() gives it back: SQLite calls it on failure too */
  if( f->inverse ){
    return sqlite3_create_window_function(c->db, f->name, n_args, flags, b, call_step, call_final,
                                          call_value, call_inverse, binding_drop);
  }
  if( f->step ){
    return sqlite3_create_function_v2(c->db, f->name, n_args, flags, b, NULL, call_step, call_final,
                                      binding_drop);
  }
  return sqlite3_create_function_v2(c->db, f->name, n_args, flags, b, call_scalar, NULL, NULL,
                                    binding_drop);
}

/* The row has what its feature needs, and all that the manual shows. */
static void assert_row(const struct function *f){
  int is_aggregate = f->feature==FEATURE_AGGREGATE;
  int is_table = f->feature==FEATURE_TABLE;
  assert( f->n_min<=f->n_max );
  assert( (f->feature==FEATURE_SCALAR)==(f->scalar!=NULL) );
  assert( is_aggregate==(f->step!=NULL) && is_aggregate==(f->give!=NULL) );
  assert( is_table==(f->fill!=NULL) && is_table==(f->columns!=NULL) );
  assert( f->group && f->usage && f->sentence && f->example && f->result );
  (void)is_aggregate;
  (void)is_table;
}

/* Once for each count of arguments, so that SQLite itself refuses the others: "wrong number of
** arguments to function f()". */
static int register_row(struct connection *c, int i){
  const struct function *f = &FUNCTIONS[i];
  int rc = SQLITE_OK;
  assert_row(f);
  if( f->module ){
    connection_use(c);
    return sqlite3_create_module_v2(c->db, f->name, f->module, &c->bindings[i], binding_drop);
  }
  for(int n_args=f->n_min; n_args<=f->n_max && rc==SQLITE_OK; n_args++){
    rc = register_count(f, c, i, n_args);
  }
  return rc;
}

/* Half a set of functions is none: SQLite closes a library whose entry point failed. */
static void unregister_row(sqlite3 *db, const struct function *f){
  if( f->module ){
    sqlite3_create_module_v2(db, f->name, NULL, NULL, NULL);
    return;
  }
  for(int n_args=f->n_min; n_args<=f->n_max; n_args++){
    sqlite3_create_function_v2(db, f->name, n_args, SQLITE_UTF8, NULL, NULL, NULL, NULL, NULL);
  }
}

static void tell_failure(sqlite3 *db, int rc, int n_registered, char **message){
  const char *name = n_registered>0 ? FUNCTIONS[n_registered-1].name : "functions";
  const char *why = rc==SQLITE_NOMEM ? "out of memory" : sqlite3_errmsg(db);
  if( message ) *message = sqlite3_mprintf("latent: cannot register %s: %s", name, why);
}

static int prepares(sqlite3 *db, const char *sql){
  sqlite3_stmt *s = NULL;
  int rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
  sqlite3_finalize(s);
  return rc==SQLITE_OK;
}

/* The extension was loaded on this connection before. To register again would fail while a
** statement runs, and SELECT load_extension() is one. */
static int is_registered(sqlite3 *db){
  if( prepares(db, "SELECT latent_info()") ) return 1;
  prepares(db, "SELECT 1");     /* an error that stayed would fail sqlite3_open() */
  return 0;
}

int functions_register(sqlite3 *db, char **message){
  struct connection *c;
  int rc = SQLITE_OK;
  int i = 0;
  if( is_registered(db) ) return SQLITE_OK;
  c = connection_open(db, FUNCTIONS, N_FUNCTIONS);
  if( c==NULL ) rc = SQLITE_NOMEM;
  while( i<N_FUNCTIONS && rc==SQLITE_OK ) rc = register_row(c, i++);
  if( rc!=SQLITE_OK ){
    tell_failure(db, rc, i, message);
    while( i>0 ) unregister_row(db, &FUNCTIONS[--i]);
  }
  if( c ) connection_drop(c);
  return rc;
}
