// The dashboard, the alert rules and the tables of docs/monitoring.md speak of figures that exist,
// and the tables of all of them.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { agentMetrics } from "../../src/http/metrics-agent.ts";
import { everyFigure } from "../support/agent-figures.ts";
import { until } from "../support/fabric.ts";
import { TestHook } from "../support/hook.ts";
import { Scraped } from "../support/prometheus.ts";

const LIMIT_MS = 5000;
const read = (name: string): string =>
  readFileSync(new URL(`../../docs/${name}`, import.meta.url), "utf8");

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly {
      readonly alert: string;
      readonly expr: string;
      readonly labels: { readonly severity: string };
      readonly annotations: { readonly summary: string };
    }[];
  }[];
}

interface Dashboard {
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly targets?: readonly { readonly expr: string }[];
  }[];
}

let hook: TestHook;
let scrapes: readonly Scraped[];

beforeAll(async () => {
  hook = await TestHook.start();
  // Checkpoints are told of where somebody signs, errors where there were some.
  await until("signed", LIMIT_MS, () => hook.deps.audit.view().signed > 0);
  await hook.ask("/no/such/path");
  hook.deps.metrics.request({ method: "GET", route: "/r", status: 503, ms: 1 });
  scrapes = [
    new Scraped(await agentMetrics(everyFigure.status, everyFigure.ops)),
    new Scraped(await (await hook.ask("/metrics")).text()),
  ];
});

afterAll(() => hook.close());

const rules = (Bun.YAML.parse(read("alerts.yml")) as Rules).groups.flatMap((group) => group.rules);
const dashboard = JSON.parse(read("grafana-dashboard.json")) as Dashboard;

/** Metrics of an expression, each with its matchers. */
function selectors(expr: string): readonly { readonly name: string; readonly matchers: string }[] {
  return [...expr.matchAll(/\b((?:heddle|process)_\w+)(?:\{([^}]*)\})?/g)].map(
    ([, name = "", matchers = ""]) => ({ name, matchers }),
  );
}

/** What in an expression selects nothing from any scrape. */
function unknown(expr: string): readonly string[] {
  return selectors(expr).flatMap(({ name, matchers }) => {
    const tests = [...matchers.matchAll(/(\w+)(=~|=)"([^"]*)"/g)];
    const fits = (labels: Readonly<Record<string, string>>): boolean =>
      tests.every(([, label = "", operator, value = ""]) => {
        const found = labels[label] ?? "";
        return operator === "=" ? found === value : new RegExp(`^(?:${value})$`).test(found);
      });
    const some = scrapes.some((scrape) => scrape.samples(name).some(({ labels }) => fits(labels)));
    return some ? [] : [`${name}{${matchers}}`];
  });
}

/** Labels that an expression groups by, which its metrics do not have. */
function unlabelled(expr: string): readonly string[] {
  const target = new Set(["instance", "job"]);
  return [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = ""]) => {
    const names = list.split(",").map((name) => name.trim());
    const known = selectors(expr).flatMap(({ name }) =>
      scrapes.flatMap((scrape) =>
        scrape.samples(name).flatMap(({ labels }) => Object.keys(labels)),
      ),
    );
    return names.filter((name) => !target.has(name) && !known.includes(name));
  });
}

test("every alert stands on figures that exist, with the labels that it asks for", () => {
  expect(rules.length).toBeGreaterThan(10);
  for (const { alert, expr, labels, annotations } of rules) {
    expect([alert, ...unknown(expr), ...unlabelled(expr)]).toEqual([alert]);
    expect(selectors(expr).length).toBeGreaterThan(0);
    expect(["warning", "critical"]).toContain(labels.severity);
    expect(annotations.summary).not.toBe("");
  }
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
});

test("every panel of the dashboard stands on figures that exist", () => {
  const shown = dashboard.panels.flatMap(({ title, targets }) =>
    (targets ?? []).map(({ expr }) => ({ title, expr })),
  );
  expect(shown.length).toBeGreaterThan(20);
  for (const { title, expr } of shown) {
    expect([title, ...unknown(expr), ...unlabelled(expr)]).toEqual([title]);
  }
  expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
});

test("the guide names every figure with its type, and none that does not exist", () => {
  const rows = read("monitoring.md")
    .split("\n")
    .filter((line) => line.startsWith("| `heddle_"));
  const told = rows.flatMap((row) => {
    const [, names = "", type = ""] = row.split("|").map((column) => column.trim());
    return [...names.matchAll(/`(\w+)`/g)].map(([, name = ""]) => `${name} ${type}`);
  });
  const families = scrapes.flatMap((scrape) =>
    Array.from(scrape.families, ([name, { type }]) => `${name} ${type}`),
  );
  const ours = families.filter((family) => family.startsWith("heddle_"));
  expect(told.toSorted()).toEqual(ours.toSorted());
});
