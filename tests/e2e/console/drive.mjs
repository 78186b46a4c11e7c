// A person at the console: looks, disconnects by keyboard, connects, switches faults on, on a screen, on a phone and
// without a script. Run by console.rs, which says where everything is.

import assert from "node:assert/strict";
import { PHONE, fits, isAccessible, isMarked, mark, open, require, shot, tabTo, until } from "../browser.mjs";

const sdk = require("@aws-sdk/client-kms");

const stage = JSON.parse(process.env.STAGE);
const site = process.env.CONSOLE;
// What people may type as a name; none of it may become anything but text.
const HOSTILE = `EU <script>alert(1)</script> & "payments" '<img src=x onerror=alert(2)>`;

const kms = new sdk.KMSClient({
  endpoint: stage.kms_endpoint_url, region: stage.region, maxAttempts: 1,
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
});
const call = (operation, input) => kms.send(new sdk[`${operation}Command`](input));
const exception = (operation, input) => call(operation, input).then(() => "none", (error) => error.name);

async function control(method, path, body) {
  const answer = await fetch(`${site}/control/v1${path}`, {
    method, body: body && JSON.stringify(body), headers: { "content-type": "application/json" },
  });
  assert.equal(answer.status, 200, `${method} ${path}`);
  return answer.json();
}

// --- What there is to look at -----------------------------------------------------------------------------------

async function connect(store) {
  await call("ConnectCustomKeyStore", { CustomKeyStoreId: store });
  await until("CONNECTED", async () => (await state(store)) === "CONNECTED");
}

async function state(store) {
  const { CustomKeyStores: [found] } = await call("DescribeCustomKeyStores", { CustomKeyStoreId: store });
  return found.ConnectionState;
}

const { CustomKeyStoreId: external } = await call("CreateCustomKeyStore", {
  CustomKeyStoreName: HOSTILE, CustomKeyStoreType: "EXTERNAL_KEY_STORE", XksProxyConnectivity: "PUBLIC_ENDPOINT",
  XksProxyUriEndpoint: stage.proxy_uri_endpoint, XksProxyUriPath: stage.proxy_uri_path,
  XksProxyAuthenticationCredential: { AccessKeyId: stage.access_key_id, RawSecretAccessKey: stage.secret_access_key },
});
await connect(external);
const { KeyMetadata: { KeyId: key } } = await call("CreateKey", {
  Origin: "EXTERNAL_KEY_STORE", CustomKeyStoreId: external, XksKeyId: stage.external_key_id, Description: HOSTILE,
  Tags: [{ TagKey: "Team", TagValue: HOSTILE.replace(/[^A-Za-z0-9 ]/g, "") }],
});
await call("CreateAlias", { AliasName: "alias/payments/eu", TargetKeyId: key });
const cluster = await control("POST", "/cloudhsm/clusters", {});
const { CustomKeyStoreId: hardware } = await call("CreateCustomKeyStore", {
  CustomKeyStoreName: "Hardware", CustomKeyStoreType: "AWS_CLOUDHSM", CloudHsmClusterId: cluster.ClusterId,
  TrustAnchorCertificate: cluster.TrustAnchorCertificate, KeyStorePassword: cluster.KeyStorePassword,
});
await connect(hardware);
for (let n = 0; n < 3; n += 1) await call("CreateKey", { Origin: "AWS_CLOUDHSM", CustomKeyStoreId: hardware });
const plain = (await call("CreateKey", { Description: "A key of KMS's own" })).KeyMetadata.KeyId;
await call("DisableKey", { KeyId: plain });
for (let n = 0; n < 60; n += 1) await call("CreateKey", { Description: `Key ${n}` });

const encrypt = () => exception("Encrypt", { KeyId: key, Plaintext: Buffer.from("plaintext") });
for (let n = 0; n < 20; n += 1) assert.equal(await encrypt(), "none");

// --- Who looks ----------------------------------------------------------------------------------------------------

const { wrong, person, watch, close } = await open(site);
const badge = (store, word) => `#state-${store}:text-is("${word}")`;
const storePage = `${site}/console/stores/${external}`;

