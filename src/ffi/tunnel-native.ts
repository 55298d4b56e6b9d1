// The binding of native/heddle.h: the dlopen table, the layout of each structure, and the check of
// both against the library at load. Nothing else knows an offset. Structures are written into plain
// buffers that live until the call returns; C keeps no pointer to them.

import { CString, dlopen, type Pointer } from "bun:ffi";
import { libraryPath } from "./native-library.ts";

const ABI_VERSION = 4;
export const LISTEN_MAX = 4;
export const QUEUES_MAX = 8;
/** A prefix that is ours has this instead of a peer's index. */
export const OWN = 0xffffffff;

export const ENDPOINT = { size: 20, port: 16, family: 18 } as const;
export const PEER = { size: 28, capabilities: 20, slot: 24 } as const;
export const PREFIX = { size: 24, peer: 16, family: 20, length: 21 } as const;
export const CONFIG = {
  size: 164,
  features: 4,
  mtu: 8,
  queues: 12,
  listeners: 16,
  device: 20,
  listen: 36,
  tunFds: 116,
  udpFds: 148,
} as const;
export const STATUS = { size: 80, wanted: 0, active: 4, error: 8, deviceError: 72, step: 76 };
/** Peers with a lower slot may be carried in the kernel: PEER_SLOTS_MAX of native/fastpath.h. */
export const KERNEL_SLOTS = 16_383;
export const PEER_COUNTERS = { size: 32 } as const;
export const ADOPTED = { size: 292, addr: 28, length: 32, name: 36 } as const;

const FUNCTIONS = {
  hp_abi_version: { args: [], returns: "u32" },
  hp_layout: { args: ["ptr", "u32"], returns: "i32" },
  hp_feature_name: { args: ["u32"], returns: "ptr" },
  hp_counter_name: { args: ["u32"], returns: "ptr" },
  hp_open: { args: ["ptr", "ptr", "ptr"], returns: "i32" },
  hp_adopted: { args: ["u64", "ptr", "u32"], returns: "i32" },
  hp_name_slot: { args: ["u64", "u32", "ptr"], returns: "i32" },
  hp_free_slots: { args: ["u64", "ptr", "u32"], returns: "i32" },
  hp_accelerate: { args: ["u64"], returns: "i32" },
  hp_set_peers: { args: ["u64", "ptr", "u32", "ptr", "u32"], returns: "i32" },
  hp_refresh: { args: ["u64"], returns: "i32" },
  hp_counters: { args: ["u64", "ptr", "u32"], returns: "i32" },
  hp_peer_counters: { args: ["u64", "ptr", "u32"], returns: "i32" },
  hp_status: { args: ["u64", "ptr"], returns: "i32" },
  hp_descriptors: { args: ["u64", "ptr", "ptr"], returns: "i32" },
  hp_pause: { args: ["u64"], returns: "i32" },
  hp_resume: { args: ["u64"], returns: "i32" },
  hp_forget_device: { args: ["u64"], returns: "i32" },
  hp_device_alias: { args: ["ptr", "ptr", "u32"], returns: "i32" },
  hp_forget: { args: ["ptr"], returns: "i32" },
  hp_close: { args: ["u64"], returns: "i32" },
} as const;

export interface Native {
  readonly path: string;
  readonly call: ReturnType<typeof dlopen<typeof FUNCTIONS>>["symbols"];
  /** Names by bit and by index, as the library tells them. */
  readonly features: readonly string[];
  readonly counters: readonly string[];
}

let loaded: Native | undefined;

/** Loads the library once; throws with the paths tried when it is not built or does not fit. */
export function native(): Native {
  loaded ??= load(libraryPath());
  return loaded;
}

function load(path: string): Native {
  const call = dlopen(path, FUNCTIONS).symbols;
  const version = call.hp_abi_version();
  if (version !== ABI_VERSION) {
    throw new Error(`${path}: ABI version ${version}, this program needs ${ABI_VERSION}`);
  }
  const structures = [ENDPOINT, PEER, PREFIX, CONFIG, STATUS, PEER_COUNTERS, ADOPTED];
  const sizes = new Uint32Array(structures.length);
  const count = call.hp_layout(sizes, sizes.length);
  const expected = structures.map(({ size }) => size);
  if (count !== expected.length || expected.some((size, i) => size !== sizes[i])) {
    throw new Error(`${path}: structure sizes ${sizes.join()}, this program needs ${expected}`);
  }
  return {
    path,
    call,
    features: namesOf(call.hp_feature_name),
    counters: namesOf(call.hp_counter_name),
  };
}

function namesOf(name: (index: number) => unknown): string[] {
  const names: string[] = [];
  for (let at = name(0); at !== null; at = name(names.length)) {
    names.push(new CString(at as Pointer).toString());
  }
  return names;
}
