// One answer to Prometheus, made of figures that are kept elsewhere. A registry lives for one
// scrape: nothing has to be held up to date between two of them.

import Counter from "prom-client/lib/counter.js";
import Gauge from "prom-client/lib/gauge.js";
import Registry from "prom-client/lib/registry.js";

/** All with the same labels. */
export type Samples = readonly (readonly [Readonly<Record<string, string>>, number])[];

export class Scrape {
  readonly #registry = new Registry();

  /** What goes up and down; a number alone has no labels. */
  gauge(name: string, help: string, samples: number | Samples): void {
    const list = listOf(samples);
    const gauge = new Gauge({ ...this.#named(name, help), labelNames: labelsOf(list) });
    for (const [labels, value] of list) gauge.set(labels, value);
  }

  /** What only goes up while the process lives; `name` ends in `_total`. */
  counter(name: string, help: string, samples: number | Samples): void {
    const list = listOf(samples);
    const counter = new Counter({ ...this.#named(name, help), labelNames: labelsOf(list) });
    for (const [labels, value] of list) counter.inc(labels, value);
  }

  /** Of this process, by the names that every Prometheus client gives them. */
  process(): void {
    const { user, system } = process.cpuUsage();
    const startSeconds = performance.timeOrigin / 1000;
    this.gauge("process_start_time_seconds", "Start of the process since the epoch", startSeconds);
    const resident = process.memoryUsage.rss();
    this.gauge("process_resident_memory_bytes", "Memory that the process holds", resident);
    const cpu = (user + system) / 1e6;
    this.counter("process_cpu_seconds_total", "Processor time, user and system", cpu);
  }

  /** In the text format 0.0.4, which every Prometheus reads. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #named(name: string, help: string) {
    return { name, help, registers: [this.#registry] };
  }
}

function listOf(samples: number | Samples): Samples {
  return typeof samples === "number" ? [[{}, samples]] : samples;
}

function labelsOf([first]: Samples): string[] {
  return first === undefined ? [] : Object.keys(first[0]);
}
