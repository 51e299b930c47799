/** What load() needs of a database: better-sqlite3, node:sqlite and bun:sqlite have it. */
export interface LoadableDatabase {
  loadExtension(file: string, entryPoint?: any): unknown;
  prepare(sql: string): { get(...parameters: any[]): unknown };
}

export interface LoadOptions {
  /**
   * A folder that has text.safetensors, in the place of the installed packages of weights; or
   * false: none are loaded now. Without this option, and if the environment has no LATENT_MODEL,
   * the installed packages are taken.
   */
  weights?: string | false;
}

/**
 * Loads the extension into an open database, and the weights that are installed. Several databases
 * of a process share one copy of the weights.
 *
 * Throws an Error whose `code` is ERR_LATENT_PLATFORM (no extension for this machine),
 * ERR_LATENT_DATABASE (the database does not load extensions) or ERR_LATENT_WEIGHTS (no weights, or
 * weights that cannot be read). A database of node:sqlite must have been opened with
 * `{ allowExtension: true }`.
 */
export function load(db: LoadableDatabase, options?: LoadOptions): void;

/** The file of the extension for this machine, for `.load` or for other drivers. */
export function getLoadablePath(): string;

/** The folder of the installed weights, for `SELECT latent_load(?)`. */
export function getWeightsPath(): string;

/** The numbers as a BLOB of little-endian f32, for latent_from_vector() and latent(width=N). */
export function toBlob(vector: Float32Array | number[]): Buffer;

/** The numbers of a BLOB that latent_vector() or latent_embed() gave: a copy. */
export function toVector(blob: Uint8Array): Float32Array;
