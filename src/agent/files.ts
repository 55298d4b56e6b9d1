// The two files an agent keeps: its snapshot and flannel's subnet.env. Both are written whole to a
// temporary name and renamed, so that a reader and a crash see the old one or the new one.

import { readFileSync } from "node:fs";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

export interface AgentFiles {
  readSnapshot(): Promise<string | null>;
  writeSnapshot(text: string): Promise<void>;
  readSubnetEnv(): Promise<string | null>;
  writeSubnetEnv(text: string): Promise<void>;
}

export interface FilePaths {
  readonly stateDir: string;
  readonly subnetFile: string;
}

export function openFiles(paths: FilePaths): AgentFiles {
  const snapshot = join(paths.stateDir, "snapshot.json");
  return {
    readSnapshot: () => readOrNull(snapshot),
    writeSnapshot: (text) => replaceFile(snapshot, text, 0o600),
    // Looked at every second: a read through the thread pool costs ten times the read itself.
    readSubnetEnv: async () => readSyncOrNull(paths.subnetFile),
    writeSubnetEnv: (text) => replaceFile(paths.subnetFile, text, 0o644),
  };
}

async function readOrNull(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    return nullIfMissing(error);
  }
}

function readSyncOrNull(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    return nullIfMissing(error);
  }
}

function nullIfMissing(error: unknown): null {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
  throw error;
}

async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const file = await open(temporary, "w", mode);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
