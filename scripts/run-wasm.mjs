// Runs a WebAssembly program with the files of this machine: node run-wasm.mjs PROGRAM.wasm [WORD…]
import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

const [program, ...words] = process.argv.slice(2);
const wasi = new WASI({
    version: "preview1",
    args: [program, ...words],
    preopens: { "/": "/" },
    returnOnExit: true,
});
const { instance } = await WebAssembly.instantiate(await readFile(program), wasi.getImportObject());
process.exitCode = wasi.start(instance);
