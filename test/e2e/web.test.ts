// The web page in a real browser over a real log: what a person sees, does and shares. A page that
// throws or logs an error fails the test that opened it.

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { stateDocument, stateFrom } from "../../src/events/state-document.ts";
import { describePlan } from "../../src/reconcilers/describe.ts";
import { desired } from "../../src/reconcilers/desired.ts";
import { requireBrowser, TestBrowser } from "../support/browser.ts";
import { until } from "../support/fabric.ts";
import { type History, history } from "../support/history.ts";
import { TestHook } from "../support/hook.ts";

const canRun = requireBrowser("the web page");

let hook: TestHook;
let browser: TestBrowser;
/** Sequence after which h1 had its subnet and h2 had not joined. */
let onlyH1: number;

/** Puts what a history made since `from` into the real log. */
async function append(story: History, from = 0): Promise<number> {
  let seq = 0;
  for (const { subject, payload } of story.records.slice(from)) {
    const id = `story-${crypto.randomUUID()}`;
    const appended = await hook.connection.log.append({ subject, payload, id });
    if (!appended.ok) throw new Error(appended.reason);
    seq = appended.seq;
  }
  return seq;
}

const story = history("hook");

function open(search = "", scheme: "light" | "dark" = "light"): Promise<Page> {
  return browser.open(`${hook.url}/${search}`, hook.token("read"), scheme);
}

const card = (page: Page, name: string) => page.getByRole("button", { name: `${name},` });
const row = (page: Page, seq: number) =>
  page.locator(".event", { has: page.locator(".seq", { hasText: new RegExp(`^${seq}$`) }) });
const current = (page: Page) => page.locator(".event[aria-current=true] .seq");

beforeAll(async () => {
  if (!canRun) return;
  [hook, browser] = await Promise.all([TestHook.start(), TestBrowser.start()]);
  story.config({ Network: "10.5.0.0/16" }).join("h1").claim("h1", ["10.5.1.0/24"]);
  onlyH1 = await append(story);
  const before = story.records.length;
  story.join("h2").claim("h2", ["10.5.2.0/24"]).peer("lb1", "10.5.9.0/24", "198.18.0.99");
  await append(story, before);
  playAgent();
});
afterEach(() => {
  expect(browser?.errors.splice(0) ?? []).toEqual([]);
});
afterAll(async () => {
  agentEnds.abort();
  await browser?.close();
  await hook?.close();
});

test.skipIf(!canRun)(
  "asks for a token, says when it is wrong, and then shows the fabric",
  async () => {
    const page = await browser.open(hook.url, null);
    await page.getByLabel("Token").fill("heddle_wrong");
    await page.keyboard.press("Enter");
    await page.getByText(/token/).first().waitFor();
    await page.getByLabel("Token").fill(hook.token("read"));
    await page.keyboard.press("Enter");
    await card(page, "h1").waitFor();
    expect(page.url()).not.toContain(hook.token("read"));
    // The refused requests are the point here.
    browser.errors.length = 0;
  },
);

test.skipIf(!canRun)(
  "shows hosts, links, events, and one host's commands as the command line does",
  async () => {
    const page = await open();
    await card(page, "h1").press("Enter");
    const commands = page.getByLabel("Commands for h1").locator("code");
    await commands.first().waitFor();
    // The page has the state as it is served: in the order of names, not of joins.
    const served = stateFrom(stateDocument(story.state()));
    if (served === null) throw new Error("no state");
    expect(await commands.allTextContents()).toEqual(describePlan(desired(served, "h1")));
    const present = story.state().leases.size;
    expect(await page.locator(".link").count()).toBe((present * (present + 1)) / 2);
    expect(page.url()).toEndWith("?host=h1");
    await page.keyboard.press("Escape");
    await page.getByRole("searchbox").fill("10.5.2.");
    await page.locator(".host", { hasText: "h2" }).waitFor();
    expect(await page.locator(".host").count()).toBe(1);
  },
);

