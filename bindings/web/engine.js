// engine.js -- the module (SQLite with latent) and its databases, in the thread that loads it.
//
// It needs nothing but WebAssembly: worker.js runs it in a browser, and Node runs it as it is. Most
// pages want latent.js, which puts it into a worker.
//
//   const engine = await Engine.create(module)       // a WebAssembly.Module, see moduleName()
//   engine.file('/model/text.json', bytes)           // before the first use of a model
//   const db = engine.open()
//   db.exec('SELECT latent_interp(?, ?, 0.5) AS text', [a, b])       // [{text: '...'}]
//
// engine.stop is a function that is asked while a statement runs: every 5,000 operations of SQLite's
// virtual machine (20,000 times a second in plain SQL), and 50 times a second where latent computes.
// Where it gives true, the statement ends with SQLite's error SQLITE_INTERRUPT.

const ROW = 100, DONE = 101;
const INTEGER = 1, FLOAT = 2, TEXT = 3, BLOB = 4;
const TRANSIENT = -1;                               // SQLite copies what is bound
const OPEN_FLAGS = 2 | 4;                           // READWRITE, CREATE
const FREE_ON_CLOSE = 1, RESIZEABLE = 2;
const UTF8 = new TextEncoder(), FROM_UTF8 = new TextDecoder();

// i8x16.relaxed_swizzle of two constants: valid where the engine has relaxed SIMD.
const RELAXED = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0,
  10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11]);

// The file of the module that this engine can run.
export function moduleName() {
  return WebAssembly.validate(RELAXED) ? 'latent.wasm' : 'latent-base.wasm';
}

export class LatentError extends Error {
  constructor(message, code) {
    super(message);
    this.name = 'LatentError';
    this.code = code;                               // SQLite's extended result code
  }
}

export class Engine {
  static async create(module) {
    const engine = new Engine();
    engine.stop = () => false;
    const instance = await WebAssembly.instantiate(module, {
      wasi_snapshot_preview1: engine.system(),
      latent: { stop: () => engine.stop() ? 1 : 0 },
    });
    engine.c = instance.exports;
    engine.c._initialize();
    const rc = engine.c.web_start();
    if (rc !== 0) throw new LatentError(`latent did not start: SQLite's code ${rc}`, rc);
    return engine;
  }

  // What the C library asks of WASI. There are no files and no arguments; what is printed (only by
  // an assertion) goes to the console.
  system() {
    const BAD_FILE = 8, OK = 0;
    const view = () => new DataView(this.c.memory.buffer);
    return {
      environ_sizes_get: (count, size) => {
        view().setUint32(count, 0, true);
        view().setUint32(size, 0, true);
        return OK;
      },
      environ_get: () => OK,
      clock_time_get: (id, precision, out) => {
        const ms = id === 0 ? Date.now() : performance.now();
        view().setBigUint64(out, BigInt(Math.round(ms * 1e6)), true);
        return OK;
      },
      random_get: (at, n) => {
        for (let i = 0; i < n; i += 65536) {        // the most that is given at once
          crypto.getRandomValues(this.bytes(at + i, Math.min(65536, n - i)));
        }
        return OK;
      },
      fd_write: (fd, parts, n, out) => {
        let text = '', written = 0;
        for (let i = 0; i < n; i++) {
          const size = view().getUint32(parts + 8 * i + 4, true);
          text += FROM_UTF8.decode(this.bytes(view().getUint32(parts + 8 * i, true), size).slice());
          written += size;
        }
        console.error(text);
        view().setUint32(out, written, true);
        return OK;
      },
      fd_close: () => BAD_FILE,
      fd_seek: () => BAD_FILE,
      fd_prestat_get: () => BAD_FILE,
      fd_prestat_dir_name: () => BAD_FILE,
      poll_oneoff: () => BAD_FILE,
      proc_exit: (code) => { throw new LatentError(`the module ended with ${code}`, code); },
    };
  }

  // ---- Memory ----
  // A view lives until the memory grows: it is used at once, or copied.
  bytes(at, n) {
    return new Uint8Array(this.c.memory.buffer, at >>> 0, n);
  }

