-- tiny: the messages name the model. Broken and foreign latents: every statement except the last
-- fails and says why.
CREATE TABLE latents AS SELECT latent_encode('one') AS z;

-- Short, empty, long.
SELECT latent_decode(substr(z, 1, 4)) FROM latents;
SELECT latent_decode(substr(z, 1, 15)) FROM latents;
SELECT latent_decode(substr(z, 1, 16)) FROM latents;
SELECT latent_decode(substr(z, 1, length(z) - 1)) FROM latents;
SELECT latent_decode(CAST(z || x'00' AS BLOB)) FROM latents;
SELECT latent_decode(z || x'00') FROM latents;
-- Wrong magic (one byte), future version, unknown kind, unknown element, reserved byte set.
SELECT latent_decode(CAST(x'4C544E55' || substr(z, 5) AS BLOB)) FROM latents;
SELECT latent_decode(CAST(substr(z, 1, 4) || x'02' || substr(z, 6) AS BLOB)) FROM latents;
SELECT latent_decode(CAST(substr(z, 1, 5) || x'09' || substr(z, 7) AS BLOB)) FROM latents;
SELECT latent_decode(CAST(substr(z, 1, 6) || x'07' || substr(z, 8) AS BLOB)) FROM latents;
SELECT latent_decode(CAST(substr(z, 1, 7) || x'01' || substr(z, 9) AS BLOB)) FROM latents;
-- No segments; another width; kinds that this model does not decode.
SELECT latent_decode(CAST(substr(z, 1, 8) || x'0000' || substr(z, 11) AS BLOB)) FROM latents;
SELECT latent_decode(CAST(substr(z, 1, 10) || x'2F00' || substr(z, 13) AS BLOB)) FROM latents;
SELECT latent_decode(CAST(substr(z, 1, 5) || x'02' || substr(z, 7) AS BLOB)) FROM latents;
-- Not a number, infinite (f16).
SELECT latent_decode(CAST(substr(z, 1, 16) || x'007E' || substr(z, 19) AS BLOB)) FROM latents;
SELECT latent_distance('one', CAST(substr(z, 1, 20) || x'007C' || substr(z, 23) AS BLOB)) FROM latents;
-- Of another model: the message names it and says what to do.
SELECT latent_decode(CAST(substr(z, 1, 12) || x'DDCCBBAA' || substr(z, 17) AS BLOB)) FROM latents;
SELECT latent_from_json(json_set(latent_json(z), '$.model', 'aabbccdd')) FROM latents;
-- A latent that the other model made: encode there, come back, and it is refused.
CREATE TABLE foreigner(z BLOB);
SELECT length(latent_load('build/tests/models/other.safetensors'));
INSERT INTO foreigner SELECT latent_encode('one');
SELECT latent_distance(latents.z, foreigner.z) FROM latents, foreigner;
SELECT latent_load('tests/data/text.safetensors');
SELECT latent_decode(z) FROM foreigner;
SELECT latent_mean(z) FROM (SELECT z FROM latents UNION ALL SELECT z FROM foreigner);
-- The good one is still good.
SELECT latent_distance(z, 'one') < 0.001 FROM latents;
