// The fixtures that the page in the browser holds: of every case its first recording, and nothing
// that no case asks for, since the harness refuses that. node web-fixtures.mjs FROM TO
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const [from, to] = process.argv.slice(2);
rmSync(to, { recursive: true, force: true });
const copy = (path) => {
    mkdirSync(dirname(join(to, path)), { recursive: true });
    cpSync(join(from, path), join(to, path), { recursive: true });
};

const { schema, cases } = JSON.parse(readFileSync(join(from, "cases.json"), "utf8"));
const kept = cases.filter(({ recordings }) => recordings.length)
    .map((one) => ({ ...one, recordings: one.recordings.slice(0, 1) }));
const recordings = new Set(kept.flatMap((one) => one.recordings));
const models = new Set(kept.map(({ model }) => model));

for (const name of recordings) copy(join("recordings", name));
for (const model of models) copy(model);
for (const folder of new Set([...models].map(dirname))) copy(join(folder, "checksums.txt"));
copy("known_divergences.toml");
writeFileSync(join(to, "cases.json"), JSON.stringify({ schema, cases: kept }, null, 1) + "\n");
const listed = readFileSync(join(from, "recordings/checksums.txt"), "utf8").split("\n")
    .filter((line) => recordings.has(line.split(/\s+/)[1]?.split("/")[0]));
writeFileSync(join(to, "recordings/checksums.txt"), listed.join("\n") + "\n");
