// One request of a machine, as the handlers see it. Its body is not here: handlers that wait hold on to the call, and a
// body may be a megabyte of anybody's.
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
  /** Fires when the client gave up; made on first use. */
  signal(): AbortSignal;
}
