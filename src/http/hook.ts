// The hook put together: what follows the log, what remembers it, and the app in front. It does
// nothing before `run`.

import { createBoardWatch } from "../agent/board-watch.ts";
import { createApp, type HookApp } from "./app.ts";
import { createAuditor } from "./auditor.ts";
import { createCouriers } from "./couriers.ts";
import type { HookDeps, HookWorld } from "./deps.ts";
import { createFollower } from "./follower.ts";
import { History } from "./history.ts";
import { createMetrics } from "./metrics.ts";
import { Pages } from "./pages.ts";
import { createSender } from "./webhook-sender.ts";
import { Writer } from "./writer.ts";

export interface Hook {
  readonly app: HookApp;
  readonly deps: HookDeps;
  /** Follows the log until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>;
}

export function createHook(world: HookWorld): Hook {
  const follower = createFollower(world);
  const history = new History({ ...world, follower });
  const pages = new Pages(history, world.fabric);
  const writer = new Writer(world, follower);
  const audit = createAuditor({ ...world, follower });
  const boardWatch = createBoardWatch(world);
  const sender = createSender({ ...world, follower });
  const metrics = createMetrics();
  const couriers = createCouriers({ ...world, follower, history, sender, metrics });
  const parts = { follower, history, pages, writer, audit, boardWatch, sender };
  const deps: HookDeps = { ...world, ...parts, metrics };
  return {
    app: createApp(deps),
    deps,
    run: async (signal) => {
      const running = [follower, audit, boardWatch, couriers];
      await Promise.all(running.map((part) => part.run(signal)));
    },
  };
}
