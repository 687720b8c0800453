"use strict";
// The page is whole without this: it adds other metrics to the maps, the arrow keys, and the words
// of the cell under the pointer.
(() => {
    const all = (selector, from = document) => [...from.querySelectorAll(selector)];

    const colour = (metric) => {
        for (const cell of all("td[data-steps]")) {
            cell.className = "l" + cell.dataset.steps.split(" ")[metric];
            cell.textContent = cell.dataset.texts.split(" ")[metric];
        }
        for (const scale of all(".scale")) scale.hidden = scale.dataset.metric !== String(metric);
    };
    for (const choice of all("input[name=metric]")) {
        choice.addEventListener("change", () => colour(Number(choice.value)));
    }

    for (const map of all(".map")) {
        const rows = all("tbody tr", map).map((row) => all("td", row));
        const told = map.querySelector(".told");
        const first = all("td[data-steps]", map)[0];
        if (first) first.tabIndex = 0;
        const tell = (cell) => {
            told.textContent = cell.getAttribute("aria-label");
            told.classList.add("here");
        };
        const go = (cell) => {
            for (const other of all("td[tabindex='0']", map)) other.tabIndex = -1;
            cell.tabIndex = 0;
            cell.focus();
        };
        const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
        map.addEventListener("keydown", (event) => {
            let y = rows.findIndex((row) => row.includes(event.target));
            if (y < 0) return;
            let x = rows[y].indexOf(event.target);
            const filled = rows[y].filter((cell) => cell.dataset.steps);
            if (event.key === "Home" || event.key === "End") {
                event.preventDefault();
                go(filled.at(event.key === "Home" ? 0 : -1));
                return;
            }
            if (!steps[event.key]) return;
            event.preventDefault();
            const [down, right] = steps[event.key];
            do {
                y += down;
                x += right;
            } while (rows[y]?.[x] && !rows[y][x].dataset.steps);
            if (rows[y]?.[x]) go(rows[y][x]);
        });
        for (const kind of ["mouseover", "focusin"]) {
            map.addEventListener(kind, (event) => {
                const cell = event.target.closest("td[data-steps]");
                const held = map.contains(document.activeElement) && kind === "mouseover";
                const pinned = held && document.activeElement.dataset.steps;
                if (cell && !pinned) tell(cell);
            });
        }
        map.addEventListener("click", (event) => {
            const cell = event.target.closest("td[data-steps]");
            if (cell) go(cell);
        });
    }

    const open = () => {
        const target = document.getElementById(location.hash.slice(1));
        if (target?.matches("details")) target.open = true;
        target?.scrollIntoView();
    };
    addEventListener("hashchange", open);
    if (location.hash) open();
})();
