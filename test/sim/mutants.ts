// Agents broken on purpose, each in one way, to prove that the checkers notice: what a checker
// cannot catch it does not check. Breakage sits between the agent and the ports that the checkers
// watch.

import { fold } from "../../src/events/fold.ts";
import type { EventLog, LogInfo, Recorded } from "../../src/events/log.ts";
import { decodeSnapshot, encodeSnapshot } from "../../src/events/snapshot.ts";
import type { TunnelPeer } from "../../src/ffi/tunnel-encode.ts";
import type { Kernel } from "../../src/reconcilers/kernel.ts";
import {
  emptyKernelState,
  type KernelState,
  PROTOCOL,
} from "../../src/reconcilers/kernel-state.ts";
import type { PacketPath, TunnelHandle } from "../../src/reconcilers/kernel-tunnel.ts";
import type { MissKernel } from "../../src/reconcilers/miss.ts";
import type { Op } from "../../src/reconcilers/op.ts";
import { FABRIC } from "./process.ts";
import { alwaysTalking } from "./traffic.ts";
import type { WorldBreak } from "./world.ts";

export interface Mutant {
  readonly name: string;
  /** The rules by which it may be caught; one of them must. */
  readonly rules: readonly string[];
  readonly broken: WorldBreak;
}

type Change = (ops: readonly Op[], seen: KernelState) => readonly Op[];

/** Every process's kernel port with a change of its own made to each batch. */
function kernelBreak(make: () => Change): WorldBreak {
  const breakKernel = (kernel: Kernel): Kernel => {
    const change = make();
    let seen: KernelState = emptyKernelState();
    return {
      observe: async (scope) => {
        seen = await kernel.observe(scope);
        return seen;
      },
      apply: async (ops) => (await kernel.apply(change(ops, seen))).slice(0, ops.length),
      watch: (onChange) => kernel.watch(onChange),
      facts: () => kernel.facts(),
      routeTo: (ip) => kernel.routeTo(ip),
    };
  };
  return { host: () => ({ breakKernel }) };
}

/** A log that says at first that it is all but empty: what follows looks like news. */
function shortLog(log: EventLog): EventLog {
  let first = true;
  return {
    ...log,
    info: async () => {
      const info = await log.info();
      const lastSeq = first ? Math.min(1, info.lastSeq) : info.lastSeq;
      first = false;
      return { ...info, lastSeq };
    },
  };
}

/** A log that always passes for the one that was known. */
function familiarLog(log: EventLog): EventLog {
  const known = new Map<number, Recorded>();
  let identity: LogInfo | null = null;
  return {
    append: (message) => log.append(message),
    info: async () => {
      const info = await log.info();
      identity ??= info;
      return { ...info, created: identity.created, lastSeq: Math.max(info.lastSeq, known.size) };
    },
    get: async (seq) => {
      const record = await log.get(seq);
      return known.get(seq) ?? record;
    },
    async *read(from, signal) {
      for await (const batch of log.read(from, signal)) {
        for (const record of batch) known.set(record.seq, record);
        yield batch;
      }
    },
  };
}

/** Every process's questions and answers with a change of their own. */
function missBreak(change: (misses: MissKernel) => Partial<MissKernel>): WorldBreak {
  const whole = (misses: MissKernel): MissKernel => ({
    watchMisses: (watcher) => misses.watchMisses(watcher),
    pending: (devs) => misses.pending(devs),
    answer: (ops) => misses.answer(ops),
    uses: (devs) => misses.uses(devs),
  });
  const breakMisses = (misses: MissKernel) => ({ ...whole(misses), ...change(misses) });
  return { host: () => ({ breakMisses }) };
}

function everyLog(breakLog: (log: EventLog) => EventLog): WorldBreak {
  return { host: () => ({ breakLog }) };
}

