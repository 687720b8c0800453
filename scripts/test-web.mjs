// What scripts/test-web.sh does in the browser: node test-web.mjs FOLDER-FOR-FILES
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, cpSync, createReadStream, existsSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, resolve } from "node:path";

import { browser, contradictions, dark, fits, harness, named, open, picture, step, walk } from "./browser.mjs";

const work = process.argv[2];
const site = resolve("target/web");
const fixtures = resolve("target/web-fixtures");
const model = resolve("fixtures/moby-tiny/moby-tiny-b158.gguf");

const kinds = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".wasm": "application/wasm", ".gz": "application/gzip" };
/** Hands the page out; files named in `others` from there. */
const serve = async (others = {}) => {
    const server = createServer((request, response) => {
        const name = new URL(request.url, "http://x").pathname.replace(/\/$/, "/index.html");
        const path = others[name] ?? join(site, name);
        if (!existsSync(path)) return void response.writeHead(404).end();
        response.writeHead(200, { "content-type": kinds[extname(path)] ?? "application/octet-stream" });
        createReadStream(path).pipe(response);
    });
    await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
    const stop = () => {
        server.closeAllConnections();
        return new Promise((closed) => server.close(closed));
    };
    return { home: `http://127.0.0.1:${server.address().port}/`, stop };
};
const { home, stop } = await serve();

const cards = (page) => page.$$eval(".card h2", (all) => all.map((one) => one.textContent));
const done = (page) => page.waitForFunction(() => document.getElementById("results").dataset.done, { timeout: 600_000 });
const answered = async (page, asking) => {
    await page.$eval("#results", (results) => delete results.dataset.done);
    await asking();
    await done(page);
};
/** Chooses files; `letGo` lets them go above the page, as a hand does. */
const drop = (page, ...files) => answered(page, async () => (await page.$("#files")).uploadFile(...files));
const letGo = (page, ...files) => answered(page, async () => {
    const hand = await page.createCDPSession();
    const { x, y } = await page.$eval("#drop", (place) => place.getBoundingClientRect().toJSON());
    const data = { items: [], files, dragOperationsMask: 1 };
    for (const type of ["dragEnter", "dragOver", "drop"]) {
        await hand.send("Input.dispatchDragEvent", { type, x: x + 20, y: y + 20, data });
        const over = await page.$eval("#drop", (place) => place.classList.contains("over"));
        assert.equal(over, type !== "drop", `${type}: the place shows that it takes files`);
    }
    await hand.detach();
});
const report = async (page) => (await page.waitForSelector("iframe")).contentFrame();

/** Megabytes that the largest process below that one ever held. */
const most = (root) => {
    const held = (process) => {
        const status = readFileSync(`/proc/${process}/status`, "utf8");
        const number = (field) => Number(new RegExp(`${field}:\\s*(\\d+)`).exec(status)?.[1] ?? 0);
        return { process, parent: number("PPid"), megabytes: Math.round(number("VmHWM") / 1e3) };
    };
    const all = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((name) => {
        try {
            return [held(Number(name))];
        } catch {
            return []; // it has ended
        }
    });
    const below = (process) => [process, ...all.filter(({ parent }) => parent === process).flatMap((one) => below(one.process))];
    const own = new Set(below(root));
    return Math.max(...all.filter(({ process }) => own.has(process)).map(({ megabytes }) => megabytes));
};

