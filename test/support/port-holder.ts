// Somebody else who has the port of a host's tunnel.

import type { TestFabric } from "./fabric.ts";
import { firstLine } from "./first-line.ts";

export interface PortHolder {
  /** Resolves when the port is free again. */
  release(): Promise<void>;
}

/** Resolves when the port of h1 is taken. */
export async function holdPort(fabric: TestFabric): Promise<PortHolder> {
  const script = `require("node:dgram").createSocket("udp4").bind(8285, "198.18.0.1", () =>
    process.stdout.write("bound\\n"))`;
  const holder = fabric.spawn(fabric.host("h1").netns, [process.execPath, "-e", script]);
  await firstLine(holder.stdout);
  return {
    release: async () => {
      holder.kill();
      await holder.exited;
    },
  };
}
