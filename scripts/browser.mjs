// Headless Chromium, and what is looked at in every page: its numbers, its keyboard, its names.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const puppeteer = createRequire(resolve("target/web-tools/x.js"))("puppeteer-core");

/** The program of this machine; the exit codes that are expected. */
export const harness = (words, codes = [0]) => {
    try {
        return execFileSync("target/debug/harness", words, { maxBuffer: 1 << 30, stdio: ["ignore", "pipe", "pipe"] });
    } catch (error) {
        assert(codes.includes(error.status), `harness ${words.join(" ")}: ${error.stderr}`);
        return error.stdout;
    }
};

export const browser = await puppeteer.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"],
    protocolTimeout: 700_000,
});
export const step = async (name, work) => {
    const began = Date.now();
    await work();
    console.log(`browser: ${name}, ${((Date.now() - began) / 1000).toFixed(1)} s`);
};

/** A new page at that address; every request must stay there, and no script may fail. */
export const open = async (address, home = address) => {
    const page = await browser.newPage();
    await page.setViewport({ width: 1280, height: 900 });
    page.on("request", (request) => {
        const url = request.url();
        const own = url.startsWith(home) || /^(file|data|blob|about):/.test(url);
        assert(own, `a request leaves the page: ${url}`);
    });
    page.on("pageerror", (error) => assert.fail(`a script failed: ${error}`));
    await page.goto(address);
    return page;
};

const at = (json, pointer) => pointer.split("/").slice(1).reduce((value, key) => value?.[key], json);

/** Numbers of a report that are not those of a receipt, and how many there are. */
export const contradictions = async (frame, receipt, ignored = /^\/coverage\/kernels/) => {
    const numbers = await frame.$$eval("data[data-from]", (all) => all.map((one) => [one.dataset.from, one.value]));
    const own = numbers.filter(([from]) => !ignored.test(from));
    return [own.length, own.filter(([from, value]) => Number(value) !== at(receipt, from))];
};

/** Walks a report's first map with the arrow keys, and looks at what is read out there. */
export const walk = async (page, frame) => {
    const cell = await frame.$(".map td[tabindex='0']");
    await cell.focus();
    const label = () => frame.evaluate(() => document.activeElement.getAttribute("aria-label"));
    const first = await label();
    await page.keyboard.press("ArrowRight");
    const second = await label();
    assert.match(first, /prefill position \d+, (every bit equal|NMSE)/);
    assert.notEqual(second, first, "the arrow key moves");
    await page.keyboard.press("Home");
    assert.equal(await label(), first);
    const told = await frame.$eval(".told", (told) => told.textContent);
    assert.equal(told, first, "what is read out is shown");
};

/** Everything that can be pointed at can be reached by the keyboard, and has a name. */
export const named = async (frame) => {
    const nameless = await frame.$$eval("a, button, input, summary, [tabindex], svg, iframe", (all) =>
        all.filter((one) => {
            const label = one.labels?.length ? one.labels[0].textContent : "";
            const name = one.getAttribute("aria-label") || one.title || one.textContent.trim() || label;
            return !name && !one.closest("[hidden]");
        }).map((one) => one.outerHTML.slice(0, 80)));
    assert.deepEqual(nameless, [], "without a name");
    const headless = await frame.$$eval("table", (all) => all.filter((one) => !one.querySelector("th")).length);
    assert.equal(headless, 0, "tables without headings");
};

export const fits = async (page) => {
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert(wide <= 0, `${wide} pixels too wide`);
};

export const picture = async (page, name) => {
    if (!process.env.PICTURES) return;
    mkdirSync(process.env.PICTURES, { recursive: true });
    await page.screenshot({ path: join(process.env.PICTURES, `${name}.png`) });
};

export const dark = (page, value) => page.emulateMediaFeatures([{ name: "prefers-color-scheme", value }]);