/** Every process's tunnels with one call of theirs replaced. */
function pathBreak(change: (tunnel: TunnelHandle) => Partial<TunnelHandle>): WorldBreak {
  const breakPath = (path: PacketPath): PacketPath => ({
    open: (options) => {
      const tunnel = path.open(options);
      const changed = change(tunnel);
      return new Proxy(tunnel, {
        get: (target, name) => {
          const value = Reflect.get(name in changed ? changed : target, name);
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
    },
    forget: (device, netns) => path.forget(device, netns),
  });
  const document = { Network: "10.5.0.0/16", Backend: { Type: "udp" } };
  return { host: () => ({ breakPath }), document };
}

/** What the table first held of a peer stays in it. */
function clingingTable(tunnel: TunnelHandle): Partial<TunnelHandle> {
  const known = new Map<string, TunnelPeer>();
  return {
    setPeers: (peers, own) => {
      for (const peer of peers) if (!known.has(peer.name)) known.set(peer.name, peer);
      tunnel.setPeers(
        peers.map((peer) => known.get(peer.name) ?? peer),
        own,
      );
    },
  };
}

function removal(object: Extract<Op, { noun: "route" }>["object"]): Op {
  const key = `${object.dst} ${object.metric}`;
  return { verb: "del", noun: "route", key, object, found: object };
}

function oldAddresses(): Change {
  const former = new Map<string, Extract<Op, { noun: "addr" }>>();
  return (ops, seen) => {
    const extra: Op[] = [];
    for (const op of ops) {
      if (op.noun !== "addr" || op.verb !== "set") continue;
      const old = former.get(op.object.dev);
      if (old !== undefined && old.key !== op.key) {
        extra.push({ ...old, found: seen.addrs.get(old.key) ?? null });
      }
      former.set(op.object.dev, op);
    }
    return [...ops, ...extra];
  };
}

function repeated(): Change {
  let before: readonly Op[] = [];
  return (ops) => {
    const again = before;
    before = ops;
    return [...ops, ...again];
  };
}

export const mutants: readonly Mutant[] = [
  {
    name: "every entry on demand passes for idle",
    rules: ["what is in use is not removed"],
    broken: missBreak((misses) => ({
      uses: (devs) => misses.uses(devs).map((use) => ({ ...use, idleMs: 3_600_000 })),
    })),
  },
  {
    name: "questions are answered with a neighbour and no forwarding entry",
    rules: ["a packet to a peer arrives", "all comes to rest"],
    broken: missBreak((misses) => ({
      answer: (ops) => {
        misses.answer(ops.filter(({ noun }) => noun === "neigh"));
        return ops.map(() => ({ ok: true }));
      },
    })),
  },
  {
    name: "a process that starts does not know what its kernel holds",
    rules: ["what is in use is not removed"],
    broken: { ...missBreak(() => ({ uses: () => [] })), meddle: alwaysTalking },
  },
  {
    name: "the prune gate opens before the log is read",
    rules: ["nothing is removed before the log is read"],
    broken: {
      ...everyLog(shortLog),
      // A process that has no snapshot and is given the log in pieces.
      meddle: ({ hosts }) => {
        for (const { files, lineFaults } of hosts) {
          files.snapshot = null;
          lineFaults.slowCatchUp = 1;
        }
      },
    },
  },
  {
    name: "a strange log passes for the known one",
    rules: ["a frozen host changes nothing"],
    broken: everyLog(familiarLog),
  },
  {
    name: "the last claim wins",
    rules: ["what is not accepted changes nothing"],
    broken: {
      fold: (state, record) => {
        const folded = fold(state, record);
        if (folded.event?.type !== "LeaseClaimed" || folded.verdict.kind !== "void") return folded;
        const { node, subnets } = folded.event.data;
        for (const subnet of subnets) state.owners.set(subnet, node);
        state.leases.delete([...state.leases.keys()].find((each) => each !== node) ?? node);
        return folded;
      },
    },
  },
  {
    name: "a lease is granted twice",
    rules: ["every subnet has one owner"],
    broken: {
      fold: (state, record) => {
        const folded = fold(state, record);
        const [first] = state.leases.values();
        if (first !== undefined && record.seq > 8) {
          state.leases.set("ghost", { ...first, node: "ghost" });
        }
        return folded;
      },
    },
  },
  {
    name: "the snapshot forgets a lease",
    rules: ["one log, one state"],
    broken: {
      meddle: ({ hosts }) => {
        for (const { files } of hosts) {
          const decoded = files.snapshot === null ? null : decodeSnapshot(FABRIC, files.snapshot);
          if (!decoded?.ok) continue;
          const [node] = decoded.snapshot.state.leases.keys();
          if (node === undefined || !decoded.snapshot.state.leases.delete(node)) continue;
          files.snapshot = encodeSnapshot(decoded.snapshot);
        }
      },
    },
  },
  {
    name: "a foreign route is removed along with ours",
    rules: ["what is not ours is not touched"],
    broken: kernelBreak(() => (ops, seen) => {
      const foreign = [...seen.routes.values()].find(({ protocol }) => protocol === 3);
      return foreign === undefined ? ops : [...ops, removal(foreign)];
    }),
  },
  {
    name: "a peer's route is removed while others are set",
    rules: ["what the log wants is not removed"],
    broken: kernelBreak(() => (ops, seen) => {
      const [route] = [...seen.routes.values()].filter(({ protocol }) => protocol === PROTOCOL);
      return route === undefined ? ops : [...ops, removal(route)];
    }),
  },
  {
    name: "the address of an earlier lease comes back",
    rules: ["an old lease's address is not set"],
    broken: kernelBreak(oldAddresses),
  },
  {
    name: "a tunnel goes on sending to where a peer was",
    rules: ["all comes to rest"],
    broken: pathBreak(clingingTable),
  },
  {
    name: "a tunnel whose device is gone passes for open",
    rules: ["all comes to rest"],
    broken: pathBreak(() => ({ deviceError: () => null })),
  },
  {
    name: "ops are repeated without a look",
    rules: ["changes come from rounds"],
    broken: kernelBreak(repeated),
  },
  {
    name: "the kernel drops routes and says that all is well",
    rules: ["all comes to rest"],
    broken: kernelBreak(
      () => (ops) =>
        ops.map((op) => {
          if (op.noun !== "route" || op.verb !== "set") return op;
          return {
            ...op,
            noun: "sysctl",
            key: "net/x",
            object: { path: "net/x", value: "" },
            found: null,
          };
        }),
    ),
  },
];