try {
  const page = await person();

  // The overview, and that names are text.
  await page.goto(`${site}/`);
  assert.equal(page.url(), `${site}/console/`);
  await page.waitForSelector(badge(external, "CONNECTED"));
  await page.waitForSelector(badge(hardware, "CONNECTED"));
  assert.ok((await page.textContent("#summary")).includes("2 of 2 stores CONNECTED"));
  assert.equal(await page.textContent(`#name-${external}`), HOSTILE);
  assert.equal(await page.locator("main img, main script").count(), 0);
  await isAccessible(page);
  await shot(page, "overview");

  // Everything is there without a script, and works.
  const still = await person({ javaScriptEnabled: false });
  await still.goto(`${site}/console/stores/${hardware}`);
  await still.click(`#disconnect-${hardware}`);
  assert.equal(await still.textContent("#unavailable"), "3 keys");
  await still.click("#confirm");
  await still.waitForSelector("text=KMS disconnects the store.");
  await until("DISCONNECTED", async () => (await state(hardware)) === "DISCONNECTED");
  await still.reload();
  await still.click(`#connect-${hardware}`);
  await until("CONNECTED", async () => (await state(hardware)) === "CONNECTED");
  await still.context().close();

  // A second page of the same person stays open on the keys of the store.
  const keys = await page.context().newPage();
  watch(keys);
  await keys.goto(`${site}/console/keys?store=${external}`);
  await keys.waitForSelector("#keys .badge:text-is('Enabled')");
  await mark(keys);

  // Disconnects, by keyboard alone.
  await page.goto(storePage);
  await mark(page);
  const rows = page.locator("#requests tbody tr");
  assert.ok((await rows.count()) >= 10);
  await isAccessible(page);
  await shot(page, "store");
  await tabTo(page, ".skip");
  await tabTo(page, `#disconnect-${external}`);
  await page.keyboard.press("Enter");
  await page.waitForURL("**/disconnect");
  const warning = await page.textContent("main");
  for (const told of ["1 key", "becomes Unavailable at once", "Encrypt", "Decrypt", "ReEncrypt", "GenerateDataKey", "CreateKey", "KMSInvalidStateException"]) {
    assert.ok(warning.includes(told), `no ${told} in ${warning}`);
  }
  await isAccessible(page);
  await shot(page, "disconnect");
  await tabTo(page, "#confirm");
  await page.keyboard.press("Enter");
  await page.waitForSelector("text=KMS disconnects the store.");
  await mark(page);
  await page.waitForSelector(badge(external, "DISCONNECTED"));
  await keys.waitForSelector("#keys .badge:text-is('Unavailable')");
  assert.ok((await keys.textContent("#keys")).includes("is DISCONNECTED"));
  assert.ok(await isMarked(page) && await isMarked(keys), "a page was loaded again");
  assert.equal(await encrypt(), "KMSInvalidStateException");
  await isAccessible(page);

  // Connects again; who listens is told.
  await tabTo(page, `#connect-${external}`);
  await page.keyboard.press("Enter");
  await page.waitForSelector("text=KMS connects the store.");
  await mark(page);
  await page.waitForSelector(badge(external, "CONNECTED"));
  await keys.waitForSelector("#keys .badge:text-is('Enabled')");
  assert.ok(await isMarked(keys));
  assert.equal(await encrypt(), "none");
  await call("DisconnectCustomKeyStore", { CustomKeyStoreId: external });
  await page.waitForSelector(badge(external, "DISCONNECTED"));
  await until("the announcement", async () => (await page.textContent("#announcer")).includes("is DISCONNECTED"));
  await connect(external);

  // Switches a fault on, sees requests fail and the plot move, and mends the link.
  const label = () => page.getAttribute("svg.plot >> nth=1", "aria-label");
  const failedBars = () => page.getAttribute("svg.plot >> nth=1 >> path.bad", "d");
  const before = await label();
  await page.click("#preset-refused");
  await page.waitForSelector("text=The link has the fault");
  await page.waitForSelector("#preset-refused[aria-pressed=true]");
  await mark(page);
  for (let n = 0; n < 5; n += 1) assert.equal(await encrypt(), "KMSInvalidStateException");
  await page.waitForSelector("#requests .result.bad:text-is('XksProxyUnreachableException')");
  await until("failed requests in the plot", async () => (await failedBars()) !== "");
  assert.notEqual(await label(), before);
  const bars = await failedBars();
  await until("the plot to move", async () => ![bars, ""].includes(await failedBars()));
  await page.waitForSelector("#state .problem.bad");
  assert.ok(await isMarked(page), "the page was loaded again");
  await isAccessible(page);
  await shot(page, "fault");
  await page.click("#preset-refused");
  await page.waitForSelector("text=The link is mended.");
  await page.waitForSelector("#preset-refused[aria-pressed=false]");
  assert.equal(await encrypt(), "none");

  // A store that cannot be connected says why, and what to look at.
  await page.click("#preset-expired");
  await page.waitForSelector("text=The link has the fault");
  await page.waitForSelector("#preset-expired[aria-pressed=true]");
  await call("DisconnectCustomKeyStore", { CustomKeyStoreId: external });
  await page.waitForSelector(badge(external, "DISCONNECTED"));
  await page.click(`#connect-${external}`);
  await page.waitForSelector("text=KMS connects the store.");
  await page.waitForSelector(badge(external, "FAILED"));
  const why = await page.textContent("#state");
  assert.ok(why.includes("XKS_PROXY_INVALID_TLS_CONFIGURATION") && why.includes("What to look at"), why);
  await isAccessible(page);
  await shot(page, "failed");
  await page.click("#mend");
  await page.waitForSelector("text=The link is mended.");
  await page.click(`#disconnect-${external}`);
  await page.click("#confirm");
  await page.waitForSelector(badge(external, "DISCONNECTED"));
  await page.click(`#connect-${external}`);
  await page.waitForSelector(badge(external, "CONNECTED"));

  // A fault of one's own, a transition that is held, and a cluster that is broken: the API sees all of them.
  await page.click("#own-fault summary");
  await page.fill("#own-fault input[name=LatencyMs]", "40");
  await page.fill("#own-fault input[name=Times]", "3");
  await page.uncheck("#own-fault input[value=GetHealthStatus]");
  await page.click("#own-fault button");
  await page.waitForSelector("text=The link has the fault");
  await page.waitForSelector("#link .problem");
  const { Links: [link] } = await control("GET", "/link");
  assert.deepEqual([link.Faults, link.TimesLeft, link.Operations], [["40 ms later"], 3, ["GetKeyMetadata", "Encrypt", "Decrypt"]]);
  await page.click("#mend");
  await page.waitForSelector("text=The link is mended.");
  await page.click("#hold-CONNECTING");
  await page.waitForSelector("text=The transitions are set.");
  await page.waitForSelector("#hold-CONNECTING[aria-pressed=true]");
  assert.deepEqual((await control("GET", "/transition")).Held, [{ CustomKeyStoreId: external, State: "CONNECTING" }]);
  await page.click("#hold-CONNECTING");
  await page.waitForSelector("#hold-CONNECTING[aria-pressed=false]");
  await page.goto(`${site}/console/stores/${hardware}`);
  await isAccessible(page);
  await shot(page, "cluster");
  await page.click("button:has-text('HSMs cannot be reached')");
  await page.waitForSelector("button[aria-pressed=true]:has-text('HSMs cannot be reached')");
  assert.equal((await control("GET", `/cloudhsm/clusters/${cluster.ClusterId}`)).Reachable, false);
  await page.click("button:has-text('HSMs cannot be reached')");
  await page.waitForSelector("button[aria-pressed=false]:has-text('HSMs cannot be reached')");

  // What is typed wrongly is told, and changes nothing.
  await page.goto(`${site}/console/switchboard`);
  await isAccessible(page);
  await shot(page, "switchboard");
  await page.fill("input[name=LagMs]", "later");
  await page.click("form[action$=lag] button");
  await page.waitForSelector("[role=alert]:has-text('LagMs')");
  assert.deepEqual(await control("GET", "/consistency"), { LagMs: 0, Seed: 0 });
  wrong.splice(0, wrong.length, ...wrong.filter((line) => !line.includes("status of 400")));

  // Lists: a page at a time, found by alias and by error.
  await page.goto(`${site}/console/keys`);
  assert.equal(await page.locator("#keys tbody tr").count(), 50);
  await isAccessible(page);
  await shot(page, "keys", false);
  await page.click("a[rel=next]");
  assert.equal(await page.locator("#keys tbody tr").count(), 15);
  await page.fill("input[name=text]", "alias/payments");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".alias:text-is('alias/payments/eu')");
  await page.click(`a:text-is("${key}")`);
  await page.waitForSelector("h1.id");
  const known = await page.textContent("main");
  for (const told of ["Enabled", HOSTILE, "EXTERNAL_KEY_STORE", "Encrypt at", stage.external_key_id]) {
    assert.ok(known.includes(told), `no ${told} in ${known}`);
  }
  await isAccessible(page);
  await shot(page, "key");
  await page.goto(`${site}/console/events?failed=yes`);
  await page.waitForSelector("#events .result.bad:text-is('KMSInvalidStateException')");
  await page.click("#events summary >> nth=0");
  await isAccessible(page);
  await shot(page, "events", false);
  await page.goto(`${site}/console/disconnect`);
  await isAccessible(page);
  await shot(page, "breaks");

  // Paused, a page stands still.
  await page.goto(storePage);
  await page.click("#pause");
  const stands = await label();
  for (let n = 0; n < 3; n += 1) assert.equal(await encrypt(), "none");
  await page.waitForTimeout(2500);
  assert.equal(await label(), stands);
  await page.click("#pause");
  await until("the plot to go on", async () => (await label()) !== stands);

  // In the dark, and on a phone.
  const night = await person({ colorScheme: "dark" });
  const phone = await person(PHONE);
  for (const [name, path] of [
    ["overview", "/console/"], ["store", `/console/stores/${external}`], ["cluster", `/console/stores/${hardware}`],
    ["confirm", `/console/stores/${external}/disconnect`], ["keys", "/console/keys"],
    ["key", `/console/keys/123456789012/${stage.region}/${key}`], ["events", "/console/events"],
    ["switchboard", "/console/switchboard"], ["breaks", "/console/disconnect"], ["reset", "/console/reset"],
  ]) {
    await night.goto(site + path);
    await isAccessible(night);
    await shot(night, `${name}-dark`);
    await phone.goto(site + path);
    await phone.evaluate(() => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
    await fits(phone);
    await shot(phone, `${name}-phone`, false);
  }

  // No secret is on any page.
  for (const path of ["/console/", `/console/stores/${external}`, `/console/stores/${hardware}`, "/console/events"]) {
    const text = await (await fetch(site + path)).text();
    for (const secret of [stage.secret_access_key, cluster.KeyStorePassword]) assert.ok(!text.includes(secret), path);
  }
  assert.deepEqual(wrong, []);

  // The picture of the documentation: a store whose proxy fails now and then.
  if (process.env.PICTURE) {
    await call("UpdateCustomKeyStore", { CustomKeyStoreId: external, NewCustomKeyStoreName: "payments" });
    const traffic = async (seconds, pause) => {
      for (const end = Date.now() + seconds * 1000; Date.now() < end;) {
        await encrypt();
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    };
    await traffic(24, 150);
    await control("PUT", "/link", { CustomKeyStoreId: external, LatencyMs: 20, JitterMs: 210 });
    await traffic(16, 60);
    await control("DELETE", "/link");
    await traffic(8, 150);
    await control("PUT", "/link", { CustomKeyStoreId: external, Reply: { Status: 429, ErrorName: "ThrottlingException" } });
    await traffic(8, 120);
    const picture = await person({ viewport: { width: 1180, height: 860 } });
    await picture.goto(storePage);
    await picture.screenshot({ path: process.env.PICTURE });
  }
} finally {
  await close();
}
