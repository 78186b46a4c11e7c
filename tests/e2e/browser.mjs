// What a person does in headless Chromium, and what must hold of every page; shared by the tests of the pages of both programs.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

// The packages lie outside of the sources.
export const require = createRequire(join(process.env.XKS_TEST_NODE, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const LIMIT = 30_000;
// A phone of one who wants less motion.
export const PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2, reducedMotion: "reduce" };

export async function until(what, done) {
  const end = Date.now() + LIMIT;
  for (;;) {
    const value = await done();
    if (value) return value;
    assert.ok(Date.now() < end, `waited for ${what}, in vain`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

// Opens a browser for the pages of one site: whoever looks at them has `always` besides.
export async function open(site, always = {}) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM, chromiumSandbox: false,
    args: ["--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"],
    env: { ...process.env, TMPDIR: tmpdir() },
  });
  // What should not have happened.
  const wrong = [];

  async function person(options) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...always, ...options });
    context.setDefaultTimeout(LIMIT);
    const page = await context.newPage();
    watch(page);
    return page;
  }

  function watch(page) {
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") wrong.push(`${page.url()}: ${message.text()}`);
    });
    page.on("pageerror", (error) => wrong.push(`${page.url()}: ${error}`));
    page.on("dialog", (dialog) => { wrong.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
    page.on("request", (request) => {
      const { origin } = new URL(request.url());
      if (origin !== site) wrong.push(`a request to ${request.url()}`);
    });
  }

  return { wrong, person, watch, close: () => browser.close() };
}

export const shot = (page, name, fullPage = true) => page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`), fullPage });

export async function isAccessible(page) {
  // Not added to the page, whose policy allows no foreign script.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`);
  assert.deepEqual(told, [], page.url());
}

export async function fits(page) {
  const [needed, there] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(needed <= there, `${page.url()} needs ${needed} of ${there} pixels`);
}

// By keyboard alone, from wherever the focus is.
export async function tabTo(page, selector) {
  for (let n = 0; n < 80; n += 1) {
    await page.keyboard.press("Tab");
    const [found, seen] = await page.evaluate((wanted) => {
      const active = document.activeElement;
      return [active.matches(wanted), getComputedStyle(active).outlineStyle !== "none"];
    }, selector);
    if (found) {
      assert.ok(seen, `the focus on ${selector} cannot be seen`);
      return;
    }
  }
  assert.fail(`no Tab leads to ${selector} on ${page.url()}`);
}

// A page that was loaded again has lost its mark.
export const mark = (page) => page.evaluate(() => { globalThis.marked = true; });
export const isMarked = (page) => page.evaluate(() => globalThis.marked === true);
