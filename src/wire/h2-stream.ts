// One stream of an HTTP/2 connection (RFC 9113 §5.1), as both of its directions see it.
import type { Chunks } from "./h2-output.ts";
import type { ReceiveWindow } from "./h2-receive-window.ts";

export interface Stream {
  readonly id: number;
  /** Bytes the peer lets us send; negative after it has made its windows smaller. */
  sendWindow: number;
  readonly receiveWindow: ReceiveWindow;
  localEnded: boolean;
  remoteEnded: boolean;
  /** The peer's first header section has come. */
  hasHead: boolean;
  /** A write fell short: its owner is to be told when there is room. */
  wantsRoom: boolean;
  /** What is still to be sent of a body that was given whole. */
  rest: { readonly body: Chunks; readonly from: number } | undefined;
}

export function newStream(id: number, sendWindow: number, receiveWindow: ReceiveWindow): Stream {
  return {
    id,
    sendWindow,
    receiveWindow,
    localEnded: false,
    remoteEnded: false,
    hasHead: false,
    wantsRoom: false,
    rest: undefined,
  };
}
