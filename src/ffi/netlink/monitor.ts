// Tells that something in the kernel changed, without saying what: whoever is told looks again.
// Notifications arrive through the event loop. Changes made through our own request socket are left
// out, by a filter in the kernel, which names their author: setting 10 000 routes would otherwise
// wake us 20 000 times. Where the kernel does not name it, `expected` tells.
// A socket that was lost counts as a change.

import { DecodeError } from "../layout.ts";
import {
  AF_NETLINK,
  attachFilter,
  type BpfInstruction,
  bindNetlink,
  close,
  NativeError,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  setsockopt,
  socket,
} from "../libc.ts";
import { withNetns } from "../netns.ts";
import {
  NETLINK_ADD_MEMBERSHIP,
  NETLINK_NETFILTER,
  NETLINK_ROUTE,
  NFNLGRP_NFTABLES,
  RT_TABLE_MAIN,
  RTM_DELNEIGH,
  RTM_DELROUTE,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
  RTM_NEWROUTE,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV4_NETCONF,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV6_NETCONF,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_LINK,
  RTNLGRP_NEIGH,
  RTNLGRP_NEXTHOP,
  SOL_NETLINK,
} from "./constants.ts";
import { type Frame, frames } from "./header.ts";
import { Listener } from "./listener.ts";
import { ndmsg } from "./neigh.ts";
import { NFT_MSG_NEWGEN, nftables } from "./nftables.ts";
import { rtmsg } from "./route.ts";
import { forceBuffers } from "./socket.ts";

const ROUTE_GROUPS = [
  RTNLGRP_LINK,
  RTNLGRP_NEIGH,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_NEXTHOP,
  // Forwarding switched on or off.
  RTNLGRP_IPV4_NETCONF,
  RTNLGRP_IPV6_NETCONF,
];

/** Holds the 15,000 notifications of a whole table being flushed (about 0.8 kB each). */
const RECEIVE_BUFFER = 16 * 1024 * 1024;
const REOPEN_MS = 1000;
const EPROTONOSUPPORT = 93;

export interface Interest {
  /** Devices whose neighbours and forwarding entries matter. */
  readonly indexes: ReadonlySet<number>;
  /** Names of the nftables tables that matter. */
  readonly tables: ReadonlySet<string>;
}

export interface MonitorOptions {
  readonly netns: string | null;
  /** Port id of the socket whose changes are our own. */
  readonly ownPort: number;
  /** The same for nftables, whose sockets count their ports themselves. */
  readonly ownRulePort?: number | null;
  /** What matters just now; null means everything. */
  readonly interest: () => Interest | null;
  /** True for a notification of a change that we made and that the kernel did not sign. */
  readonly expected?: (frame: Frame) => boolean;
  readonly onDirty: () => void;
  /** Receive buffer in bytes. */
  readonly receiveBuffer?: number;
}

interface Channel {
  readonly protocol: number;
  readonly groups: readonly number[];
}

const CHANNELS: readonly Channel[] = [
  { protocol: NETLINK_ROUTE, groups: ROUTE_GROUPS },
  { protocol: NETLINK_NETFILTER, groups: [NFNLGRP_NFTABLES] },
];

/** Listens from construction on; several changes in one turn of the event loop are told once. */
export class Monitor {
  readonly #options: MonitorOptions;
  readonly #listeners: Listener[] = [];
  #told = false;
  #closed = false;

  /** Throws NativeError. */
  constructor(options: MonitorOptions) {
    this.#options = options;
    try {
      for (const channel of CHANNELS) this.#listeners.push(this.#listen(channel));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    this.#closed = true;
    for (const listener of this.#listeners) listener.close();
  }

  #listen(channel: Channel): Listener {
    return new Listener({
      // Null without nf_tables in the kernel: there is nothing to hear of it.
      subscribe: () => subscribe(this.#options, channel),
      onDatagram: (datagram) => this.#receive(channel, datagram),
      onLost: () => this.#tell(),
      reopenMs: REOPEN_MS,
    });
  }

  #receive(channel: Channel, datagram: Uint8Array): void {
    if (this.#told) return;
    try {
      for (const frame of frames(datagram)) {
        if (!this.#matters(channel, frame)) continue;
        this.#tell();
        return;
      }
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.#tell();
    }
  }

  #matters(channel: Channel, frame: Frame): boolean {
    const wanted = this.#options.interest();
    if (channel.protocol === NETLINK_NETFILTER) {
      const ours = frame.pid === this.#options.ownRulePort;
      if (ours || (frame.type & 0xff) === NFT_MSG_NEWGEN) return false;
      const table = nftables.read(frame).attrs.NFTA_TABLE;
      return wanted === null || table === undefined || wanted.tables.has(table);
    }
    if (this.#options.expected?.(frame) === true) return false;
    return wanted === null || routeMatters(frame, wanted);
  }

  #tell(): void {
    if (this.#told) return;
    this.#told = true;
    setImmediate(() => {
      this.#told = false;
      if (!this.#closed) this.#options.onDirty();
    });
  }
}

function routeMatters({ type, input, at, end }: Frame, wanted: Interest): boolean {
  if (type === RTM_NEWNEIGH || type === RTM_DELNEIGH) {
    return wanted.indexes.has(ndmsg.read(input, at, end).index);
  }
  // A question for a neighbour changes nothing.
  if (type === RTM_GETNEIGH) return false;
  if (type === RTM_NEWROUTE || type === RTM_DELROUTE) {
    return rtmsg.read(input, at, end).table === RT_TABLE_MAIN;
  }
  return true;
}

/** A subscribed, non-blocking socket; null when the kernel does not have this family. */
function subscribe(options: MonitorOptions, { protocol, groups }: Channel): number | null {
  const fd = withNetns(options.netns, () => openSocket(protocol));
  if (fd === null) return null;
  try {
    if (protocol === NETLINK_ROUTE) attachFilter(fd, allBut(options.ownPort));
    forceBuffers(fd, options.receiveBuffer ?? RECEIVE_BUFFER);
    bindNetlink(fd);
    for (const group of groups) setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** Drops what nlmsg_pid says is of `port`; BPF loads a word as big-endian. */
function allBut(port: number): readonly BpfInstruction[] {
  const word = new DataView(new ArrayBuffer(4));
  word.setUint32(0, port, true);
  return [
    [0x20, 0, 0, 12], // ld [12]
    [0x15, 0, 1, word.getUint32(0)], // jeq
    [0x06, 0, 0, 0], // ret nothing
    [0x06, 0, 0, 0xffff_ffff], // ret all of it
  ];
}

function openSocket(protocol: number): number | null {
  try {
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
  } catch (error) {
    const absent = error instanceof NativeError && error.errno === EPROTONOSUPPORT;
    if (absent && protocol === NETLINK_NETFILTER) return null;
    throw error;
  }
}