  allocate(n) {
    const at = this.c.malloc(Math.max(1, n)) >>> 0;
    if (at === 0) throw new LatentError(`out of memory: ${n} bytes`, 7);
    return at;
  }

  // Calls use(address, bytes without the final 0) with a text in memory for so long.
  withText(text, use) {
    const bytes = UTF8.encode(text);
    const at = this.allocate(bytes.length + 1);
    try {
      this.bytes(at, bytes.length).set(bytes);
      this.bytes(at + bytes.length, 1)[0] = 0;
      return use(at, bytes.length);
    } finally {
      this.c.free(at);
    }
  }

  text(at, n) {
    if (n === undefined) {
      const all = new Uint8Array(this.c.memory.buffer);
      n = all.indexOf(0, at >>> 0) - (at >>> 0);
    }
    return FROM_UTF8.decode(this.bytes(at, n).slice());
  }

  // ---- Files ----
  // Weights are read where they lie: first comes space for a file's bytes, which the caller fills
  // through bytes(), then its name, from which moment on latent finds it. It stays until the end.
  space(n) {
    const at = this.c.web_space(n) >>> 0;
    if (at === 0) throw new LatentError(`out of memory: ${n} bytes`, 7);
    return at;
  }

  place(path, at, n) {
    const rc = this.withText(path, p => this.c.web_place(p, at, n));
    if (rc !== 0) throw new LatentError(`out of memory: ${path}`, rc);
  }

  file(path, bytes) {
    const at = this.space(bytes.length);
    this.bytes(at, bytes.length).set(bytes);
    this.place(path, at, bytes.length);
  }

  // Which code computes: 'wasm_relaxed' or 'wasm'. All give the same bits.
  kernel() {
    return this.text(this.c.web_kernel());
  }

  memoryBytes() {
    return this.c.memory.buffer.byteLength;
  }

  // ---- Databases ----
  // An empty one, or one that Database.bytes() gave.
  open(bytes) {
    const out = this.allocate(4);
    try {
      const rc = this.withText(':memory:', p => this.c.sqlite3_open_v2(p, out, OPEN_FLAGS, 0));
      const db = new Database(this, new DataView(this.c.memory.buffer).getUint32(out, true));
      db.check(rc);
      this.c.web_watch(db.at);
      if (bytes) db.read(bytes);
      return db;
    } finally {
      this.c.free(out);
    }
  }
}

export class Database {
  constructor(engine, at) {
    this.engine = engine;
    this.c = engine.c;
    this.at = at;
  }

  check(rc) {
    if (rc === 0 || rc === ROW || rc === DONE) return rc;
    throw new LatentError(this.engine.text(this.c.sqlite3_errmsg(this.at)),
      this.c.sqlite3_extended_errcode(this.at));
  }

  // Runs all statements of sql, and gives the rows of the last that has columns: objects by
  // column name. params: an array for ?, or an object for :name, @name and $name. Values are null,
  // number, bigint, string, boolean and Uint8Array; whole numbers beyond 2^53 come back as bigint.
  exec(sql, params = []) {
    if (this.at === 0) throw new LatentError('the database is closed', 21);
    let rows = [];
    const out = this.engine.allocate(8);
    try {
      this.engine.withText(sql, (start, n) => {
        for (let at = start; at < start + n;) {
          this.check(this.c.sqlite3_prepare_v3(this.at, at, start + n - at, 0, out, out + 4));
          const view = new DataView(this.c.memory.buffer);
          const statement = view.getUint32(out, true);
          at = view.getUint32(out + 4, true);
          if (statement !== 0) rows = this.run(statement, params) || rows;
        }
      });
    } finally {
      this.c.free(out);
    }
    return rows;
  }

  // The rows of a statement, which is then done with; undefined where it has no columns.
  run(statement, params) {
    try {
      this.bind(statement, params);
      const n = this.c.sqlite3_column_count(statement);
      const names = Array.from({ length: n },
        (_, i) => this.engine.text(this.c.sqlite3_column_name(statement, i)));
      const rows = [];
      while (this.check(this.c.sqlite3_step(statement)) === ROW) {
        rows.push(Object.fromEntries(names.map((name, i) => [name, this.column(statement, i)])));
      }
      return n > 0 ? rows : undefined;
    } finally {
      this.c.sqlite3_finalize(statement);
    }
  }

