import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import * as fc from "fast-check";
import { encodeStunRequest, encodeStunResponse, parseStunRequest, parseStunResponse } from "./stun.ts";

const txid = Buffer.from("000102030405060708090a0b", "hex");
const request = Buffer.from("000100142112a442000102030405060708090a0b802200087461696c6e6f6465802800048aabad90", "hex");

test("the reference vectors", () => {
  assert.deepEqual(encodeStunRequest(txid), request);
  assert.deepEqual(parseStunRequest(request), txid);
  assert.equal(
    encodeStunResponse(txid, Buffer.from([203, 0, 113, 7]), 41641).toString("hex"),
    "0101000c2112a442000102030405060708090a0b00200008000183bbea12d545",
  );
});

test("an answer tells the address back, IPv4 in 32 bytes, IPv6 in 44, v4-mapped as IPv4", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 12, maxLength: 12 }),
      fc.constantFrom(4, 16).chain((length) => fc.uint8Array({ minLength: length, maxLength: length })),
      fc.nat(65535),
      (id, address, port) => {
        const response = encodeStunResponse(id, address, port);
        assert.equal(response.length, address.length === 4 ? 32 : 44);
        assert.deepEqual(parseStunResponse(response, id), { address: Buffer.from(address), port });
        const mapped = Buffer.concat([Buffer.alloc(10), Buffer.from([0xff, 0xff]), address.subarray(0, 4)]);
        assert.deepEqual(parseStunResponse(encodeStunResponse(id, mapped, port), id), {
          address: Buffer.from(address.subarray(0, 4)),
          port,
        });
        assert.equal(parseStunResponse(response, Buffer.alloc(12, 0xee)), undefined);
      },
    ),
    { numRuns: 200 },
  );
});

test("any change of a single byte, a cut or a tail makes a request worthless", () => {
  for (let at = 0; at < request.length; at++) {
    for (const flip of [0x01, 0x80, 0xff]) {
      const changed = Buffer.from(request);
      changed[at] = (changed[at] ?? 0) ^ flip;
      assert.equal(parseStunRequest(changed), undefined, `byte ${at}`);
    }
    assert.equal(parseStunRequest(request.subarray(0, at)), undefined);
  }
  assert.equal(parseStunRequest(Buffer.concat([request, Buffer.alloc(4)])), undefined);
});

/** A request of the given attributes with a true fingerprint, so that only the attributes decide. */
function sealed(attributes: Buffer): Buffer {
  const message = Buffer.concat([request.subarray(0, 20), attributes, Buffer.from("8028000400000000", "hex")]);
  message.writeUInt16BE(message.length - 20, 2);
  message.writeUInt32BE((crc32(message.subarray(0, -8)) ^ 0x5354554e) >>> 0, message.length - 4);
  return message;
}

test("what counts is SOFTWARE tailnode, not where it stands; another software is not ours", () => {
  const tailnode = Buffer.from("802200087461696c6e6f6465", "hex");
  const padded = Buffer.from("00240003616263000006000178000000", "hex");
  assert.deepEqual(parseStunRequest(sealed(tailnode)), txid);
  assert.deepEqual(parseStunRequest(sealed(Buffer.concat([padded, tailnode]))), txid);
  assert.equal(parseStunRequest(sealed(Buffer.alloc(0))), undefined);
  assert.equal(parseStunRequest(sealed(Buffer.from("802200086f74686572313233", "hex"))), undefined);
  assert.equal(parseStunRequest(sealed(Buffer.from("8022ffff7461696c6e6f6465", "hex"))), undefined);
});

test("any datagram is read without harm", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      assert.equal(parseStunRequest(Buffer.from(bytes)), undefined);
      parseStunResponse(Buffer.from(bytes), txid);
      parseStunRequest(sealed(Buffer.from(bytes)));
      parseStunResponse(Buffer.concat([Buffer.from("010100002112a442", "hex"), txid, bytes]), txid);
    }),
    { numRuns: 500 },
  );
});
