// What REST answers about the world of admin-world.ts, written from headscale reference §3.2.
import assert from "node:assert/strict";
import { createAdminWorld } from "./admin-world.ts";
import type { AdminWorld, RestAnswer } from "./admin-world.ts";

export async function inWorld(
  check: (world: AdminWorld) => Promise<void>,
  overrides?: Parameters<typeof createAdminWorld>[0],
) {
  const world = await createAdminWorld(overrides);
  try {
    await check(world);
  } finally {
    await world.close();
  }
}

export function refused(answer: RestAnswer, status: number, code: number, message: string | RegExp): void {
  assert.equal(answer.status, status, answer.text);
  const body = answer.body as { code: number; message: string; details: unknown };
  assert.deepEqual(Object.keys(body), ["code", "message", "details"]);
  assert.equal(body.code, code);
  assert.deepEqual(body.details, []);
  if (typeof message === "string") {
    assert.equal(body.message, message);
  } else {
    assert.match(body.message, message);
  }
}

export const created = "2026-01-02T03:04:05Z";
export const infra = {
  id: "1",
  name: "infra",
  createdAt: created,
  displayName: "",
  email: "",
  providerId: "",
  provider: "",
  profilePicUrl: "",
  role: "",
};

/** A node as `join(1, number)` makes it. */
export function nodeGolden(number: number, more: object = {}): object {
  const hex = number.toString(16).padStart(2, "0").repeat(32);
  return {
    id: String(number),
    machineKey: `mkey:${hex}`,
    nodeKey: `nodekey:${hex}`,
    discoKey: `discokey:${"0".repeat(64)}`,
    ipAddresses: [`100.64.0.${number}`, `fd7a:115c:a1e0::${number}`],
    name: `host-${number}`,
    user: infra,
    lastSeen: created,
    expiry: null,
    preAuthKey: null,
    createdAt: created,
    registerMethod: "REGISTER_METHOD_CLI",
    givenName: `host-${number}`,
    online: false,
    approvedRoutes: [],
    availableRoutes: [],
    subnetRoutes: [],
    tags: [],
    ...more,
  };
}
