// Ending a connection that was taken over from HTTP (an upgrade, or what was no request) with a last answer. Nothing
// else watches such a socket, and the system keeps it for as long as the other side does not close: so it is waited for
// only for a moment, or strangers could hold one each for ever.
import type { Duplex } from "node:stream";

/** For the answer to arrive and the other side to close, ms. */
const patienceMs = 2_000;

export function lastWord(socket: Duplex, bytes: string | Uint8Array): void {
  socket.on("error", () => socket.destroy());
  socket.end(bytes);
  // What is still sent is thrown away; unread it would hide that the other side has closed.
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), patienceMs);
  timer.unref();
  socket.once("close", () => clearTimeout(timer));
}
