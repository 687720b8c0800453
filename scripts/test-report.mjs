// What scripts/test-report.sh does in the browser: node test-report.mjs FOLDER-FOR-FILES
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { browser, contradictions, dark, fits, harness, named, open, picture, step, walk } from "./browser.mjs";

const work = process.argv[2];

await step("a report of a run in another arithmetic", async () => {
    const [json, html] = ["r.json", "r.html"].map((name) => join(work, name));
    harness(["crossval", "--case", "b158-ishmael", "--profile", "ggml-avx2", "--json", json, "--html", html]);
    const receipt = JSON.parse(readFileSync(json));
    const page = await open(pathToFileURL(html).href);
    await page.$$eval("details", (all) => all.forEach((one) => (one.open = true)));
    const [count, wrong] = await contradictions(page, receipt);
    assert(count > 150 && wrong.length === 0, `${count}: ${wrong}`);
    const cell = "td[data-steps]";
    const coloured = await page.$$eval(cell, (all) => new Set(all.map((one) => one.className)).size);
    await page.click("input[name=metric][value='1']");
    const texts = await page.$$eval(cell, (all) => all.every((one) => one.textContent === one.dataset.texts.split(" ")[1]));
    assert(coloured > 2 && texts, `${coloured} colours; another metric, other numbers`);
    await page.click("input[name=metric][value='0']");
    await walk(page, page);
    await named(page);
    await picture(page, "report-light");
    await dark(page, "dark");
    await picture(page, "report-dark");
    await dark(page, "light");
    await page.setViewport({ width: 400, height: 800 });
    await fits(page);
    await picture(page, "report-narrow");
    // A wrong number is found: on the page, and in the receipt.
    await page.$eval("data[data-from='/coverage/nodes/compared']", (one) => (one.value += "1"));
    assert.equal((await contradictions(page, receipt))[1].length, 1, "planted on the page");
    const changed = structuredClone(receipt);
    changed.coverage.positions.compared += 1;
    assert.equal((await contradictions(page, changed))[1].length, 2, "planted in the receipt");
    await page.close();
});

await step("a trace: layer by node, and position by layer", async () => {
    const [json, html] = ["t.json", "t.html"].map((name) => join(work, name));
    const run = ["trace", "--case", "b158-ishmael", "--recording", "mar2026-b158-avx512", "--profile", "ggml-avx2"];
    harness([...run, "--json", json, "--html", html], [0, 1]);
    const [traced] = JSON.parse(readFileSync(json));
    const page = await open(pathToFileURL(html).href);
    await page.$$eval("details", (all) => all.forEach((one) => (one.open = true)));
    const [count, wrong] = await contradictions(page, [traced]);
    assert(count > 20 && wrong.length === 0, `${count}: ${wrong}`);
    const captions = await page.$$eval(".map figcaption", (all) => all.map((one) => one.textContent));
    assert(captions.some((one) => one.includes("by position")) && captions.some((one) => one.includes("Local error")), captions);
    // The cells of the map by position are the rows of the JSON: NMSE, ULP and KL.
    const cells = await page.$$eval("td[data-from*='/rows/']", (all) => all.map((one) => [one.dataset.from, one.dataset.texts.split(" "), one.getAttribute("aria-label")]));
    assert(cells.length > 10, `${cells.length} cells`);
    const short = (number) => number >= 1 && number < 1000 ? number.toFixed(0) : number > 0 ? number.toExponential(0).replace("+", "") : "0";
    let kl = 0;
    for (const [from, [nmse, ulps, divergence], said] of cells) {
        const row = from.split("/").slice(1).reduce((value, key) => value[key], [traced]);
        const shown = row.differing === 0 ? "=" : short(row.max_ulps);
        assert.equal(ulps, shown, `${from}: ${said}`);
        assert.equal(nmse, row.differing === 0 ? "=" : short(row.nmse), `${from}: ${said}`);
        kl += row.kl !== undefined && divergence !== "·";
    }
    assert(kl > 0, "the logits have a KL divergence");
    // What is clicked is told and stays while the pointer goes elsewhere.
    const map = await page.$("figure.map:has(td[data-from*='/rows/'])");
    const [one, other] = (await map.$$("td[data-steps]")).slice(-2);
    await one.click();
    await other.hover();
    const told = await map.$eval(".told", (told) => told.textContent);
    assert.equal(told, await one.evaluate((cell) => cell.getAttribute("aria-label")), "clicked");
    await map.scrollIntoView();
    await picture(page, "trace");
    await named(page);
    await page.close();
});

await browser.close();
