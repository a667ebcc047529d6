// One connection to PostgreSQL that is made when it is needed and made again when it was lost; statements run one
// after the other.
import { Client } from "pg";
import type { Row } from "../rows.ts";
import { encryptionsOf, refusesEncryption } from "./encryption.ts";
import type { Encryption } from "./encryption.ts";

export interface PostgresTarget {
  /** Host name, address or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string;
  /** False: none. True: if the server has it. A text is libpq's sslmode. */
  readonly ssl: boolean | string;
}

type Value = string | number | null;

/** Longer than any statement of ours should take; a dead network must not hold a commit for ever. */
const statementTimeoutMs = 30_000;

export class PostgresConnection {
  readonly #target: PostgresTarget;
  readonly #name: string;
  #client: Client | undefined;
  #closed = false;
  #tail: Promise<unknown> = Promise.resolve();

  /** `name` is shown in pg_stat_activity. */
  constructor(target: PostgresTarget, name: string) {
    this.#target = target;
    this.#name = name;
  }

  /** Runs `work` when everything asked before has ended; no other work of this connection comes between its statements. */
  exclusively<Answer>(work: (query: Query) => Promise<Answer>): Promise<Answer> {
    const answer = this.#tail.then(async () => {
      const client = await this.#connected();
      return work(async (text, values = []) => {
        try {
          return (await client.query<Row>(text, values.map(withoutNul))).rows;
        } catch (error) {
          if (endsConnection(error)) {
            // The socket's own end comes later: until then the next statement would meet the dead connection again.
            this.#drop(client);
          }
          throw error;
        }
      });
    });
    this.#tail = answer.catch(() => undefined);
    return answer;
  }

  /** `work` between BEGIN and COMMIT, rolled back when it throws. */
  transaction<Answer>(work: (query: Query) => Promise<Answer>): Promise<Answer> {
    return this.exclusively(async (query) => {
      await query("BEGIN");
      try {
        const answer = await work(query);
        await query("COMMIT");
        return answer;
      } catch (error) {
        await query("ROLLBACK").catch(() => this.#drop(this.#client));
        throw error;
      }
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#tail;
    await this.#client?.end().catch(() => undefined);
    this.#client = undefined;
  }

  async #connected(): Promise<Client> {
    if (this.#closed) {
      throw new Error("the store is closed");
    }
    if (this.#client !== undefined) {
      return this.#client;
    }
    const [first, ...others] = encryptionsOf(this.#target.ssl, this.#target.host);
    let client: Client;
    try {
      client = await this.#connect(first);
    } catch (error) {
      const [second] = others;
      if (second === undefined || !refusesEncryption(error)) {
        throw error;
      }
      client = await this.#connect(second);
    }
    this.#client = client;
    return client;
  }

  async #connect(encryption: Encryption): Promise<Client> {
    const client = new Client({
      host: this.#target.host,
      ...(this.#target.port === 0 ? {} : { port: this.#target.port }),
      database: this.#target.database,
      user: this.#target.user,
      password: this.#target.password,
      ssl: encryption,
      application_name: this.#name,
      connectionTimeoutMillis: 10_000,
      statement_timeout: statementTimeoutMs,
      query_timeout: statementTimeoutMs + 5_000,
      keepAlive: true,
    });
    // An idle connection that breaks says so here; the next statement makes a new one.
    client.on("error", () => {
      if (this.#client === client) {
        this.#client = undefined;
      }
    });
    await client.connect();
    return client;
  }

  #drop(client: Client | undefined): void {
    if (this.#client === client) {
      this.#client = undefined;
    }
    void client?.end().catch(() => undefined);
  }
}

/**
 * Whether a statement failed because there is no connection any more: SQLSTATE classes 57P (the server ends it) and 08, an
 * idle transaction's end, and whatever has no SQLSTATE: the socket's errors and the client's own timeouts.
 */
function endsConnection(error: unknown): boolean {
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  return !/^[0-9A-Z]{5}$/.test(code) || /^(?:57P|08|25P03)/.test(code);
}

export type Query = (text: string, values?: readonly Value[]) => Promise<readonly Row[]>;

/** PostgreSQL's text holds no NUL. */
function withoutNul(value: Value): Value {
  return typeof value === "string" && value.includes("\u0000") ? value.replaceAll("\u0000", "") : value;
}
