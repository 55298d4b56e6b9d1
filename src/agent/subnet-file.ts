// Keeps subnet.env what the plan says. Others read it and some delete it (a reboot empties /run, a
// clean-up script removes it), so it is looked at every second; reading 120 bytes costs
// microseconds.

import { type Clock, sleep } from "../events/clock.ts";
import type { DriftItem } from "../events/event.ts";
import type { AgentFiles } from "./files.ts";

const LOOK_MS = 1000;

export interface SubnetFileDeps {
  readonly files: AgentFiles;
  readonly clock: Clock;
  /** What the file shall hold; null leaves it alone. */
  readonly wanted: () => string | null;
  readonly onDrift: (item: DriftItem) => void;
  readonly onProblem: (problem: string | null) => void;
}

export interface SubnetFile {
  /** Makes it right now. */
  ensure(): Promise<void>;
  /** The same, if there is something new to be in it. */
  follow(): void;
  /** The file holds what is wanted now, as far as we last looked. */
  inPlace(): boolean;
  run(signal: AbortSignal): Promise<void>;
}

export function createSubnetFile(deps: SubnetFileDeps): SubnetFile {
  const { files, clock, wanted } = deps;
  /** What was last seen to be in the file because we put it there or agreed with it. */
  let verified: string | null = null;
  /** What it was last made right for. */
  let followed: string | null = null;
  let busy: Promise<void> = Promise.resolve();

  async function look(): Promise<void> {
    const want = wanted();
    if (want === null) return;
    try {
      const found = await files.readSubnetEnv();
      if (found !== want) {
        await files.writeSubnetEnv(want);
        if (verified === want) deps.onDrift(drift(found));
      }
      verified = want;
      deps.onProblem(null);
    } catch (error) {
      deps.onProblem(`subnet file: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** One at a time: two writers of one temporary name would undo each other. */
  function ensure(): Promise<void> {
    busy = busy.then(look);
    return busy;
  }

  return {
    ensure,
    follow: () => {
      const want = wanted();
      if (want === null || want === followed) return;
      followed = want;
      void ensure();
    },
    inPlace: () => {
      const want = wanted();
      return want === null || want === verified;
    },
    run: async (signal) => {
      while (!signal.aborted) {
        await ensure();
        await sleep(clock, LOOK_MS, signal);
      }
    },
  };
}

function drift(found: string | null): DriftItem {
  return {
    noun: "file",
    problem: found === null ? "missing" : "altered",
    found: found === null ? null : found.slice(0, 256),
    wanted: "subnet.env",
  };
}
