// Runs the program of the command line, one call after another. Files are read in slices where the
// program asks for them, and nothing is sent anywhere.
import { Directory, Fd, File as Kept, Inode, PreopenDirectory, WASI, ConsoleStdout, wasi } from "./shim/index.js";

const MOST = 16 * 1024 * 1024; // bytes of one slice
const reader = new FileReaderSync();
let compiled;
let fixtures;

/** A file of the user's, which is never held as a whole outside the program. */
class Sliced extends Inode {
    constructor(file, told) {
        super();
        Object.assign(this, { file, told });
    }
    path_open(oflags) {
        const writes = oflags & (wasi.OFLAGS_TRUNC | wasi.OFLAGS_CREAT);
        return writes ? { ret: wasi.ERRNO_PERM, fd_obj: null } : { ret: 0, fd_obj: new OpenSliced(this) };
    }
    stat() {
        const stat = new wasi.Filestat(this.ino, wasi.FILETYPE_REGULAR_FILE, BigInt(this.file.size));
        stat.mtim = BigInt(this.file.lastModified) * 1000000n;
        return stat;
    }
}

class OpenSliced extends Fd {
    constructor(inode) {
        super();
        Object.assign(this, { inode, at: 0 });
    }
    fd_fdstat_get() {
        return { ret: 0, fdstat: new wasi.Fdstat(wasi.FILETYPE_REGULAR_FILE, 0) };
    }
    fd_filestat_get() {
        return { ret: 0, filestat: this.inode.stat() };
    }
    fd_pread(size, offset) {
        const { file, told } = this.inode;
        const from = Number(offset);
        const slice = file.slice(from, from + Math.min(size, MOST));
        const data = new Uint8Array(reader.readAsArrayBuffer(slice));
        told(file.name, from + data.length, file.size);
        return { ret: 0, data };
    }
    fd_read(size) {
        const read = this.fd_pread(size, this.at);
        this.at += read.data.length;
        return read;
    }
    fd_seek(offset, whence) {
        const base = [0, this.at, this.inode.file.size][whence];
        this.at = base + Number(offset);
        return { ret: 0, offset: BigInt(this.at) };
    }
    fd_tell() {
        return { ret: 0, offset: BigInt(this.at) };
    }
}

/** What the fixtures are packed in: a tar of plain files. */
const unpack = (bytes) => {
    const text = (from, length) => {
        const part = bytes.subarray(from, from + length);
        const end = part.indexOf(0);
        return new TextDecoder().decode(end < 0 ? part : part.subarray(0, end));
    };
    const root = new Map();
    for (let at = 0; at + 512 <= bytes.length && bytes[at]; ) {
        const size = parseInt(text(at + 124, 12), 8) || 0;
        const path = [text(at + 345, 155), text(at, 100)].filter((part) => part).join("/");
        if (bytes[at + 156] === 0x30) {
            const parts = path.split("/").filter((part) => part && part !== ".");
            const name = parts.pop();
            let folder = root;
            for (const part of parts) {
                if (!folder.has(part)) folder.set(part, new Map());
                folder = folder.get(part);
            }
            folder.set(name, bytes.slice(at + 512, at + 512 + size));
        }
        at += 512 + 512 * Math.ceil(size / 512);
    }
    return root;
};

const asFolder = (map) =>
    new Directory(
        [...map].map(([name, held]) => [
            name,
            held instanceof Map ? asFolder(held) : new Kept(held, { readonly: true }),
        ]),
    );

const load = async (needsFixtures) => {
    compiled ??= await WebAssembly.compileStreaming(fetch("harness.wasm"));
    if (needsFixtures && !fixtures) {
        const packed = await fetch("fixtures.tar.gz");
        const plain = packed.body.pipeThrough(new DecompressionStream("gzip"));
        fixtures = unpack(new Uint8Array(await new Response(plain).arrayBuffer()));
    }
};

// The shim takes a word's length for that of its UTF-8, which only ASCII has.
const measured = (word) => ({ length: new TextEncoder().encode(word).length, toString: () => word });

/** One call of the program: its exit code, and what it wrote to standard output and error. */
const call = async (words, files, told) => {
    const own = files.map((file, at) => [`${at}-${file.name}`, new Sliced(file, told)]);
    const root = [["files", new Directory(own)], ["tmp", new Directory(new Map())]];
    if (fixtures) root.push(["fixtures", asFolder(fixtures)]);
    const said = { 1: [], 2: [] };
    const stream = (number) => new ConsoleStdout((bytes) => said[number].push(bytes.slice()));
    const silent = new ConsoleStdout(() => {});
    const fds = [silent, stream(1), stream(2), new PreopenDirectory("/", root)];
    const program = new WASI(["harness", ...words].map(measured), ["HOME=/tmp", "TMPDIR=/tmp"], fds);
    const instance = await WebAssembly.instantiate(compiled, { wasi_snapshot_preview1: program.wasiImport });
    const code = program.start(instance);
    return { code, out: await new Blob(said[1]).text(), err: await new Blob(said[2]).text() };
};

onmessage = async ({ data: { id, words, files, needsFixtures } }) => {
    const told = (name, done, all) => postMessage({ id, reading: { name, done, all } });
    try {
        await load(needsFixtures);
        postMessage({ id, ended: await call(words, files, told) });
    } catch (error) {
        postMessage({ id, failed: String(error) });
    }
};
