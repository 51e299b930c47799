-- tiny: the damaged files are copies of it (tests/checks/common.py makes them). Every load fails
-- and says why; the model in use stays.
SELECT latent_distance('one', 'one') < 0.001;
SELECT latent_load('build/tests/models/truncated.safetensors');
SELECT latent_load('build/tests/models/altered.safetensors');
SELECT latent_load('build/tests/models/no_tokenizer.safetensors');
SELECT latent_load('build/tests/models/not_a_model.safetensors');
SELECT latent_load('build/tests/models/empty.safetensors');
SELECT latent_load('build/tests/models/bad_json.safetensors');
-- A sentence encoder that is missing, of another model, of another width, or where none belongs.
SELECT latent_load('build/tests/models/alone/text.safetensors');
SELECT latent_load('build/tests/models/other_meaning.safetensors');
SELECT latent_load('build/tests/models/wide_meaning.safetensors');
SELECT latent_load('build/tests/models/narrow_meaning.safetensors');
SELECT latent_load('build/tests/models/code_meaning.safetensors');
SELECT latent_load('build/tests/models/absent.safetensors');
SELECT latent_load('build/tests/models');
SELECT latent_load('Makefile');
SELECT latent_distance('one', 'one') < 0.001, json_extract(latent_info(), '$.model.path') LIKE '%/tests/data/text.safetensors';
-- Only the application may open a file: not a view, not a trigger.
CREATE VIEW sly AS SELECT latent_load('tests/data/text.safetensors');
SELECT * FROM sly;
