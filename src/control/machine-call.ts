// One request of a machine, as the handlers see it.
import type { MachineKey } from "../wire/ids.ts";

export interface MachineCall {
  readonly machineKey: MachineKey;
  readonly capVersion: number;
  /** Client address, or "". */
  readonly source: string;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Uint8Array;
  /** Fires when the client gave up; made on first use. */
  signal(): AbortSignal;
}
