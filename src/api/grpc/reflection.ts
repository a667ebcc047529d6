// Answers gRPC tools that ask what is served here: names of services, and the descriptors of what they use.
import { create, toBinary } from "@bufbuild/protobuf";
import type {
  DescFile,
  DescMessage,
  DescMethod,
  DescMethodBiDiStreaming,
  DescService,
  Message,
} from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import type { ConnectRouter } from "@connectrpc/connect";
import { fieldOf } from "../message.ts";
import { reflectionService, reflectionVersions } from "./reflection-descriptors.ts";

/** Serves reflection of these services, and of reflection itself, in both of its versions. */
export function addReflection(router: ConnectRouter, services: readonly DescService[]): void {
  const own = reflectionVersions.map(reflectionService);
  const known = new Catalogue([...services, ...own]);
  for (const service of own) {
    const [method] = service.methods;
    if (!isStream(method)) {
      throw new Error("reflection must be a stream in both directions");
    }
    router.rpc(method, async function* (requests: AsyncIterable<Message>) {
      for await (const request of requests) {
        yield responseTo(request, method.output, known);
      }
    });
  }
}

function isStream(method: DescMethod | undefined): method is DescMethodBiDiStreaming {
  return method?.methodKind === "bidi_streaming";
}

function responseTo(request: Message, output: DescMessage, known: Catalogue): Message {
  const asked = fieldOf(request, "messageRequest");
  const kind = typeof asked === "object" && asked !== null ? fieldOf(asked, "case") : undefined;
  const value = typeof asked === "object" && asked !== null ? fieldOf(asked, "value") : undefined;
  const answer = known.answer(kind, value);
  if (answer === undefined) {
    throw new ConnectError("the request asks for nothing that is known", Code.InvalidArgument);
  }
  return create(output, { validHost: fieldOf(request, "host"), originalRequest: request, messageResponse: answer });
}

/** A case of `message_response`. */
type Answer =
  | { readonly case: "fileDescriptorResponse"; readonly value: { readonly fileDescriptorProto: readonly Uint8Array[] } }
  | { readonly case: "allExtensionNumbersResponse"; readonly value: { readonly baseTypeName: string } }
  | { readonly case: "listServicesResponse"; readonly value: { readonly service: readonly { name: string }[] } }
  | { readonly case: "errorResponse"; readonly value: { readonly errorCode: Code; readonly errorMessage: string } };

class Catalogue {
  readonly #services: readonly DescService[];
  readonly #byName = new Map<string, DescFile>();
  readonly #bySymbol = new Map<string, DescFile>();

  constructor(services: readonly DescService[]) {
    this.#services = services;
    for (const { file } of services) {
      for (const each of withDependencies(file)) {
        this.#byName.set(each.proto.name, each);
        symbolsOf(each).forEach((symbol) => this.#bySymbol.set(symbol, each));
      }
    }
  }

  /** Undefined when nothing that is known was asked. */
  answer(kind: unknown, value: unknown): Answer | undefined {
    switch (kind) {
      case "listServices": {
        const names = this.#services.map(({ typeName }) => typeName).toSorted();
        return { case: "listServicesResponse", value: { service: names.map((name) => ({ name })) } };
      }
      case "fileByFilename":
        return fileAnswer(this.#byName.get(String(value)), `file ${String(value)}`);
      case "fileContainingSymbol":
        return fileAnswer(this.#bySymbol.get(String(value)), `symbol ${String(value)}`);
      // Nothing here has extensions.
      case "allExtensionNumbersOfType":
        return this.#bySymbol.has(String(value))
          ? { case: "allExtensionNumbersResponse", value: { baseTypeName: String(value) } }
          : notFound(`type ${String(value)}`);
      case "fileContainingExtension":
        return notFound("extension");
      default:
        return undefined;
    }
  }
}

function notFound(what: string): Answer {
  return { case: "errorResponse", value: { errorCode: Code.NotFound, errorMessage: `${what} is not served here` } };
}

/** The file with all that it needs, so that nobody has to ask again. */
function fileAnswer(file: DescFile | undefined, what: string): Answer {
  if (file === undefined) {
    return notFound(what);
  }
  const files = withDependencies(file).map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto: files } };
}

function withDependencies(file: DescFile): readonly DescFile[] {
  return [...new Set([file, ...file.dependencies.flatMap(withDependencies)])];
}

function symbolsOf(file: DescFile): readonly string[] {
  return [...nestedTypes(file)].flatMap((type) => {
    switch (type.kind) {
      case "service":
        return [type.typeName, ...type.methods.map(({ name }) => `${type.typeName}.${name}`)];
      case "message":
        return [type.typeName, ...type.fields.map(({ name }) => `${type.typeName}.${name}`)];
      case "enum":
        return [type.typeName];
      case "extension":
        return [type.typeName];
    }
  });
}
