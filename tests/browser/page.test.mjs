// The page of a tape, in a real browser: it draws, it searches, it goes back in time, and it stays smooth with 100,000
// frames. `CHROMIUM` names the browser, `PAGE` the file of the page where it is not beside; a time line is put into it.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { readFileSync, writeFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { spawn } from "node:child_process";
import { chromium } from "playwright-core";

const source = readFileSync(process.env.PAGE || new URL("../../cassettes/src/review/page.html", import.meta.url), "utf8");
const folder = mkdtempSync(join(tmpdir(), "rehearsal-page-"));
let browser;
before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
});
after(async () => { await browser?.close(); rmSync(folder, { recursive: true, force: true }); });

// A controller that scales pods, and a watch that sees `frames` changes.
function timeline(frames) {
  const t = {
    version: 1, name: "incident", start: "2026-01-02T03:04:05Z",
    lanes: [{ id: "controller", userAgent: "manager/v0.1", role: "sut" }, { id: "kubectl", userAgent: "kubectl/v1.36.0", role: "driver" }],
    calls: [{ id: 1, lane: 0, seq: 1, from: 0, head: 1, to: frames + 1, verb: "watch", route: "watch pods", url: "/api/v1/pods?watch=1", status: 200, write: false, end: "", faults: [] }],
    frames: [], types: ["ADDED", "MODIFIED", "DELETED"], objects: [], versions: [], bodies: [], marks: [{ seq: 2, t: 0.5, text: "note start" }],
  };
  const objects = Math.min(50, frames);
  for (let i = 0; i < objects; i++) t.objects.push(`pods default/web-${i}`);
  for (let i = 0; i < frames; i++) {
    const write = i % 10 === 0, rv = 100 + i;
    if (write) t.calls.push({ id: 10 + i, lane: 1, seq: 10 + 2 * i, from: i + .2, head: i + .6, to: i + .7, verb: i < objects ? "create" : "update",
      route: `${i < objects ? "create" : "update"} pods default/web-${i % objects}`, url: "/api/v1/namespaces/default/pods", status: i === 70 ? 409 : 201, write: true, end: "", faults: i === 70 ? ["conflicts"] : [] });
    t.frames.push([0, 11 + 2 * i, i + .5, i < objects ? 0 : 1, i % objects, rv, write ? t.calls.length - 1 : -1]);
    t.versions.push([i % objects, rv, 11 + 2 * i, write ? t.calls.length - 1 : -1, t.bodies.length]);
    t.bodies.push({ kind: "Pod", metadata: { name: `web-${i % objects}`, resourceVersion: String(rv) }, status: { phase: i < objects ? "Pending" : "Running", generation: i } });
  }
  t.versions.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  return t;
}

async function open(t, name) {
  const file = join(folder, name + ".html");
  writeFileSync(file, source.replace("/*TIMELINE*/null", JSON.stringify(t).replaceAll("<", "\\u003c")));
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const outside = [], errors = [];
  page.on("request", r => { if (!r.url().startsWith("file:")) outside.push(r.url()); });
  page.on("pageerror", e => errors.push(String(e)));
  page.on("console", m => { if (m.type() === "error") errors.push(m.text()); });
  await page.goto(pathToFileURL(file).href);
  await page.waitForFunction(() => window.lastPaint !== undefined);
  return { page, outside, errors };
}

test("it shows what happened, who caused it, and what changed", async () => {
  const { page, outside, errors } = await open(timeline(200), "small");
  assert.match(await page.textContent("#counts"), /2 lanes, 21 requests, 200 watch frames, 50 objects/);
  await page.fill("#search", "web-10 modified");
  await page.waitForFunction(() => document.querySelectorAll(".row").length === 3);
  await page.click(".row");
  assert.match(await page.textContent("#detail"), /MODIFIED pods default\/web-10/);
  assert.match(await page.textContent("#detail"), /\+ status\.phase: "Running"/);
  await page.click("#detail button.link >> text=update pods default/web-10");
  assert.match(await page.textContent("#detail h2"), /#70 update pods default\/web-10/);
  assert.match(await page.textContent("#detail"), /Seen by/);
  assert.deepEqual([outside, errors], [[], []]);
  if (process.env.SCREENSHOT) { await page.fill("#search", ""); await page.waitForTimeout(200); await page.screenshot({ path: process.env.SCREENSHOT }); }
});

test("the slider goes back in time", async () => {
  const { page, errors } = await open(timeline(200), "slider");
  await page.$eval("#slider", s => { s.value = 9; s.dispatchEvent(new Event("input")); });
  assert.match(await page.textContent("#at"), /^109 \(10 of 200\)$/);
  await page.click("#state");
  assert.match(await page.textContent("#detail h2"), /^10 objects at 109$/);
  assert.deepEqual(errors, []);
});

test("faults and refusals stand out, and text from a tape stays text", async () => {
  const t = timeline(100);
  t.objects[0] = "pods default/<img src=x onerror=alert(1)>";
  const { page, errors } = await open(t, "hostile");
  await page.fill("#search", "conflicts");
  await page.waitForFunction(() => document.querySelectorAll(".row").length === 1);
  assert.match(await page.textContent(".row"), /409.*⚡conflicts/s);
  assert.equal(await page.$("img"), null);
  assert.deepEqual(errors, []);
});

test("a hundred thousand frames stay smooth", async () => {
  const { page, errors } = await open(timeline(100_000), "large");
  const paints = await page.evaluate(async () => {
    const paints = [];
    for (let i = 0; i < 20; i++) {
      document.getElementById("canvas").dispatchEvent(new WheelEvent("wheel", { deltaY: i < 10 ? -100 : 100, clientX: 600, clientY: 100, cancelable: true }));
      await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
      paints.push(window.lastPaint);
    }
    return paints.sort((a, b) => a - b);
  });
  // Half of all strokes of the wheel are drawn within six frames of a 60 Hz screen, in software, on a busy machine.
  assert.ok(paints[10] < 100, `median paint ${paints[10]} ms`);
  assert.ok((await page.$$(".row")).length < 100, "rows out of sight do not exist");
  assert.deepEqual(errors, []);
});

test("a running server shows what it is asked, to who has the token", { skip: !process.env.REHEARSAL_BIN && "REHEARSAL_BIN is not set" }, async () => {
  const server = spawn(process.env.REHEARSAL_BIN, ["serve", "--http", "--ui", "--admin-token", "the-token"], { stdio: ["ignore", "pipe", "ignore"] });
  try {
    const ready = await new Promise((done, fail) => { server.stdout.once("data", d => done(String(d))); server.once("exit", fail); });
    const url = /url=(\S+)/.exec(ready)[1];
    const page = await browser.newPage();
    await page.goto(`${url}/_rehearsal/ui`);
    await page.waitForFunction(() => document.getElementById("counts").textContent.includes("token=ADMIN_TOKEN"));
    await fetch(`${url}/api/v1/namespaces/default`);
    await page.goto("about:blank");
    await page.goto(`${url}/_rehearsal/ui#token=the-token`);
    await page.waitForFunction(() => document.getElementById("counts").textContent.includes("1 requests"));
    await fetch(`${url}/api/v1/namespaces/kube-system`);
    await page.waitForFunction(() => document.getElementById("counts").textContent.includes("2 requests"));
    assert.match(await page.textContent("#rows"), /get namespaces kube-system\/kube-system/);
  } finally { server.kill(); }
});
