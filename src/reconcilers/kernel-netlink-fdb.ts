// Forwarding entries of vxlan devices against RTM_*NEIGH with AF_BRIDGE. For a unicast MAC the
// kernel keeps exactly one remote, and REPLACE changes that remote (vxlan_fdb_replace in
// drivers/net/vxlan/vxlan_core.c), while a removal must name the remote that is there. Hence "set
// B" and "del A" leave exactly B in either order. For the zero MAC it keeps many, and APPEND adds
// one. Entries of a bridge that the device is a port of come in the same dump; they are the
// bridge's.

import {
  AF_BRIDGE,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_REPLACE,
  NTF_SELF,
  NUD_PERMANENT,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
} from "../ffi/netlink/constants.ts";
import { neigh } from "../ffi/netlink/neigh.ts";
import type { NetlinkSocket, Request } from "../ffi/netlink/socket.ts";
import { isLearnt, isReplica } from "./fdb.ts";
import type { Devices } from "./kernel-netlink-dev.ts";
import { outcomeOf } from "./kernel-netlink-outcome.ts";
import { ipText, ipToBytes, macText, macToBytes } from "./kernel-netlink-text.ts";
import { type Fdb, keyOf } from "./kernel-state.ts";
import type { OpOutcome } from "./op.ts";

type NeighMessage = ReturnType<typeof neigh.decode>;

/** On a learning device what it learnt is left out: only entries somebody configured count. */
export function observeFdb(
  socket: NetlinkSocket,
  devices: Devices,
  device: { readonly dev: string; readonly index: number; readonly learning: boolean },
): Fdb[] {
  return dumpFdb(socket, device.index, (message) => {
    const entry = fdbOf(device.dev, message, devices);
    return device.learning && entry !== null && isLearnt(entry) ? null : entry;
  });
}

/** With learning off these would stay for as long as they are in use. */
export function forgetLearnt(socket: NetlinkSocket, index: number): OpOutcome {
  const learnt = dumpFdb(socket, index, (message) => {
    const entry = fdbOf("", message, null);
    return entry !== null && isLearnt(entry) ? removalOf(message) : null;
  });
  return outcomeOf("del", socket.transactNow(learnt));
}

/** Decoded when the dump is over: a device's name is asked for through the socket that it fills. */
function dumpFdb<T>(
  socket: NetlinkSocket,
  index: number,
  decode: (message: NeighMessage) => T | null,
): T[] {
  // With strict checking an FDB dump wants struct ndmsg, and its ndm_ifindex selects the device.
  const payload = neigh.encode({ family: AF_BRIDGE, index }, {});
  const messages = socket.dump({ type: RTM_GETNEIGH, flags: 0, payload }, (reply) => {
    const message = neigh.read(reply);
    const { index: of, flags } = message.header;
    return of === index && (flags & NTF_SELF) !== 0 ? message : null;
  });
  return messages.map(decode).filter((entry) => entry !== null);
}

function fdbOf(dev: string, message: NeighMessage, devices: Devices | null): Fdb | null {
  const { header, attrs } = message;
  if (attrs.NDA_LLADDR === undefined) return null;
  const via = attrs.NDA_IFINDEX === undefined ? null : devices?.nameOf(attrs.NDA_IFINDEX);
  return {
    dev,
    mac: macText(attrs.NDA_LLADDR),
    dst: attrs.NDA_DST === undefined ? "0.0.0.0" : ipText(attrs.NDA_DST),
    permanent: (header.state & NUD_PERMANENT) !== 0,
    ...(via == null ? {} : { via }),
    extra: extraOf(message),
  };
}

function extraOf({ header, attrs }: NeighMessage): string | null {
  const extra: string[] = [];
  if (attrs.NDA_PORT !== undefined) extra.push(`port ${attrs.NDA_PORT}`);
  if (attrs.NDA_VNI !== undefined) extra.push(`vni ${attrs.NDA_VNI}`);
  if (attrs.NDA_SRC_VNI !== undefined) extra.push(`src_vni ${attrs.NDA_SRC_VNI}`);
  if (attrs.NDA_NH_ID !== undefined) extra.push(`nhid ${attrs.NDA_NH_ID}`);
  if (header.flags !== NTF_SELF) extra.push(`flags ${header.flags}`);
  return extra.length === 0 ? null : extra.join(" ");
}

/** `via` is the index of the device that the entry names, if it does. */
export function fdbRequest(
  verb: "set" | "del",
  object: Fdb,
  index: number,
  via: number | undefined,
): Request {
  const target = {
    NDA_LLADDR: macToBytes(object.mac),
    NDA_DST: ipToBytes(object.dst),
    NDA_IFINDEX: via,
  };
  const header = { family: AF_BRIDGE, index, state: NUD_PERMANENT, flags: NTF_SELF };
  const payload = neigh.encode(header, target);
  if (verb === "del") return { type: RTM_DELNEIGH, flags: 0, payload };
  const flags = NLM_F_CREATE | (isReplica(object) ? NLM_F_APPEND : NLM_F_REPLACE);
  return { type: RTM_NEWNEIGH, flags, payload };
}

/**
 * Removals of the entries under this key that carry something else (another port, VNI or device):
 * to the kernel these are other remotes, which a plain removal does not match.
 */
export function strayFdb(
  socket: NetlinkSocket,
  devices: Devices,
  object: Fdb,
  index: number,
): Request[] {
  return dumpFdb(socket, index, (message) => {
    const entry = fdbOf(object.dev, message, devices);
    if (entry === null || keyOf.fdb(entry) !== keyOf.fdb(object)) return null;
    return entry.extra === null && entry.via === object.via ? null : removalOf(message);
  });
}

function removalOf({ header, attrs }: NeighMessage): Request {
  const { family, index, state, flags } = header;
  const payload = neigh.encode({ family, index, state, flags }, attrs);
  return { type: RTM_DELNEIGH, flags: 0, payload };
}
