// The page: takes files, asks the worker, and shows what the program says.

const element = (id) => document.getElementById(id);
const [results, work, doing, progress] = ["results", "work", "doing", "progress"].map(element);
let worker;
let calls = 0;
let running = 0; // grows with every new question: what an older one still says is not shown

const make = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
};

/** Asks the program: its words, as they are typed behind `harness`. */
const ask = (sentence, words, files = [], needsFixtures = false) =>
    new Promise((resolve, reject) => {
        worker ??= new Worker("worker.js", { type: "module" });
        const id = ++calls;
        const began = performance.now();
        work.hidden = false;
        doing.textContent = sentence;
        progress.removeAttribute("value");
        worker.onerror = (event) => reject(new Error(event.message || "the worker failed"));
        worker.onmessage = ({ data }) => {
            if (data.id !== id) return;
            if (data.reading) {
                const { name, done, all } = data.reading;
                progress.value = done / all;
                doing.textContent = `${sentence}: ${name}, ${megabytes(done)} of ${megabytes(all)}`;
                if (done >= all) progress.removeAttribute("value");
                return;
            }
            work.hidden = true;
            if (data.failed) return reject(new Error(data.failed));
            resolve({ ...data.ended, seconds: (performance.now() - began) / 1000 });
        };
        worker.postMessage({ id, words, files, needsFixtures });
    });