/** As an agent answers that could not set a route, and later could. */
const missing = {
  ...{ node: "h1", state: "degraded", problems: [], applied: 9, planned: 9, asWanted: false },
  differences: [
    {
      ...{ noun: "route", problem: "missing", found: null, wanted: "10.5.2.0/24 via 10.5.2.0" },
      command: "ip route replace 10.5.2.0/24 via 10.5.2.0 dev heddle.1 onlink",
      error: "ENETUNREACH: Nexthop device is not up",
    },
  ],
  ...{ differenceCount: 3, error: null, healed: null },
  failed: [{ node: "h2", error: "ENETUNREACH" }],
};
const mended = {
  ...missing,
  ...{ state: "ready", asWanted: true, differences: [], differenceCount: 0, failed: [] },
  healed: {
    ...{ time: "2026-01-01T00:00:00.000Z", count: 2 },
    items: [{ noun: "route", problem: "missing", found: null, wanted: "10.5.2.0/24" }],
  },
};

let answer: unknown = missing;

const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

function showOnBoard(): Promise<void> {
  const peers = { applied: 1, pending: 0, failed: 0 };
  const entry = { state: "ready", seq: { applied: 9 }, peers, problems: [], version: "test" };
  return hook.connection.status.publish("h1", bytes(entry));
}

/** Plays the agent of h1 to the end of the file: pages ask it once it was on the board. */
function playAgent(): void {
  const say = (): Uint8Array => {
    void showOnBoard();
    return bytes(answer);
  };
  void hook.connection.foundInquiry.listen("h1", say, agentEnds.signal);
}

const agentEnds = new AbortController();

test.skipIf(!canRun)(
  "shows what a host found in its kernel, until it is as wanted; of the past nothing",
  async () => {
    await showOnBoard();
    const page = await open("?host=h1");
    const found = page.getByLabel("Found by h1");
    await found.getByText("Found: not as wanted").waitFor();
    const text = await found.textContent();
    expect(text).toContain("ip route replace 10.5.2.0/24 via 10.5.2.0 dev heddle.1 onlink");
    expect(text).toContain("route missing: ENETUNREACH: Nexthop device is not up");
    expect(text).toContain("and 2 more differences");
    expect(text).toContain("peer h2: ENETUNREACH");
    answer = mended;
    await found.getByText("Found: as wanted").waitFor();
    expect(await found.textContent()).toContain("route missing (10.5.2.0/24) and 1 more");
    await page.goto(`${hook.url}/?at=${onlyH1}&host=h1`);
    await page.getByLabel("Commands for h1").locator("code").first().waitFor();
    expect(await found.count()).toBe(0);
  },
);

test.skipIf(!canRun)("shows an event as it is appended, without a reload", async () => {
  const page = await open();
  await card(page, "h2").waitFor();
  const before = story.records.length;
  const seq = await append(story.join("h3").claim("h3", ["10.5.3.0/24"]), before);
  await row(page, seq).waitFor();
  await card(page, "h3").waitFor();
});

test.skipIf(!canRun)("goes through history by slider, by keyboard and by link", async () => {
  const page = await open(`?at=${onlyH1}&host=h1`);
  await card(page, "h1").waitFor();
  expect(await card(page, "h2").count()).toBe(0);
  expect(await current(page).textContent()).toBe(String(onlyH1));
  await page.getByLabel("Host h1").getByText("10.5.1.0/24").first().waitFor();
  await page.keyboard.press("]");
  await card(page, "h2").waitFor();
  expect(page.url()).toContain(`at=${onlyH1 + 1}`);
  await page.locator("#at").fill(String(onlyH1));
  await card(page, "h2").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Past: back to live" }).click();
  await card(page, "h2").waitFor();
  await page.goBack();
  await card(page, "h2").waitFor({ state: "detached" });
});