/** The fixtures with one bit of one logit changed; what it returns makes their hashes fit that. */
const plant = (folder) => {
    cpSync(fixtures, folder, { recursive: true });
    const at = (name) => join(folder, "recordings", name);
    const hash = (name) => createHash("sha256").update(readFileSync(at(name))).digest("hex");
    const swap = (name, old, fresh) => writeFileSync(at(name), readFileSync(at(name), "utf8").replace(old, fresh));
    const [logits, manifest] = ["logits.safetensors", "recording.json"].map((name) => `mar2026-b158-avx512/${name}`);
    const old = [logits, manifest].map(hash);
    const bytes = readFileSync(at(logits));
    const header = Number(bytes.readBigUInt64LE());
    const { "case0.prefill": first } = JSON.parse(bytes.subarray(8, 8 + header));
    bytes[8 + header + first.data_offsets[0]] ^= 1;
    writeFileSync(at(logits), bytes);
    return () => {
        swap(manifest, old[0], hash(logits));
        swap("checksums.txt", old[1], hash(manifest));
    };
};

const page = await open(home);
await step("a sound model, dropped", async () => {
    await letGo(page, model);
    assert.deepEqual(await cards(page), ["What it is", "Is it sound?", "What does it write?", "Beside bitnet.cpp"]);
    const words = await page.$eval("#results", (all) => all.textContent);
    const { model_sha256: hash, dialect } = JSON.parse(harness(["inspect", model, "--json", "-"]));
    for (const shown of [hash, dialect.reason, "bitnet-b1.58"]) assert(words.includes(shown), shown);
    assert(!words.includes("error:"), "nothing is wrong with it");
});

await step("its report holds the numbers that are computed here", async () => {
    const own = ["crossval", "--fixtures", fixtures, "--model", model, "--json", "-"];
    const here = JSON.parse(harness(own));
    const frame = await report(page);
    assert.match(await frame.$eval("h1", (one) => one.textContent), /Every bit agrees/);
    const [count, wrong] = await contradictions(frame, here);
    assert(count > 10 && wrong.length === 0, `${count}: ${wrong}`);
    here.coverage.positions.compared += 1;
    assert.equal((await contradictions(frame, here))[1].length, 1, "planted here");
    await frame.$$eval("details", (all) => all.forEach((one) => (one.open = true)));
    await walk(page, frame);
    await named(frame);
    await named(page);
});

await step("every recording of the page, by its button", async () => {
    const fresh = await open(home);
    await answered(fresh, () => fresh.click("#crossval"));
    assert.deepEqual(await cards(fresh), ["Beside bitnet.cpp"]);
    const here = JSON.parse(harness(["crossval", "--fixtures", fixtures, "--json", "-"]));
    const frame = await report(fresh);
    assert.match(await frame.$eval("h1", (one) => one.textContent), /Every bit agrees/);
    const [count, wrong] = await contradictions(frame, here);
    assert(count > 100 && wrong.length === 0, `${count}: ${wrong}`);
    here.coverage.positions.compared += 1;
    assert((await contradictions(frame, here))[1].length > 0, "planted here");
    await fresh.close();
});

await step("pictures: light, dark, narrow", async () => {
    await page.evaluate(() => scrollTo(0, 0));
    await picture(page, "page-light");
    if (process.env.README) await page.screenshot({ path: "web/page.png" });
    const { size } = statSync("web/page.png");
    assert(size <= 200_000, `README's picture has ${size} bytes`);
    await dark(page, "dark");
    await picture(page, "page-dark");
    await page.setViewport({ width: 400, height: 800 });
    await fits(page);
    await picture(page, "page-narrow");
    await dark(page, "light");
    await page.setViewport({ width: 1280, height: 900 });
});

await step("a damaged model", async () => {
    const bytes = readFileSync(model);
    bytes[900_000] = 0xff;
    const damaged = join(work, "damaged.gguf");
    writeFileSync(damaged, bytes);
    const found = JSON.parse(harness(["check", damaged, "--json", "-"], [0, 1])).findings;
    const worst = found.find(({ severity }) => severity === "error");
    await drop(page, damaged);
    const words = await page.$eval("#results", (all) => all.textContent);
    assert(words.includes(`error: ${worst.name}`) && words.includes(worst.means), worst.name);
    const cut = join(work, "cut.gguf");
    writeFileSync(cut, bytes.subarray(0, 20_000));
    await drop(page, cut);
    assert((await cards(page))[0].includes("refused"));
});

