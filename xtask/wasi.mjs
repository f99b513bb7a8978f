// Runs a WebAssembly program with its arguments in Node: `node xtask/wasi.mjs PROGRAM [ARGUMENT...]`.
// Cargo calls it for the tests of `cargo xtask wasm`.
import { readFile } from "node:fs/promises";
import process, { argv, env } from "node:process";
import { WASI } from "node:wasi";

const [program, ...rest] = argv.slice(2);
const wasi = new WASI({ version: "preview1", args: [program, ...rest], env, returnOnExit: true, preopens: { "/": "/" } });
const module = await WebAssembly.compile(await readFile(program));
const imports = wasi.getImportObject();
// Older C libraries leave the functions of threads to the host. There are none: each is refused (ENOTSUP).
imports.env = {};
for (const { module: from, name } of WebAssembly.Module.imports(module)) {
  if (from === "env") imports.env[name] = () => 58;
}
process.exitCode = wasi.start(await WebAssembly.instantiate(module, imports));
