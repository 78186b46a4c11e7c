// A person at the status page of the proxy: logs in, looks, finds, by keyboard, on a phone, in the dark and without a
// script. Run by browser.rs, which says where everything is.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { PHONE, fits, isAccessible, isMarked, mark, open, shot, tabTo, until } from "../browser.mjs";

const site = process.env.SITE;
const world = JSON.parse(process.env.WORLD);
const xksProxy = (...command) => execFileSync(world.program, [...command, "--config", world.config], { encoding: "utf8" });
// The certificate is one of a CA that no browser knows.
const httpCredentials = { username: "alice", password: process.env.TOKEN, origin: site };
const { wrong, person, close } = await open(site, { ignoreHTTPSErrors: true, httpCredentials });

try {
  // Who has no token sees nothing.
  const stranger = await person({ httpCredentials: undefined });
  const refused = await stranger.goto(`${site}/status`).catch((error) => error);
  assert.ok(refused instanceof Error || refused.status() === 401, "a stranger is let in");
  await stranger.context().close();
  wrong.splice(0);

  // The overview.
  const page = await person();
  await page.goto(site);
  assert.equal(page.url(), `${site}/status`);
  await page.waitForSelector("#state-embedded:text-is('ACTIVE')");
  await page.waitForSelector("#live .state[data-state=live]");
  const text = await page.textContent("main");
  for (const told of ["42 requests in the last hour", "2 of them not served", "no-data-keys", world.principal, "KeyNotFoundException", "transit"]) {
    assert.ok(text.includes(told), `no ${told} in ${text}`);
  }
  const label = await page.getAttribute("svg.plot >> nth=0", "aria-label");
  assert.match(label, /^The last 1 hour: 42 requests, 2 of them failed, the 99th percentile of the slowest minute was [0-9.]+ (µs|ms)\.$/);
  assert.equal(await page.locator("main img, main script").count(), 0);
  await isAccessible(page);
  await shot(page, "overview");

  // It stays up to date by itself, and tells who listens.
  await mark(page);
  xksProxy("block", "/tenant-b", "--reason", "a drill");
  await page.waitForSelector("#summary .problem:has-text('1 block is in force')");
  await page.waitForSelector("#key-stores .badge:text-is('BLOCKED')");
  assert.ok(await isMarked(page), "the page was loaded again");
  await shot(page, "blocked");
  xksProxy("unblock", "/tenant-b");
  await page.waitForFunction(() => !document.querySelector("#key-stores .badge"));
  assert.ok(await isMarked(page), "the page was loaded again");

  // Paused, it stands still.
  await page.click("#pause");
  const asOf = () => page.textContent("#summary time");
  const stands = await asOf();
  await page.waitForTimeout(6_000);
  assert.equal(await asOf(), stands);
  await page.click("#pause");
  await until("the page to go on", async () => (await asOf()) !== stands);

  // By keyboard: to a key store, what happened there, and to its keys.
  await page.goto(`${site}/status`);
  await tabTo(page, ".skip");
  await tabTo(page, "#key-stores a[href='/status/store?prefix=%2Ftenant-a']");
  // The focus stays where it is while the page is brought up to date.
  const before = await page.textContent("#summary time");
  await until("another look", async () => (await page.textContent("#summary time")) !== before);
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "/tenant-a");
  await page.keyboard.press("Enter");
  await page.waitForSelector("h1:text-is('/tenant-a')");
  const store = await page.textContent("main");
  for (const told of ["AccessDeniedException", "1 rule allows and 1 denies", "Encrypt", "99.9 %", "no-data-keys"]) {
    assert.ok(store.includes(told), `no ${told} in ${store}`);
  }
  await isAccessible(page);
  await shot(page, "store");
  await tabTo(page, "a[href='/status/keys?prefix=%2Ftenant-a']");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#keys tbody tr");
  assert.equal(await page.locator("#keys tbody tr").count(), 50);
  await isAccessible(page);
  await shot(page, "keys", false);
  // After a hundred others.
  await page.focus("a[rel=next]");
  await page.keyboard.press("Enter");
  await page.waitForURL("**after_key=**");
  assert.equal(await page.locator("#keys tbody tr").count(), 11);
  await page.fill("input[name=key]", "payr");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#keys b:text-is('payroll')");
  assert.equal(await page.locator("#keys tbody tr").count(), 1);
  await page.click("#versions-embedded-payroll summary");
  const versions = await page.textContent("#versions-embedded-payroll");
  assert.ok(versions.includes("2: encrypts and decrypts") && versions.includes("1: decrypts"), versions);
  await isAccessible(page);
  await page.click("nav a:text-is('Denials')");
  await page.waitForSelector("#denials .result.bad:text-is('no-data-keys')");
  await isAccessible(page);
  await shot(page, "denials");
  await page.fill("input[name=store]", "tenant-b");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#denials .empty");
  await page.context().close();

  // Everything is there without a script, in the dark, and on a phone.
  const still = await person({ javaScriptEnabled: false });
  const night = await person({ colorScheme: "dark" });
  const phone = await person(PHONE);
  for (const [name, path] of [
    ["overview", "/status"], ["store", "/status/store?prefix=%2Ftenant-a"], ["keys", "/status/keys"],
    ["denials", "/status/denials"],
  ]) {
    await still.goto(site + path);
    assert.ok((await still.locator("table tbody tr").count()) > 0, path);
    await night.goto(site + path);
    await isAccessible(night);
    await shot(night, `${name}-dark`);
    await phone.goto(site + path);
    await phone.evaluate(() => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
    await fits(phone);
    await shot(phone, `${name}-phone`, false);
  }
  assert.deepEqual(wrong, []);

  if (process.env.PICTURE) {
    const picture = await person({ viewport: { width: 1180, height: 860 } });
    await picture.goto(`${site}/status`);
    await picture.waitForSelector("#live .state[data-state=live]");
    await picture.screenshot({ path: process.env.PICTURE });
  }
} finally {
  await close();
}