  bind(statement, params) {
    const n = this.c.sqlite3_bind_parameter_count(statement);
    for (let i = 1; i <= n; i++) {
      const name = this.c.sqlite3_bind_parameter_name(statement, i);
      const key = name ? this.engine.text(name) : `?${i}`;
      let value;
      if (Array.isArray(params)) value = params[i - 1];
      else value = key in params ? params[key] : params[key.slice(1)];
      if (value === undefined) throw new LatentError(`no value for the parameter ${key}`, 1);
      this.check(this.bindOne(statement, i, value, key));
    }
  }

  bindOne(statement, i, value, key) {
    const c = this.c;
    if (value === null) return c.sqlite3_bind_null(statement, i);
    if (typeof value === 'boolean') return c.sqlite3_bind_int64(statement, i, value ? 1n : 0n);
    if (typeof value === 'bigint') {
      if (BigInt.asIntN(64, value) !== value) {
        throw new LatentError(`${key} is ${value}; expected a whole number of 64 bits`, 1);
      }
      return c.sqlite3_bind_int64(statement, i, value);
    }
    if (Number.isSafeInteger(value)) return c.sqlite3_bind_int64(statement, i, BigInt(value));
    if (typeof value === 'number') return c.sqlite3_bind_double(statement, i, value);
    if (typeof value === 'string') {
      return this.engine.withText(value,
        (at, n) => c.sqlite3_bind_text(statement, i, at, n, TRANSIENT));
    }
    if (value instanceof ArrayBuffer) value = new Uint8Array(value);
    if (!(value instanceof Uint8Array)) {
      const came = Object.prototype.toString.call(value);
      throw new LatentError(`${key} is ${came}; expected null, a number, a string, a boolean or ` +
        'a Uint8Array', 1);
    }
    const at = this.engine.allocate(value.length);
    this.engine.bytes(at, value.length).set(value);
    try {
      return c.sqlite3_bind_blob(statement, i, at, value.length, TRANSIENT);
    } finally {
      c.free(at);
    }
  }

  column(statement, i) {
    const c = this.c;
    switch (c.sqlite3_column_type(statement, i)) {
      case INTEGER: {
        const value = c.sqlite3_column_int64(statement, i);
        return Number.isSafeInteger(Number(value)) ? Number(value) : value;
      }
      case FLOAT: return c.sqlite3_column_double(statement, i);
      case TEXT: {
        const at = c.sqlite3_column_text(statement, i);
        return this.engine.text(at, c.sqlite3_column_bytes(statement, i));
      }
      case BLOB: {
        const at = c.sqlite3_column_blob(statement, i);
        return this.engine.bytes(at, c.sqlite3_column_bytes(statement, i)).slice();
      }
      default: return null;
    }
  }

  // The whole database as the bytes of a database file.
  bytes() {
    const size = this.engine.allocate(8);
    try {
      const at = this.engine.withText('main', p => this.c.sqlite3_serialize(this.at, p, size, 0));
      const n = Number(new DataView(this.c.memory.buffer).getBigInt64(size, true));
      if (at === 0 && n > 0) throw new LatentError('out of memory', 7);
      const bytes = this.engine.bytes(at, n).slice();
      this.c.sqlite3_free(at);
      return bytes;
    } finally {
      this.c.free(size);
    }
  }

  read(bytes) {
    const n = BigInt(bytes.length);
    const at = this.c.sqlite3_malloc64(n) >>> 0;
    if (at === 0) throw new LatentError(`out of memory: ${bytes.length} bytes`, 7);
    this.engine.bytes(at, bytes.length).set(bytes);
    this.check(this.engine.withText('main', p =>
      this.c.sqlite3_deserialize(this.at, p, at, n, n, FREE_ON_CLOSE | RESIZEABLE)));
  }

  close() {
    if (this.at !== 0) this.c.sqlite3_close_v2(this.at);
    this.at = 0;
  }
}
