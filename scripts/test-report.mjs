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

await browser.close();
