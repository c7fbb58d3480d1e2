import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// The build is committed where the server looks for it. No inline script, style or data address may come out of it:
// the server sends a content security policy that refuses them.
export default defineConfig({
  plugins: [svelte()],
  build: {
    outDir: "../src/seawall/server/static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
  },
  server: { proxy: { "/api": "http://127.0.0.1:8900" } },
});
