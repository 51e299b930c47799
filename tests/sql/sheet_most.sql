-- tiny (not swept): How many rows a sheet and a map take.
CREATE TABLE p AS SELECT x'89504E470D0A1A0A0000000D4948445200000001000000010802000000907753DE0000000C4944415478DA63F8D0A0000003F40191ED293CC80000000049454E44AE426082' AS png;
CREATE TABLE z AS SELECT latent_encode(column1) AS z FROM (VALUES ('A dog runs.'), ('It is warm.'));
CREATE TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<4097) SELECT i FROM n;
SELECT hex(substr(latent_sheet(png), 17, 8)) FROM n, p WHERE i<=4096;
SELECT latent_sheet(png) FROM n, p;
SELECT length(x) - length(replace(x, ' r="4"', ' r=""')) FROM (SELECT latent_plot(z, i) AS x FROM n JOIN z ON z.rowid=i%2+1 WHERE i<=2000);
SELECT latent_plot(z, i) FROM n, z WHERE i<=2001;
