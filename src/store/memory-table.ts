// A table of the store without a disk: rows by id, unique keys, and a way back for what a refused group did.

/** Steps that take a group back, in the order they were made. */
export type Undo = (() => void)[];

export interface UniqueKey {
  readonly key: string;
  /** Why a second row with this key is refused. */
  readonly reason: string;
}

export class MemoryTable<Row> {
  readonly rows = new Map<number, Row>();
  /** The highest id ever stored, also by groups that were taken back. */
  highest = 0;
  readonly #owners = new Map<string, number>();
  readonly #keysOf: (row: Row) => readonly UniqueKey[];

  constructor(keysOf: (row: Row) => readonly UniqueKey[]) {
    this.#keysOf = keysOf;
  }

  /** Stores the row, or returns why it is refused. */
  put(id: number, row: Row, undo: Undo): string | undefined {
    for (const { key, reason } of this.#keysOf(row)) {
      const owner = this.#owners.get(key);
      if (owner !== undefined && owner !== id) {
        return reason;
      }
    }
    this.highest = Math.max(this.highest, id);
    this.#replace(id, row, undo);
    return undefined;
  }

  remove(id: number, undo: Undo): void {
    this.#replace(id, undefined, undo);
  }

  /** In ascending order of id. */
  sorted(): Row[] {
    return [...this.rows].sort(([left], [right]) => left - right).map(([, row]) => row);
  }

  #replace(id: number, row: Row | undefined, undo: Undo): void {
    const before = this.rows.get(id);
    undo.push(() => this.#set(id, before));
    this.#set(id, row);
  }

  #set(id: number, row: Row | undefined): void {
    const before = this.rows.get(id);
    if (before !== undefined) {
      for (const { key } of this.#keysOf(before)) {
        this.#owners.delete(key);
      }
    }
    if (row === undefined) {
      this.rows.delete(id);
      return;
    }
    this.rows.set(id, row);
    for (const { key } of this.#keysOf(row)) {
      this.#owners.set(key, id);
    }
  }
}