test.skipIf(!canRun)("shows a refused record with its reason", async () => {
  const before = story.records.length;
  const data = { node: "h2", epoch: 9, subnets: ["10.5.1.0/24"], ttlSeconds: 60 };
  const seq = await append(story.append({ type: "LeaseClaimed", data }, "void"), before);
  const page = await open();
  // A line is there before its event.
  const line = row(page, seq).and(page.locator(".refused"));
  await line.waitFor();
  expect(await line.textContent()).toContain("void: h2 holds 10.5.2.0/24");
});

test.skipIf(!canRun)("lists one type of events, also those that come", async () => {
  const page = await open("?type=LeaseClaimed");
  const lines = page.locator(".event");
  const claims = (): number => {
    const types = story.records.map(({ payload }) => JSON.parse(new TextDecoder().decode(payload)));
    return types.filter(({ type }) => type === "LeaseClaimed").length;
  };
  const areAllListed = async (): Promise<boolean> => (await lines.count()) === claims();
  await until("all are listed", 10_000, areAllListed);
  expect(await page.locator(".event", { hasText: "NodeJoined" }).count()).toBe(0);
  const before = story.records.length;
  const seq = await append(story.join("h5").claim("h5", ["10.5.5.0/24"]), before);
  await row(page, seq).waitFor();
  await until("all are listed", 10_000, areAllListed);
});

test.skipIf(!canRun)(
  "lists the newest of many of a type first, and older ones on scrolling",
  async () => {
    const before = story.records.length;
    const many = 2300;
    for (let i = 0; i < many; i++) story.append({ type: "HostRecovered", data: { node: "h1" } });
    const newest = await append(story, before);
    const page = await open("?type=HostRecovered");
    const asked: string[] = [];
    page.on("request", (request) => asked.push(request.url()));
    await row(page, newest).waitFor();
    await page.getByText("the last 1000, newest first").waitFor();
    const list = page.locator(".list", { has: page.getByLabel(/^Events of the types/) });
    const toTheEnd = () => list.evaluate((box) => box.scrollTo(0, box.scrollHeight));
    await toTheEnd();
    await page.getByText("the last 2000, newest first").waitFor();
    await row(page, newest - 999).waitFor();
    await toTheEnd();
    await page.getByText(`${many} of them, newest first`).waitFor();
    await toTheEnd();
    await row(page, newest - many + 1).waitFor();
    // One that comes does not lose the older ones.
    const then = story.records.length;
    const seq = await append(story.append({ type: "HostRecovered", data: { node: "h1" } }), then);
    await page.getByText(`${many + 1} of them, newest first`).waitFor();
    await list.evaluate((box) => box.scrollTo(0, 0));
    await row(page, seq).waitFor();
    expect(asked.filter((url) => url.includes("/v1/events?")).length).toBeLessThanOrEqual(3);
  },
);

test.skipIf(!canRun)("lists every type that its address names", async () => {
  const page = await open("?type=PeerAdded&type=FabricConfigured");
  await page.locator(".event").first().waitFor();
  const types = new Set(await page.locator(".event .type").allTextContents());
  expect(types).toEqual(new Set(["PeerAdded", "FabricConfigured"]));
  const chosen = page.getByLabel("Type of events");
  expect(await chosen.locator("option:checked").textContent()).toBe("PeerAdded, FabricConfigured");
  await chosen.selectOption("PeerAdded");
  await page.waitForURL(/\?type=PeerAdded$/);
  await page.locator(".event", { hasText: "FabricConfigured" }).waitFor({ state: "detached" });
});

test.skipIf(!canRun)("goes on where it was when the server comes back", async () => {
  const page = await open();
  await card(page, "h1").waitFor();
  await hook.restart();
  const before = story.records.length;
  const seq = await append(story.join("h4"), before);
  await row(page, seq).waitFor();
  await card(page, "h4").waitFor();
  // The requests that the stopped server could not answer.
  browser.errors.length = 0;
});
