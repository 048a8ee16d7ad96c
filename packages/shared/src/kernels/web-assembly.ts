/**
 * The part of WebAssembly's JavaScript interface that Lockstep uses. TypeScript declares it only together with the
 * browser's types, which would put `window` and `document` into scope everywhere.
 */

/** A shared WebAssembly memory. It can be posted to other threads. */
export interface WasmMemory {
  /** Grows with the memory: a new object then, the old one stays valid for its length. */
  readonly buffer: SharedArrayBuffer
  /** @returns pages before */
  grow(pages: number): number
}

/** A compiled module; opaque. */
export interface WasmModule {
  readonly [Symbol.toStringTag]: string
}

interface WasmInstance {
  readonly exports: Readonly<Record<string, unknown>>
}

interface WasmNamespace {
  readonly Memory: new (descriptor: { initial: number; maximum: number; shared: true }) => WasmMemory
  readonly Module: new (bytes: Uint8Array) => WasmModule
  readonly Instance: new (module: WasmModule, imports: Record<string, Record<string, unknown>>) => WasmInstance
}

export const wasm = (globalThis as unknown as { readonly WebAssembly: WasmNamespace }).WebAssembly
