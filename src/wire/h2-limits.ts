// What an HTTP/2 peer may do to us, and how a connection that went too far is named.
import { errorCodes } from "./h2-frames.ts";

/** Bounds on one connection. Rates count within a window of ten seconds of the clock that is passed in. */
export interface H2Limits {
  /** Streams the peer may have open at once; further ones are refused. At least 128 for control clients (protocol §2.7). */
  readonly streams: number;
  /** Bytes of one compressed header block, with all its CONTINUATION frames. */
  readonly headerBlock: number;
  /** Bytes of one header list, counted as RFC 9113 §6.5.2 does. A longer one resets its stream. */
  readonly headerList: number;
  readonly continuations: number;
  /** RST_STREAM frames, streams refused or reset for a fault, and header blocks of streams that are over, in ten seconds. */
  readonly resets: number;
  readonly pings: number;
  readonly settings: number;
  /** DATA frames without content that do not end their stream. */
  readonly emptyData: number;
  /** WINDOW_UPDATE frames that let out next to nothing. */
  readonly tinyCredits: number;
}

export const defaultLimits: H2Limits = {
  streams: 256,
  headerBlock: 16_384,
  headerList: 16_384,
  continuations: 8,
  resets: 400,
  pings: 100,
  settings: 20,
  emptyData: 100,
  tinyCredits: 1000,
};

export const rateWindowMs = 10_000;

export type H2FaultReason =
  | "bad-preface"
  | "frame-size"
  | "padding"
  | "protocol"
  | "compression"
  | "flow-control"
  | "header-block-too-large"
  | "too-many-continuations"
  | "reset-flood"
  | "ping-flood"
  | "settings-flood"
  | "empty-data-flood"
  | "window-update-flood";

/** Why a connection ended. The GOAWAY that says so is in the output already. */
export interface H2Fault {
  readonly reason: H2FaultReason;
  /** RFC 9113 §7. */
  readonly code: number;
}

const faultCodes: Readonly<Record<H2FaultReason, number>> = {
  "bad-preface": errorCodes.protocol,
  "frame-size": errorCodes.frameSize,
  padding: errorCodes.protocol,
  protocol: errorCodes.protocol,
  compression: errorCodes.compression,
  "flow-control": errorCodes.flowControl,
  "header-block-too-large": errorCodes.enhanceYourCalm,
  "too-many-continuations": errorCodes.enhanceYourCalm,
  "reset-flood": errorCodes.enhanceYourCalm,
  "ping-flood": errorCodes.enhanceYourCalm,
  "settings-flood": errorCodes.enhanceYourCalm,
  "empty-data-flood": errorCodes.enhanceYourCalm,
  "window-update-flood": errorCodes.enhanceYourCalm,
};

export function fault(reason: H2FaultReason): H2Fault {
  return { reason, code: faultCodes[reason] };
}

/** Counts what a peer may do only so often. */
export class RateCounters {
  #since = 0;
  #resets = 0;
  #pings = 0;
  #settings = 0;
  #emptyData = 0;
  #tinyCredits = 0;

  /** Starts a new window when the last has passed; `now` is in milliseconds on any clock that does not go back. */
  tick(now: number): void {
    if (now - this.#since >= rateWindowMs) {
      this.#since = now;
      this.#resets = 0;
      this.#pings = 0;
      this.#settings = 0;
      this.#emptyData = 0;
      this.#tinyCredits = 0;
    }
  }

  reset(limits: H2Limits): boolean {
    return ++this.#resets <= limits.resets;
  }
  ping(limits: H2Limits): boolean {
    return ++this.#pings <= limits.pings;
  }
  settings(limits: H2Limits): boolean {
    return ++this.#settings <= limits.settings;
  }
  emptyData(limits: H2Limits): boolean {
    return ++this.#emptyData <= limits.emptyData;
  }
  tinyCredit(limits: H2Limits): boolean {
    return ++this.#tinyCredits <= limits.tinyCredits;
  }
}
