// What scripts/test-web.sh does in the browser: node test-web.mjs FOLDER-FOR-FILES
import assert from "node:assert/strict";
import { createReadStream, existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, resolve } from "node:path";

import { browser, contradictions, dark, fits, harness, named, open, picture, step, walk } from "./browser.mjs";

const work = process.argv[2];
const site = resolve("target/web");
const model = resolve("fixtures/moby-tiny/moby-tiny-b158.gguf");

const kinds = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".wasm": "application/wasm", ".gz": "application/gzip" };
const server = createServer((request, response) => {
    const path = join(site, new URL(request.url, "http://x").pathname.replace(/\/$/, "/index.html"));
    if (!path.startsWith(site) || !existsSync(path)) return void response.writeHead(404).end();
    response.writeHead(200, { "content-type": kinds[extname(path)] ?? "application/octet-stream" });
    createReadStream(path).pipe(response);
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const home = `http://127.0.0.1:${server.address().port}/`;

const cards = (page) => page.$$eval(".card h2", (all) => all.map((one) => one.textContent));
const done = (page) => page.waitForFunction(() => document.getElementById("results").dataset.done, { timeout: 300_000 });
const drop = async (page, ...files) => {
    await page.$eval("#results", (results) => delete results.dataset.done);
    await (await page.$("#files")).uploadFile(...files);
    await done(page);
};
const report = async (page) => (await page.waitForSelector("iframe")).contentFrame();

const page = await open(home, home);
await step("a sound model, dropped", async () => {
    await drop(page, model);
    assert.deepEqual(await cards(page), ["What it is", "Is it sound?", "What does it write?", "Beside bitnet.cpp"]);
    const words = await page.$eval("#results", (all) => all.textContent);
    const { model_sha256: hash, dialect } = JSON.parse(harness(["inspect", model, "--json", "-"]));
    for (const shown of [hash, dialect.reason, "bitnet-b1.58"]) assert(words.includes(shown), shown);
    assert(!words.includes("error:"), "nothing is wrong with it");
});

await step("its report holds the numbers that are computed here", async () => {
    const here = JSON.parse(harness(["crossval", "--model", model, "--kernel", "scalar", "--json", "-"]));
    const frame = await report(page);
    assert.match(await frame.$eval("h1", (one) => one.textContent), /Every bit agrees/);
    const [count, wrong] = await contradictions(frame, here);
    assert(count > 10 && wrong.length === 0, `${count}: ${wrong}`);
    await frame.$$eval("details", (all) => all.forEach((one) => (one.open = true)));
    await walk(page, frame);
    await named(frame);
    await named(page);
});

await step("pictures: light, dark, narrow", async () => {
    await page.evaluate(() => scrollTo(0, 0));
    await picture(page, "page-light");
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

await step("two files of logits, and two models", async () => {
    const files = ["ggml-avx512", "ggml-neon-fp16"].map((profile) => {
        const file = join(work, `${profile}.npy`);
        harness(["eval", "--model", model, "--prompt", "whale", "--profile", profile, "--logits", file]);
        return file;
    });
    const here = JSON.parse(harness(["compare", ...files, "--json", "-"], [0, 1]));
    await drop(page, ...files);
    const [count, wrong] = await contradictions(await report(page), here);
    assert(count > 20 && wrong.length === 0, `${count}: ${wrong}`);
    await drop(page, model, resolve("fixtures/moby-tiny/moby-tiny-bitnet.gguf"));
    assert.match(await (await report(page)).$eval("h1", (one) => one.textContent), /The models differ/);
});

await step("by keyboard alone", async () => {
    const fresh = await open(home, home);
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
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
    await page.reload();
    await page.click("#example");
    await done(page);
    assert.deepEqual((await cards(page)).at(-1), "Beside bitnet.cpp");
});

if (process.env.LARGE) {
    await step("a large model", async () => {
        await page.reload();
        await drop(page, resolve(process.env.LARGE));
        console.log((await page.$$eval(".card", (all) => all.slice(0, 3).map((one) => one.textContent.slice(0, 300)))).join("\n"));
    });
}
await browser.close();
