// A headless Chromium from the distribution, one per test file, with pages that fail the test on
// any error they throw or log.

import { existsSync } from "node:fs";
import { type Browser, chromium, type Page } from "playwright-core";

const PROGRAM = "/usr/bin/chromium";

/** Says SKIPPED when there is no browser; counted, so that a green run cannot hide it. */
export function requireBrowser(what: string): boolean {
  if (existsSync(PROGRAM)) return true;
  process.stderr.write(`SKIPPED: ${what}: no ${PROGRAM} on this machine\n`);
  return false;
}

export class TestBrowser {
  readonly #browser: Browser;
  readonly errors: string[] = [];

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async start(): Promise<TestBrowser> {
    const browser = await chromium.launch({
      executablePath: PROGRAM,
      args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"],
    });
    return new TestBrowser(browser);
  }

  /** With a token the page is signed in before it loads. */
  async open(
    url: string,
    token: string | null,
    colorScheme: "light" | "dark" = "light",
  ): Promise<Page> {
    const context = await this.#browser.newContext({
      colorScheme,
      viewport: { width: 1440, height: 900 },
    });
    const page = await context.newPage();
    page.on("pageerror", (error) => this.errors.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error") this.errors.push(message.text());
    });
    if (token !== null) {
      await page.addInitScript((text) => sessionStorage.setItem("heddle-token", text), token);
    }
    await page.goto(url);
    return page;
  }

  async close(): Promise<void> {
    await this.#browser.close();
  }
}
