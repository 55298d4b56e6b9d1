// The web page in a real browser, over 1 000 hosts and 100 000 events: from the start of the
// navigation to the first map that shows hosts (reach: 1 s), and frames per second while the slider
// is dragged through the whole history (reach: 30), with how many moments of it were really shown.
// Usage: bun bench/web.ts [HOSTS] [EVENTS]   (default 1000 100000)

import { TestBrowser } from "../test/support/browser.ts";
import { type History, history } from "../test/support/history.ts";
import { TestHook } from "../test/support/hook.ts";
import { machine, quantile, table } from "./support.ts";

const HOSTS = Number(process.argv[2] ?? 1000);
const EVENTS = Number(process.argv[3] ?? 100_000);
const LOADS = 7;
const DRAG_MS = 4000;
const AT_ONCE = 500;

const hook = await TestHook.start();
const browser = await TestBrowser.start();
try {
  await fill(story());
  const paints: number[] = [];
  for (let load = 0; load < LOADS; load += 1) paints.push(await firstMap());
  const { frames, moments } = await drag();
  machine();
  table(
    ["measure", "p50", "worst", "reach"],
    [
      ["first map, ms", quantile(paints, 0.5), Math.max(...paints), "1000"],
      ["slider: frames a second", frames, "", "30"],
      ["slider: moments shown a second", moments, "", ""],
    ],
  );
} finally {
  await browser.close();
  await hook.close();
}

/** Hosts join and claim, then renew until there are enough events. */
function story(): History {
  const log = history("hook").config({ Network: "10.0.0.0/8", SubnetLen: 24 });
  const names = Array.from({ length: HOSTS }, (_, index) => `h${index + 1}`);
  for (const [index, name] of names.entries()) {
    const rack = `198.18.${index >> 6}`;
    const publicIp = `${rack}.${(index & 63) + 1}`;
    log.join(name, { publicIp, publicIpv6: null, underlay: { onlink: [`${rack}.0/24`] } });
    log.claim(name, [`10.${1 + (index >> 8)}.${index & 255}.0/24`]);
  }
  for (let turn = 0; log.records.length < EVENTS; turn += 1) {
    const node = names[turn % HOSTS] ?? "";
    const lease = log.state().leases.get(node);
    if (lease === undefined) throw new Error(`${node} has no lease`);
    const { epoch, subnets } = lease;
    const data = { node, epoch, subnets: [...subnets], ttlSeconds: 86_400 };
    log.append({ type: "LeaseRenewed", data });
  }
  return log;
}

async function fill({ records }: History): Promise<void> {
  const { log } = hook.connection;
  for (let at = 0; at < records.length; at += AT_ONCE) {
    const some = records.slice(at, at + AT_ONCE);
    await Promise.all(
      some.map(({ subject, payload, seq }) => log.append({ subject, payload, id: `story-${seq}` })),
    );
  }
  await hook.deps.follower.fresh();
}

async function firstMap(): Promise<number> {
  const page = await browser.open(hook.url, hook.token("read"));
  await page.locator(".cell").first().waitFor();
  const ms = await page.evaluate<number>(
    "new Promise((resolve) => requestAnimationFrame(() => resolve(performance.now())))",
  );
  await page.context().close();
  return ms;
}

async function drag(): Promise<{ frames: number; moments: number }> {
  const page = await browser.open(hook.url, hook.token("read"));
  await page.locator(".cell").first().waitFor();
  return await page.evaluate(dragInPage(DRAG_MS));
}

/** Runs in the page: moves the slider with every frame, there and back, as a hand does. */
function dragInPage(ms: number): string {
  return `new Promise((resolve) => {
    const slider = document.querySelector("#at");
    const shown = document.querySelector(".moment b");
    const last = Number(slider.max);
    const start = performance.now();
    let [frames, moments, before] = [0, 0, shown.textContent];
    const step = () => {
      const passed = performance.now() - start;
      if (passed > ${ms}) {
        const second = passed / 1000;
        return resolve({ frames: frames / second, moments: moments / second });
      }
      frames += 1;
      if (shown.textContent !== before) moments += 1;
      before = shown.textContent;
      const along = Math.abs(1 - ((2 * passed) / ${ms}) % 2);
      slider.value = String(Math.round(1 + along * (last - 2)));
      slider.dispatchEvent(new Event("input", { bubbles: true }));
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  })`;
}
