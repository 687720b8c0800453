// Keeps this page's own files, so that it works without a network from the second visit on.
const KEPT = "harness";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
    // A newer file is preferred to the one that was kept.
    const asked = async () => {
        const kept = await caches.open(KEPT);
        try {
            const fresh = await fetch(event.request);
            if (fresh.ok) await kept.put(event.request, fresh.clone());
            return fresh;
        } catch (error) {
            const known = await kept.match(event.request, { ignoreSearch: true });
            if (known) return known;
            throw error;
        }
    };
    if (new URL(event.request.url).origin === self.location.origin) event.respondWith(asked());
});
