import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { encodeFields, HpackDecoder, type HeaderField } from "./hpack.ts";
import { decodeHuffman } from "./hpack-huffman.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

function decodeAll(decoder: HpackDecoder, block: Uint8Array): HeaderField[] | undefined {
  const fields: HeaderField[] = [];
  return decoder.decode(block, (name, value) => fields.push([name, value])) ? fields : undefined;
}

/** RFC 7541, appendix C.3 and C.4: the same three requests on one connection, without and with Huffman codes. */
const requests: readonly HeaderField[][] = [
  [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "www.example.com"],
  ],
  [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "www.example.com"],
    ["cache-control", "no-cache"],
  ],
  [
    [":method", "GET"],
    [":scheme", "https"],
    [":path", "/index.html"],
    [":authority", "www.example.com"],
    ["custom-key", "custom-value"],
  ],
];
const plainBlocks = [
  "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
  "8286 84be 5808 6e6f 2d63 6163 6865",
  "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
];
const huffmanBlocks = [
  "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
  "8286 84be 5886 a8eb 1064 9cbf",
  "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
];

for (const [coding, blocks] of [
  ["plain", plainBlocks],
  ["Huffman-coded", huffmanBlocks],
] as const) {
  test(`the RFC's ${coding} requests decode, with the table carried from one to the next`, () => {
    const decoder = new HpackDecoder();
    const sizes = [57, 110, 164];
    blocks.forEach((block, index) => {
      assert.deepEqual(decodeAll(decoder, hex(block)), requests[index]);
      assert.equal(decoder.tableSize, sizes[index]);
    });
  });
}

test("a size update empties the table; one above the limit, or late in a block, is broken", () => {
  const decoder = new HpackDecoder();
  decodeAll(decoder, hex(plainBlocks[0] ?? ""));
  decoder.setLimit(0);
  // An encoder that has not heard of the limit may still use what it has put in.
  assert.deepEqual(decodeAll(decoder, hex("be")), [[":authority", "www.example.com"]]);
  assert.deepEqual(decodeAll(decoder, hex("2082")), [[":method", "GET"]]);
  assert.equal(decoder.tableSize, 0);
  assert.equal(decodeAll(decoder, hex("be")), undefined);
  assert.equal(decodeAll(new HpackDecoder(), hex("8220")), undefined);
  assert.equal(decodeAll(new HpackDecoder(), hex("3fe21f82")), undefined); // 4097
});

test("the table never grows above its capacity", () => {
  const decoder = new HpackDecoder();
  for (let index = 0; index < 100; index++) {
    const value = String(index).padStart(100, "v");
    const block = Buffer.concat([Buffer.of(0x40, 4), Buffer.from("name"), Buffer.of(100), Buffer.from(value)]);
    assert.deepEqual(decodeAll(decoder, block), [["name", value]]);
    assert.ok(decoder.tableSize <= 4096);
  }
  assert.equal(decoder.tableSize, 30 * 136);
});

const fieldName = fc.string({ unit: fc.constantFrom("a", "b", "e", "q", "x", "z", "-", "0", "9"), minLength: 1 });
const fieldValue = fc.string({ unit: fc.integer({ min: 32, max: 255 }).map((code) => String.fromCharCode(code)) });
const field: fc.Arbitrary<HeaderField> = fc.oneof(
  fc.tuple(fieldName, fieldValue),
  fc.constantFrom<HeaderField>([":method", "POST"], [":status", "404"], ["content-type", "text/plain"]),
);

test("what is encoded decodes, and leaves no state", () => {
  fc.assert(
    fc.property(fc.array(field, { maxLength: 20 }), (fields) => {
      const decoder = new HpackDecoder();
      assert.deepEqual(decodeAll(decoder, encodeFields(fields)), fields);
      assert.equal(decoder.tableSize, 0);
    }),
  );
});

test("long texts and indexes use all forms of integers", () => {
  for (const length of [126, 127, 128, 254, 255, 256, 16_500, 70_000]) {
    const fields: HeaderField[] = [["x", "y".repeat(length)]];
    assert.deepEqual(decodeAll(new HpackDecoder(), encodeFields(fields)), fields);
  }
});

test("broken blocks are refused", () => {
  for (const block of [
    "80",
    "be",
    "ff",
    "ffffffffffff",
    "40",
    "4001",
    "400161",
    "40016105",
    "7f",
    "0085ffffffffff00",
  ]) {
    assert.equal(decodeAll(new HpackDecoder(), hex(block)), undefined, block);
  }
});

test("random blocks decode or are refused, without ever holding more than the table may", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 })), (blocks) => {
      const decoder = new HpackDecoder();
      for (const block of blocks) {
        decoder.decode(block, () => {});
        assert.ok(decoder.tableSize <= 4096);
      }
    }),
  );
});

test("Huffman padding must be short and all ones, and the end mark may not occur", () => {
  assert.equal(decodeHuffman(hex("f1e3c2e5f23a6ba0ab90f4ff")), "www.example.com");
  assert.equal(decodeHuffman(hex("f1e3c2e5f23a6ba0ab90f4ffff")), undefined);
  assert.equal(decodeHuffman(hex("f1e3c2e5f23a6ba0ab90f400")), undefined);
  assert.equal(decodeHuffman(hex("ffffffff")), undefined);
  assert.equal(decodeHuffman(hex("07")), "0");
  assert.equal(decodeHuffman(hex("00")), undefined);
  assert.equal(decodeHuffman(new Uint8Array(0)), "");
});
