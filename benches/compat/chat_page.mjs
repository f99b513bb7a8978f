// The chat page in a headless browser, against a running `realizar-cli serve` with the demo model.
//
//   apt-get install chromium && npm install playwright-core
//   realizar-cli serve --listen 127.0.0.1:8080 &
//   node benches/compat/chat_page.mjs http://127.0.0.1:8080
//
// It streams an answer, stops one in the middle, keeps settings, shows an error, and shows hostile text as text.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const { chromium } = createRequire(process.cwd() + "/")("playwright-core");
const url = process.argv[2] ?? "http://127.0.0.1:8080";
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, headless: true, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
try {
  const page = await browser.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  const foreign = [];
  page.on("request", (request) => request.url().startsWith(url) || foreign.push(request.url()));
  await page.goto(url);
  await page.waitForFunction(() => document.getElementById("model").textContent !== "");

  const send = async (text) => {
    await page.fill("#prompt", text);
    await page.press("#prompt", "Enter");
  };
  const idle = () => page.waitForFunction(() => !document.getElementById("send").hidden, null, { timeout: 60_000 });
  const texts = (kind) => page.locator("." + kind).allTextContents();
  const set = async (id, value) => {
    await page.click("#open");
    await page.fill("#" + id, value);
    await page.dispatchEvent("#" + id, "change");
    await page.click("#close");
  };

  // An answer comes, and what it took is told.
  await set("tokens", "20");
  await set("temperature", "0");
  await send("Once upon a time");
  await idle();
  const [first] = await texts("assistant");
  assert.ok(first.length > 20, first);
  assert.match((await texts("facts"))[0], /^20 tokens, [0-9.]+ per second$/);

  // The same question gives the same answer, as its temperature is 0.
  await page.click("#clear");
  await send("Once upon a time");
  await idle();
  assert.deepEqual(await texts("assistant"), [first]);

  // Stop ends an answer in the middle and keeps what came.
  await page.click("#clear");
  await set("tokens", "");
  await set("temperature", "1");
  let asked = null;
  await page.route("**/v1/chat/completions", async (route) => {
    // Endless as far as the page is concerned: the end-of-text token is banned.
    const body = { ...route.request().postDataJSON(), ignore_eos: true };
    asked = body.messages;
    await route.continue({ postData: JSON.stringify(body) });
  });
  // And slow: a small model writes all of its context before a button can be pressed.
  const network = await page.context().newCDPSession(page);
  const throttle = (downloadThroughput) =>
    network.send("Network.emulateNetworkConditions", { offline: false, latency: 0, downloadThroughput, uploadThroughput: -1 });
  await throttle(3000);
  await send("Once upon a time");
  await page.waitForFunction(() => document.querySelector(".assistant")?.textContent.length > 3);
  await page.click("#stop");
  await idle();
  assert.deepEqual(await texts("facts"), ["stopped"]);

  // A new chat while an answer streams leaves nothing of the old one behind.
  await page.click("#clear");
  await send("Once upon a time");
  await page.waitForFunction(() => document.querySelector(".assistant")?.textContent.length > 3);
  await page.click("#clear");
  await idle();
  assert.deepEqual([await texts("message"), await texts("facts")], [[], []]);
  await send("The cat");
  await page.waitForFunction(() => document.querySelector(".assistant")?.textContent.length > 3);
  await page.click("#stop");
  await idle();
  await throttle(-1);
  assert.deepEqual(asked, [{ role: "user", content: "The cat" }]);
  assert.deepEqual(await texts("facts"), ["stopped"]);
  await page.unroute("**/v1/chat/completions");

  // An error is shown as the server words it.
  await page.click("#clear");
  await send("word ".repeat(3000));
  await idle();
  assert.match((await texts("error"))[0], /^the prompt has [0-9]+ tokens, the context holds [0-9]+$/);
  complaints.splice(0, complaints.length, ...complaints.filter((text) => !text.includes("400")));

  // Text is text, whoever wrote it.
  await page.click("#clear");
  await set("tokens", "1");
  await send('<img src=x onerror="document.title=1"><script>document.title=1</script>');
  await idle();
  assert.equal(await page.title(), "Realizar");
  assert.equal(await page.locator("img").count(), 0);

  // Settings outlive the page, the key does not outlive the tab.
  await set("key", "0123456789abcdef");
  await page.reload();
  assert.equal(await page.inputValue("#tokens"), "1");
  assert.equal(await page.evaluate(() => localStorage.getItem("realizar.key")), null);

  assert.deepEqual(foreign, [], "the page asks nobody but its server");
  assert.deepEqual(complaints, [], "the browser has nothing to complain of");
  console.log("the chat page streams, stops, remembers and shows errors, in " + browser.version());
} finally {
  await browser.close();
}
