// web.js -- the module of build/web in Node, for web.py: node tests/checks/web.js < jobs.json
//
// jobs: {module, model: folder, kernel: name or null, statements: [[sql, params], ...]}, where a
// BLOB is {base64} and a bigint {bigint}. Gives, as JSON, {kernel, memory, results}: of each
// statement {rows: [[...]], ms of processor time} or {error, trapped}.
const fs = require('fs');
const path = require('path');

function blobIn(value) {
  return value && value.base64 !== undefined ? new Uint8Array(Buffer.from(value.base64, 'base64'))
    : value;
}

function blobOut(value) {
  if (typeof value === 'bigint') return { bigint: String(value) };
  return value instanceof Uint8Array ? { base64: Buffer.from(value).toString('base64') } : value;
}

function attempt(db, [sql, params]) {
  const began = process.cpuUsage();
  try {
    const rows = db.exec(sql, params.map(blobIn)).map(r => Object.values(r).map(blobOut));
    const used = process.cpuUsage(began);
    return { rows, ms: (used.user + used.system) / 1000 };
  } catch (e) {
    return { error: e.message, trapped: e.name !== 'LatentError' };
  }
}

async function main() {
  const { Engine } = await import(path.resolve('build/web/engine.js'));
  const jobs = JSON.parse(fs.readFileSync(0));
  const engine = await Engine.create(new WebAssembly.Module(fs.readFileSync(jobs.module)));
  for (const name of fs.readdirSync(jobs.model, { recursive: true })) {
    const file = path.join(jobs.model, name);
    if (!/\.(json|safetensors|txt)$/.test(name)) continue;
    engine.file(`/model/${name}`, fs.readFileSync(file));
  }
  if (jobs.kernel) engine.withText(jobs.kernel, at => engine.c.web_choose_kernel(at));
  const db = engine.open();
  const results = jobs.statements.map(s => attempt(db, s));
  console.log(JSON.stringify({ kernel: engine.kernel(), memory: engine.memoryBytes(), results }));
}

main();
