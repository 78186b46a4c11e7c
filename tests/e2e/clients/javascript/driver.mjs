// Makes the calls that it reads, one JSON object a line, and writes what comes of each. Run by driver.rs.

import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

// The packages lie outside of the sources.
const require = createRequire(join(process.env.XKS_TEST_NODE, "package.json"));
const sdk = require("@aws-sdk/client-kms");

const [endpoint, region] = process.argv.slice(2);
const kms = new sdk.KMSClient({
  endpoint, region, maxAttempts: 1, credentials: { accessKeyId: "test", secretAccessKey: "test" },
  requestHandler: { requestTimeout: 90_000, connectionTimeout: 10_000 },
});

// The SDK takes bytes for these members; nothing tells it at run time that the JSON's text means bytes.
const blobs = new Set([
  "CiphertextBlob", "EncryptedKeyMaterial", "ImportToken", "Mac", "Message", "Plaintext", "PublicKey", "Signature",
]);

function parameters(input) {
  const entries = Object.entries(input);
  return Object.fromEntries(entries.map(([name, value]) => [name, blobs.has(name) ? Buffer.from(value, "base64") : value]));
}

// What JSON can hold.
function plain(value) {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof Date) return value.getTime() / 1000;
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plain(member)]));
}

async function run({ operation, input, page_size: pageSize }) {
  if (pageSize === undefined) {
    const { $metadata, ...answer } = await kms.send(new sdk[`${operation}Command`](parameters(input)));
    return answer;
  }
  const all = {};
  for await (const page of sdk[`paginate${operation}`]({ client: kms, pageSize }, parameters(input))) {
    for (const [name, items] of Object.entries(page)) {
      if (!Array.isArray(items)) continue;
      if (items.length > pageSize) throw new Error(`${items.length} items on a page of ${pageSize}`);
      all[name] = [...(all[name] ?? []), ...items];
    }
  }
  return all;
}

// KMS's name of an exception is that of the class that the SDK exports for it; for those that KMS's model does not have
// there is only the class of all.
function nameOf(error) {
  const classes = Object.entries(sdk).filter(([, value]) => typeof value === "function" && value.prototype instanceof Error);
  const found = classes.find(([, type]) => type !== sdk.KMSServiceException && error instanceof type);
  return found ? found[0] : null;
}

// KMS's model has nothing to wait for.
const waiters = Object.keys(sdk).filter((name) => name.startsWith("waitUntil"));
if (waiters.length > 0) throw new Error(`the SDK has waiters now, and nobody tries them: ${waiters}`);

for await (const line of createInterface({ input: process.stdin })) {
  let outcome;
  try {
    outcome = { answer: plain(await run(JSON.parse(line))) };
  } catch (error) {
    const status = error.$metadata?.httpStatusCode ?? null;
    const code = error instanceof sdk.KMSServiceException ? error.name : null;
    outcome = { exception: { name: nameOf(error), code, status, message: String(error) } };
  }
  console.log(JSON.stringify(outcome));
}
