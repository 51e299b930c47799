-- shipped: what the shipped code weights say. New weights change it, and `make golden` writes it
-- anew.

-- Lines come back, with their indentation, in one greedy pass.
SELECT latent_decode(latent_encode('    return self.name', '{"kind":"code"}'));
SELECT latent_decode(latent_encode('if x is not None and len(x) > 0:', '{"kind":"code"}'));
SELECT latent_decode(latent_encode('for i, (key, value) in enumerate(items):', '{"kind":"code"}'));

-- So do functions, a segment a line.
SELECT latent_decode(latent_encode('def mean(values):
    total = 0
    for value in values:
        total += value
    return total / len(values)', '{"kind":"code"}'));

-- Between two lines.
SELECT round(t, 1), content FROM latent_path('return x + 1', 'raise ValueError(name)', 6, '{"kind":"code"}');

-- A direction, and what is drawn from the whole space.
SELECT latent_move(latent_encode('return self.name', '{"kind":"code"}'), latent_sub(latent_encode('return self.x()', '{"kind":"code"}'), 'return self.x'), 1);
SELECT latent_sample(1, '{"kind":"code"}');

-- Text is still text.
SELECT latent_decode(latent_encode('return x'));
