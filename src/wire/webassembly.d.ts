// The little of the runtime's WebAssembly that is used here: its typings come with a browser's, which this is not.
declare namespace WebAssembly {
  type Module = object;
  const Module: new (bytes: Uint8Array<ArrayBuffer>) => Module;
  interface Instance {
    readonly exports: Readonly<Record<string, unknown>>;
  }
  const Instance: new (module: Module) => Instance;
  class Memory {
    private constructor();
    readonly buffer: ArrayBuffer;
  }
}
