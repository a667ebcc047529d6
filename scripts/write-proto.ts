// Writes src/api/grpc/headscale.proto anew from the declarations: `node scripts/write-proto.ts` after changing them.
import { writeFileSync } from "node:fs";
import { protoText } from "../src/api/grpc/proto-text.ts";
import { operations } from "../src/api/operations.ts";

const calls = operations.map(({ call }) => call).filter(({ inHeadscale }) => inHeadscale);
writeFileSync(new URL("../src/api/grpc/headscale.proto", import.meta.url), protoText(calls));