const megabytes = (bytes) =>
    bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toLocaleString("en", { maximumFractionDigits: 1 })} MB`;

const card = (heading, said, tone, ...children) => {
    const took = said && make("span", { class: "took" }, `${said.seconds.toFixed(1)} s`);
    const made = make("section", { class: "card", "aria-label": heading }, took, make("h2", { class: tone ?? "" }, heading), ...children);
    results.append(made);
    return made;
};

const facts = (pairs) =>
    make("dl", {}, ...pairs.filter(([, fact]) => fact !== undefined && fact !== null && fact !== "")
        .map(([name, fact]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(fact)))));

const table = (columns, rows) =>
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": columns.join(", ") },
        make("table", {},
            make("thead", {}, make("tr", {}, ...columns.map((name) => make("th", { scope: "col" }, name)))),
            make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((value) =>
                make("td", { class: typeof value === "number" ? "number" : "long" },
                    typeof value === "number" ? value.toLocaleString("en") : String(value))))))));

/** The JSON of an answer, or a card that says why there is none. */
const answer = (heading, said) => {
    try {
        const json = JSON.parse(said.out);
        if (!json.error) return json;
    } catch {
        // Without JSON the program said why on standard error.
    }
    card(`${heading}: refused`, said, "bad", make("pre", {}, said.err || said.out || `it ended with ${said.code}`));
    return null;
};

const inspected = (said) => {
    const json = answer("What it is", said);
    if (!json) return;
    const key = (end) => json.metadata.find(({ key }) => key.endsWith(end))?.value;
    const kinds = new Map();
    for (const { type } of json.tensors ?? []) kinds.set(type, (kinds.get(type) ?? 0) + 1);
    card("What it is", said, "",
        facts([
            ["name", key("general.name")],
            ["architecture", key("general.architecture")],
            ["written for", json.dialect?.name],
            ["because", json.dialect?.reason],
            ["size", megabytes(json.bytes)],
            ["layers", key(".block_count")],
            ["width", key(".embedding_length")],
            ["context", key(".context_length")],
            ["vocabulary", key(".vocab_size")],
            ["tensors", [...kinds].map(([type, count]) => `${count} × ${type}`).join(", ") || json.gguf?.tensors],
            ["SHA-256", json.model_sha256],
        ]),
        make("details", {}, make("summary", {}, `${json.metadata.length} keys`),
            table(["key", "type", "value"], json.metadata.map(({ key, type, value }) =>
                [key, type, typeof value === "string" ? value : JSON.stringify(value)]))));
};

const findings = (heading, said, list, verdict) => {
    const worst = list.some(({ severity }) => severity === "error") ? "bad"
        : list.some(({ severity }) => severity === "warning") ? "open" : "good";
    card(heading, said, worst, make("p", {}, verdict),
        make("ul", { class: "findings" }, ...list.map(({ name, severity, means, detail, subjects = [], next_step }) => {
            const [first, ...more] = subjects;
            const where = first && (more.length ? `${first} and ${more.length} more` : first);
            return make("li", { class: severity },
                make("p", {}, make("strong", {}, `${severity}: ${name}`), where ? make("span", { class: "note" }, ` in ${where}`) : null),
                make("p", {}, means), make("p", { class: "note" }, detail),
                next_step ? make("p", {}, `Next: ${next_step}`) : null);
        })));
};

const counted = (list) => {
    const of = (severity) => list.filter((one) => one.severity === severity).length;
    const words = [["error", of("error")], ["warning", of("warning")], ["note", of("note")]]
        .filter(([, count]) => count).map(([name, count]) => `${count} ${name}${count > 1 ? "s" : ""}`);
    return words.join(", ") || "Nothing is wrong that can be seen in the file.";
};

const checked = (said) => {
    const json = answer("Is it sound?", said);
    if (json) findings("Is it sound?", said, json.findings, counted(json.findings));
};

const examined = (said) => {
    const json = answer("What does it write?", said);
    if (!json) return;
    const { word_order: order, mends } = json.file ?? {};
    const own = (json.file?.findings ?? []).filter(({ severity }) => severity !== "note");
    // Where text surprises it more than chance, it is not shuffled as well.
    const other = () => (order.shuffled === null ? `chance by ${Math.log(order.vocab_size).toFixed(2)}` : `shuffled by ${order.shuffled.toFixed(2)}`);
    const text = order
        ? `Text as it is written surprises it by ${order.written.toFixed(2)} nats a token, ${other()}.`
        : "Nothing could be computed with it.";
    const mended = mends?.better ? ` A change makes it better: ${JSON.stringify(mends.better)}.` : mends ? ` None of ${mends.tried} known mends makes it better.` : "";
    findings("What does it write?", said, own, text + mended);
};

const paged = (heading, said) => {
    if (!said.out.startsWith("<!")) return void answer(heading, said);
    const made = card(heading, said, "", make("p", { class: "note" }, said.err.trim()));
    made.classList.add("frame");
    const frame = make("iframe", { title: heading, sandbox: "allow-scripts", srcdoc: said.out });
    made.append(frame);
    const kept = new Blob([said.out], { type: "text/html" });
    made.querySelector("h2").after(make("p", {}, make("a", { href: URL.createObjectURL(kept), download: "report.html" }, "Keep the report")));
};

/** The questions of a run, one after another; a new run lets the old one go. */
const run = async (questions) => {
    stop();
    results.replaceChildren();
    const own = ++running;
    for (const [sentence, shown, words, files, needsFixtures, wanted] of questions) {
        if (wanted && !wanted()) continue;
        try {
            const said = await ask(sentence, words, files, needsFixtures);
            if (own !== running) return;
            shown(said);
        } catch (error) {
            if (own !== running) return;
            work.hidden = true;
            card(`${sentence}: failed`, null, "bad", make("pre", {}, String(error)));
            end(); // what is left of the program is not trusted
        }
    }
    if (own === running) results.dataset.done = own;
};

const end = () => {
    worker?.terminate();
    worker = undefined;
};

const stop = () => {
    end();
    running += 1;
    work.hidden = true;
};

const prompt = () => element("prompt").value || "Call me Ishmael.";

const looks = (path, files, needsFixtures) => [
    ["Reading the file", inspected, ["inspect", path, "--json", "-"], files, needsFixtures],
    ["Checking every tensor", checked, ["check", path, "--json", "-"], files, needsFixtures],
    ["Computing with it", examined, ["doctor", path, "--json", "-"], files, needsFixtures],
];

const judged = (words) => [
    "Judging the engine", (said) => paged("Beside bitnet.cpp", said),
    ["crossval", "--fixtures", "/fixtures", ...words, "--html", "-"], [], true,
];

const take = (files) => {
    const paths = files.map((file, at) => `/files/${at}-${file.name}`);
    if (files.length === 1 && files[0].name.endsWith(".gguf")) {
        const chosen = ["crossval", "--fixtures", "/fixtures", "--model", paths[0]];
        // Without a recording it would be judged by itself, for hours if it is large.
        let recorded = true;
        const looked = (said) => {
            recorded = said.code !== 0 || /^(?!ad-hoc-|case )./m.test(said.out);
            if (recorded) return;
            const own = make("pre", {}, `harness crossval ${files[0].name} --reference bitnet`);
            card("Beside bitnet.cpp", said, "open", make("p", {}, "Nobody recorded what bitnet.cpp computes with this model, and no C++ runs in a page. On a machine of yours, this asks it:"), own);
        };
        const [sentence, shown, words] = judged(["--model", paths[0]]);
        return run([
            ...looks(paths[0], files, false),
            ["Looking for recordings", looked, [...chosen, "--list"], files, true],
            [sentence, shown, words, files, true, () => recorded],
        ]);
    }
    if (files.length === 2) {
        const computes = files.every((file) => file.name.endsWith(".gguf")) ? ["--prompt", prompt()] : [];
        return run([["Comparing", (said) => paged("What sets them apart", said), ["compare", ...paths, ...computes, "--html", "-"], files, false]]);
    }
    results.replaceChildren();
    return void card("One GGUF file, or two files to compare", null, "open", make("p", {}, "A single file of logits says nothing alone."));
};

const drop = element("drop");
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
        event.preventDefault();
        drop.classList.toggle("over", kind === "dragenter" || kind === "dragover");
    });
}
document.addEventListener("drop", (event) => event.dataTransfer.files.length && take([...event.dataTransfer.files]));
element("files").addEventListener("change", ({ target }) => target.files.length && take([...target.files]));
element("form").addEventListener("submit", (event) => event.preventDefault());
element("stop").addEventListener("click", () => {
    stop();
    card("Stopped", null, "open");
});
element("example").addEventListener("click", () => {
    const path = "/fixtures/moby-tiny/moby-tiny-b158.gguf";
    run([...looks(path, [], true), judged(["--case", "b158-ishmael"])]);
});
element("crossval").addEventListener("click", () => run([judged([])]));

// Works without a network from the second visit on.
if ("serviceWorker" in navigator) navigator.serviceWorker.register("offline.js");