await step("one wrong bit of a recording", async () => {
    const [planted, packed] = [join(work, "planted"), join(work, "planted.tar.gz")];
    const hashes = plant(planted);
    execFileSync("tar", ["-czf", packed, "--format=ustar", "-C", planted, "."]);
    const other = await serve({ "/fixtures.tar.gz": packed });
    const fresh = await open(other.home);
    const judge = async () => {
        await fresh.click("#example");
        await done(fresh);
        return (await cards(fresh)).at(-1);
    };
    assert.equal(await judge(), "Beside bitnet.cpp: refused");
    hashes();
    execFileSync("tar", ["-czf", packed, "--format=ustar", "-C", planted, "."]);
    await fresh.reload();
    assert.equal(await judge(), "Beside bitnet.cpp");
    assert.doesNotMatch(await (await report(fresh)).$eval("h1", (one) => one.textContent), /Every bit agrees/);
    await fresh.close();
    await other.stop();
});

await step("two files of logits, and two models", async () => {
    const files = ["ggml-avx512", "ggml-neon-fp16"].map((profile) => {
        const file = join(work, `${profile}.npy`);
        harness(["eval", "--model", model, "--prompt", "whale", "--profile", profile, "--logits", file]);
        return file;
    });
    const here = JSON.parse(harness(["compare", ...files, "--json", "-"], [0, 1]));
    await drop(page, ...files);
    const [count, wrong] = await contradictions(await report(page), here);
    assert(count > 10 && wrong.length === 0, `${count}: ${wrong}`);
    await drop(page, model, resolve("fixtures/moby-tiny/moby-tiny-bitnet.gguf"));
    assert.match(await (await report(page)).$eval("h1", (one) => one.textContent), /The models differ/);
});

await step("a name beyond ASCII", async () => {
    const strange = join(work, "белый кит 🐋.gguf");
    copyFileSync(model, strange);
    await drop(page, strange);
    assert.deepEqual(await cards(page), ["What it is", "Is it sound?", "What does it write?", "Beside bitnet.cpp"]);
});

await step("by keyboard alone", async () => {
    const fresh = await open(home);
    const reached = [];
    for (let press = 0; press < 4; press += 1) {
        await fresh.keyboard.press("Tab");
        reached.push(await fresh.evaluate(() => document.activeElement.id));
    }
    assert.deepEqual(reached, ["files", "prompt", "example", "crossval"]);
    await fresh.focus("#example");
    await fresh.keyboard.press("Enter");
    await done(fresh);
    assert.equal((await cards(fresh)).length, 4);
    await fresh.close();
});

await step("without a network", async () => {
    await page.reload();
    await page.waitForFunction(() => navigator.serviceWorker.controller);
    await page.click("#example");
    await done(page);
    await stop();
    await page.reload();
    await page.click("#example");
    await done(page);
    assert.deepEqual((await cards(page)).at(-1), "Beside bitnet.cpp");
});

if (process.env.LARGE) {
    await step("a large model", async () => {
        const file = resolve(process.env.LARGE);
        const fresh = await open(home);
        await letGo(fresh, file);
        const took = await fresh.$$eval(".card", (all) => all.map((one) =>
            `${one.querySelector("h2").textContent} ${one.querySelector(".took")?.textContent}`));
        console.log(`${statSync(file).size} bytes: ${took.join("; ")}; at most ${most(browser.process().pid)} MB`);
        const words = await fresh.$eval("#results", (all) => all.textContent);
        const { model_sha256: hash } = JSON.parse(harness(["inspect", file, "--json", "-"]));
        assert(words.includes(hash), "every byte was read");
        assert(!words.includes(": failed"), words);
        assert(words.includes("Nobody recorded"), "it is not judged by itself");
        await fresh.close();
    });
}
await browser.close();
